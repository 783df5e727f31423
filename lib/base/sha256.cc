#include "base/sha256.h"

#include <openssl/evp.h>

namespace keystub {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) {
    good = evp != nullptr && EVP_DigestInit_ex2(evp, EVP_sha256(), nullptr) == 1;
  }
  ~Context() { EVP_MD_CTX_free(evp); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  EVP_MD_CTX* evp;
  bool good;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes octets) {
  context_->good =
      context_->good && EVP_DigestUpdate(context_->evp, octets.data(), octets.size()) == 1;
}

Result<Sha256Digest> Sha256::finish() {
  Sha256Digest digest{};
  if (!context_->good || EVP_DigestFinal_ex(context_->evp, digest.data(), nullptr) != 1) {
    return fail(Category::internal, "OpenSSL cannot compute SHA-256; check its configuration");
  }
  return digest;
}

}  // namespace keystub
