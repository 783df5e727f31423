#include "mikey/public_key/private_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "mikey/public_key/openssl_errors.h"

namespace keystub::mikey {
namespace {

// Without this OpenSSL would ask at the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

}  // namespace

Result<void> check_rsa(const evp_pkey_st* key) {
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
    return fail(Category::malformed,
                "the key is no RSA key (rsaEncryption); MIKEY's envelope and signatures need one");
  }
  const auto bits = static_cast<std::size_t>(EVP_PKEY_get_bits(key));
  if (bits < kMinimumRsaBits || bits > kMaximumRsaBits) {
    return fail(Category::malformed, "an RSA key of " + std::to_string(bits) + " bits; " +
                                         std::to_string(kMinimumRsaBits) + " to " +
                                         std::to_string(kMaximumRsaBits) + " are accepted");
  }
  return {};
}

Result<PrivateKey> PrivateKey::from_pem(const PrivateKeyPem& pem) {
  const OpenSslErrorsDropped quiet;
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(pem.reveal().data(), static_cast<int>(pem.size())), &BIO_free);
  std::shared_ptr<evp_pkey_st> key(
      in != nullptr ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr) : nullptr,
      &EVP_PKEY_free);
  if (key == nullptr) {
    return fail(Category::malformed,
                "there is no private key in PEM form, or it is encrypted; write it out with "
                "\"openssl pkey\"");
  }
  TRY(check_rsa(key.get()));
  return PrivateKey(std::move(key));
}

std::size_t PrivateKey::octets() const noexcept {
  return static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()));
}

}  // namespace keystub::mikey
