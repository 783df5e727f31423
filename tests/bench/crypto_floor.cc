#include "tests/bench/crypto_floor.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace keystub::bench {
namespace {

void require(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "bench: OpenSSL's %s failed\n", what);
  std::exit(1);
}

std::shared_ptr<EVP_MAC_CTX> keyed(Bytes key) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  const std::shared_ptr<EVP_MAC_CTX> context(EVP_MAC_CTX_new(mac), EVP_MAC_CTX_free);
  EVP_MAC_free(mac);
  char digest[] = "SHA256";
  const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                              OSSL_PARAM_construct_end()};
  require(EVP_MAC_init(context.get(), key.data(), key.size(), parameters.data()) == 1,
          "EVP_MAC_init");
  return context;
}

}  // namespace

CryptoFloor::CryptoFloor(const testing::KmsCalls& calls)
    : cipher_(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free), random_(calls.random) {
  std::map<std::string, MacContext> contexts;
  for (const auto& [key, octets] : calls.hmacs) {
    MacContext& context = contexts[key];
    if (context == nullptr) context = keyed(testing::hex(key));
    hmacs_.push_back({context, ByteVector(octets)});
  }
  for (const std::size_t octets : calls.ciphers) ciphers_.emplace_back(octets);
  const std::array<std::uint8_t, 32> key{};
  const std::array<std::uint8_t, 16> iv{};
  require(
      EVP_EncryptInit_ex2(cipher_.get(), EVP_aes_256_ctr(), key.data(), iv.data(), nullptr) == 1,
      "EVP_EncryptInit_ex2");
}

void CryptoFloor::operator()() {
  std::array<std::uint8_t, 32> out;
  std::size_t size = 0;
  for (const Hmac& hmac : hmacs_) {
    EVP_MAC_CTX* context = hmac.context.get();
    require(EVP_MAC_init(context, nullptr, 0, nullptr) == 1 &&
                EVP_MAC_update(context, hmac.input.data(), hmac.input.size()) == 1 &&
                EVP_MAC_final(context, out.data(), &size, out.size()) == 1,
            "HMAC");
  }
  constexpr std::array<std::uint8_t, 32> kKey{3};
  constexpr std::array<std::uint8_t, 16> kIv{4};
  for (ByteVector& text : ciphers_) {
    int written = 0;
    require(EVP_EncryptInit_ex2(cipher_.get(), nullptr, kKey.data(), kIv.data(), nullptr) == 1 &&
                EVP_EncryptUpdate(cipher_.get(), text.data(), &written, text.data(),
                                  static_cast<int>(text.size())) == 1,
            "AES");
  }
  require(RAND_priv_bytes(random_.data(), static_cast<int>(random_.size())) == 1,
          "RAND_priv_bytes");
}

}  // namespace keystub::bench
