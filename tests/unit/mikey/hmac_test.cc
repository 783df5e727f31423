// Our HMAC is HMAC: it agrees with OpenSSL's for every length of key.
#include "mikey/hmac.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <thread>

namespace keystub::mikey {
namespace {

ByteVector counting(std::size_t size, std::uint8_t from) {
  ByteVector octets(size);
  for (std::uint8_t& octet : octets) octet = from++;
  return octets;
}

ByteVector openssl_hmac(Hash hash, Bytes key, Bytes text) {
  ByteVector mac(hmac_size(hash));
  std::size_t size = 0;
  EXPECT_NE(
      EVP_Q_mac(nullptr, "HMAC", nullptr, hash == Hash::sha_1 ? "SHA1" : "SHA256", nullptr,
                key.data(), key.size(), text.data(), text.size(), mac.data(), mac.size(), &size),
      nullptr);
  EXPECT_EQ(size, mac.size());
  return mac;
}

TEST(Hmac, AgreesWithOpenSslForEveryLengthOfKeyAndSplitOfTheText) {
  const ByteVector text = counting(150, 3);
  for (const Hash hash : {Hash::sha_1, Hash::sha_256}) {
    for (std::size_t size = 1; size <= 64; ++size) {
      const ByteVector key = counting(size, 0xA0);
      const Hmac hmac = Hmac::keyed(hash, key).value();
      const ByteVector expected = openssl_hmac(hash, key, text);
      for (const std::size_t split : {0U, 1U, 64U, 150U}) {
        ByteVector mac(hmac_size(hash));
        const Bytes whole(text);
        ASSERT_TRUE(hmac.compute({whole.first(split), whole.subspan(split)}, mac).has_value());
        EXPECT_EQ(mac, expected) << size << " octets of key, split at " << split;
        ByteVector once(hmac_size(hash));
        HashContext context;
        ASSERT_TRUE(Hmac::once(context, hash, key, {whole.first(split), whole.subspan(split)}, once)
                        .has_value());
        EXPECT_EQ(once, expected) << size << " octets of key, split at " << split;
      }
    }
  }
}

TEST(Hmac, RefusesKeysThatItCannotTake) {
  EXPECT_FALSE(Hmac::keyed(Hash::sha_256, {}).has_value());
  EXPECT_FALSE(Hmac::keyed(Hash::sha_256, counting(65, 0)).has_value());
  ByteVector mac(32);
  HashContext context;
  EXPECT_FALSE(Hmac::once(context, Hash::sha_256, {}, {}, mac).has_value());
  EXPECT_FALSE(Hmac::once(context, Hash::sha_256, counting(65, 0), {}, mac).has_value());
}

TEST(Hmac, OneKeyServesSeveralThreads) {
  const ByteVector key = counting(32, 1);
  const ByteVector text = counting(100, 1);
  const ByteVector expected = openssl_hmac(Hash::sha_256, key, text);
  const Hmac hmac = Hmac::keyed(Hash::sha_256, key).value();
  const auto work = [&] {
    for (int i = 0; i < 500; ++i) {
      ByteVector mac(32);
      ASSERT_TRUE(hmac.compute({text}, mac).has_value());
      ASSERT_EQ(mac, expected);
    }
  };
  std::thread other(work);
  work();
  other.join();
}

}  // namespace
}  // namespace keystub::mikey
