// A PKCS #11 token (an HSM, or SoftHSM) that encrypts and decrypts with an AES-256 key of its own
// (CKM_AES_GCM). The key is made in the token, as sensitive and not extractable.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

namespace keystub::kms {

// Not thread-safe. One process may have one module loaded at a time.
class Pkcs11Token {
 public:
  // Loads the module, finds the token with this label and logs in as its user. Errors: not_found
  // (module, token), denied (PIN; the token locks itself after some wrong ones), unavailable.
  static Result<Pkcs11Token> open(const std::filesystem::path& module, const std::string& label,
                                  Bytes pin);

  Pkcs11Token(Pkcs11Token&&) noexcept;
  Pkcs11Token& operator=(Pkcs11Token&&) noexcept;
  ~Pkcs11Token();  // logs out

  // Makes the key unless there is one with this label.
  Result<void> ensure_key(const std::string& label);

  // Nonce (12 octets) || ciphertext || tag (16).
  Result<ByteVector> encrypt(const std::string& label, Bytes plain, RandomSource& random);
  using Plain = Secret<struct Pkcs11PlainTag>;
  // Fails (denied) if it was not encrypted with this key.
  Result<Plain> decrypt(const std::string& label, Bytes encrypted);

 private:
  struct Session;
  explicit Pkcs11Token(std::unique_ptr<Session> session);

  std::unique_ptr<Session> session_;
};

}  // namespace keystub::kms
