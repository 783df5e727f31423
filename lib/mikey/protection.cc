#include "mikey/protection.h"

#include <algorithm>
#include <cstring>

#include "base/openssl_ptr.h"
#include "mikey/key_wrap.h"

namespace keystub::mikey {
namespace {

constexpr Hash hash_of(MacAlg alg) noexcept {
  // [3830-4.2.1-01] [3830-4.2.4-01]
  return alg == MacAlg::hmac_sha_1_160 ? Hash::sha_1 : Hash::sha_256;
}

// Looked up once: OpenSSL takes longer to find an algorithm by its name than to encrypt a KEMAC.
// They live as long as the process.
const EVP_CIPHER* counter_mode(EncrAlg alg) {
  static const EVP_CIPHER* const aes_128 = EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr);
  static const EVP_CIPHER* const aes_256 = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  return alg == EncrAlg::aes_cm_128 ? aes_128 : aes_256;
}

std::unexpected<Error> aes_failed() {
  return fail(Category::internal,
              "OpenSSL cannot run AES in counter mode; check its configuration");
}

Result<PlainKeyData> decrypt(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                             const Timestamp& t, Bytes encrypted, const Place& place) {
  const bool wrapped = suite.encr == EncrAlg::aes_kw_128;
  ByteVector octets(encrypted.size() - (wrapped ? std::min(kKeyWrapOctets, encrypted.size()) : 0));
  const auto decrypted = wrapped ? unwrap_keys(keys.encr, keys.salt, encrypted, octets)
                                 : aes_cm(suite, keys, csb_id, t, encrypted, octets);
  PlainKeyData plain(std::move(octets));
  TRY(at(place, decrypted));
  return plain;
}

}  // namespace

Result<Mac> compute_mac(const Suite& suite, const AuthKey& key,
                        std::initializer_list<Bytes> parts) {
  Mac mac;
  mac.size = suite.auth_octets;
  HashContext context;
  TRY(Hmac::once(context, hash_of(suite.mac), key.reveal(), parts,
                 MutableBytes(mac.octets).first(mac.size)));
  return mac;
}

Result<void> verify_mac(const Suite& suite, const AuthKey& key, std::initializer_list<Bytes> parts,
                        Bytes carried, const Place& place) {
  const Mac expected = TRY(compute_mac(suite, key, parts));
  if (!equal_constant_time(expected.bytes(), carried)) {
    return std::unexpected(
        Error(Category::unauthenticated,
              "the MAC does not verify: the message was changed on its way, or the key is not the "
              "sender's",
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::auth_failure)));
  }
  return {};
}

Result<void> aes_cm(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                    const Timestamp& t, Bytes in, MutableBytes out) {
  std::array<std::uint8_t, 16> iv{};
  std::memcpy(iv.data(), keys.salt.reveal().data(), keys.salt.size());
  const std::uint64_t time = t.as_64_bits();  // [6043-A.1-02]
  for (std::size_t i = 0; i < 4; ++i)
    iv[2 + i] ^= static_cast<std::uint8_t>(csb_id >> (24 - 8 * i));
  for (std::size_t i = 0; i < 8; ++i) iv[6 + i] ^= static_cast<std::uint8_t>(time >> (56 - 8 * i));

  // OpenSSL wipes the key schedule when the context is freed.
  const OpenSslPtr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  int written = 0;
  const bool done = context != nullptr &&
                    EVP_EncryptInit_ex2(context.get(), counter_mode(suite.encr),
                                        keys.encr.reveal().data(), iv.data(), nullptr) == 1 &&
                    EVP_EncryptUpdate(context.get(), out.data(), &written, in.data(),
                                      static_cast<int>(in.size())) == 1;
  wipe(iv);
  if (!done) return aes_failed();
  return {};
}

Result<const Suite*> suite_of_kemac(PrfFunc prf, const KemacView& kemac, const Place& place) {
  const Suite* suite = suite_of(prf, kemac.encr_alg);
  if (suite == nullptr) {  // [6043-12.1-11] [3830-4.2.3-02]
    std::string text = "the keys are encrypted with ";
    text.append(name_of(kemac.encr_alg)).append(", which does not go with the message's PRF, ");
    text.append(name_of(prf)).append("; suites must not be mixed");
    return std::unexpected(Error(Category::denied, std::move(text), place)
                               .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_ea)));
  }
  if (kemac.mac_alg != MacAlg::null) {  // [6043-4.2.1.5-05] [6043-4.2.3.5-05]
    return std::unexpected(
        Error(Category::malformed, "the KEMAC has a MAC of its own; it must be NULL, V has the MAC",
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_mac)));
  }
  return suite;
}

Result<KemacKeys> open_kemac(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                             const Timestamp& t, const KemacView& kemac, const Place& place) {
  TRY(suite_of_kemac(suite.prf, kemac, place));
  const PlainKeyData plain = TRY(decrypt(suite, keys, csb_id, t, kemac.encr_data, place));
  ByteReader reader(place.message, plain.bytes());
  reader.enter("Key data", "RFC 3830 6.13");
  return parse_kemac_keys(reader);
}

PlainKeyData encode_kemac_keys(std::initializer_list<const Mpk*> mpks, Bytes mpk_spi,
                               const std::vector<SessionKey>& session_keys) {
  // Room for everything at once: growing would leave copies of keys behind.
  constexpr std::size_t kOverhead = 7;
  std::size_t size = 0;
  for (const Mpk* mpk : mpks) size += mpk->size() + mpk_spi.size() + kOverhead;
  for (const SessionKey& key : session_keys) {
    size += key.key.size() + key.salt.size() + key.spi.size() + kOverhead;
  }
  ByteWriter writer(size);
  std::size_t left = mpks.size() + session_keys.size();
  for (const Mpk* mpk : mpks) {
    encode_key_data(writer, --left == 0, KeyType::mpk, mpk->reveal(), {}, mpk_spi);
  }
  for (const SessionKey& key : session_keys) {
    encode_key_data(writer, --left == 0, key.type, key.key.reveal(), key.salt.reveal(), key.spi);
  }
  return PlainKeyData(std::move(writer).take());
}

Result<ByteVector> seal_kemac(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                              const Timestamp& t, const PlainKeyData& plain) {
  if (suite.encr == EncrAlg::aes_kw_128) {
    ByteVector out(plain.bytes().size() + kKeyWrapOctets);
    TRY(wrap_keys(keys.encr, keys.salt, plain.bytes(), out));
    return out;
  }
  ByteVector out(plain.bytes().size());
  TRY(aes_cm(suite, keys, csb_id, t, plain.bytes(), out));
  return out;
}

}  // namespace keystub::mikey
