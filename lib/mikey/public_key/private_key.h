// The RSA private key of a user or of a KMS, for the public-key variants of MIKEY-TICKET.
#pragma once

#include <memory>

#include "base/error.h"
#include "base/secret.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace keystub::mikey {

// RFC 3830 9.1: a key exchange must be as strong as what it carries. 2048 bits are 112 bits of
// strength, the least that is accepted anywhere; the upper bound keeps one operation short.
inline constexpr std::size_t kMinimumRsaBits = 2048;
inline constexpr std::size_t kMaximumRsaBits = 8192;

// A private key as text (PEM, PKCS #8 or PKCS #1, not encrypted).
using PrivateKeyPem = Secret<struct PrivateKeyPemTag>;

// An RSA key in OpenSSL's keeping: wiped there when the last copy is dropped. Copies share it.
// Threads: const use from several threads is safe.
class PrivateKey {
 public:
  // Refuses (malformed) what is not one RSA private key of 2048 to 8192 bits in the clear.
  static Result<PrivateKey> from_pem(const PrivateKeyPem& pem);

  // The length of its modulus: of a signature, and of what PKE carries.
  std::size_t octets() const noexcept;

  evp_pkey_st* handle() const noexcept { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

  std::shared_ptr<evp_pkey_st> key_;
};

// Refuses (malformed) a public or private key that is no RSA key of 2048 to 8192 bits.
Result<void> check_rsa(const evp_pkey_st* key);

}  // namespace keystub::mikey
