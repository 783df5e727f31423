#include "base/sha256.h"

#include "base/openssl_ptr.h"

namespace keystub {
namespace {

// Looked up once: OpenSSL takes longer to find an algorithm by its name than to hash a block with
// it. It lives as long as the process.
const EVP_MD* algorithm() {
  static const EVP_MD* const sha_256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return sha_256;
}

std::unexpected<Error> openssl_failed() {
  return fail(Category::internal, "OpenSSL cannot compute SHA-256; check its configuration");
}

}  // namespace

Result<Sha256Digest> sha256(std::initializer_list<Bytes> parts) {
  thread_local const OpenSslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  Sha256Digest digest{};
  bool good = context != nullptr && EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) == 1;
  for (const Bytes part : parts) {
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    return openssl_failed();
  }
  return digest;
}

struct Sha256::Context {
  OpenSslPtr<EVP_MD_CTX> evp{EVP_MD_CTX_new()};
  bool good = evp != nullptr && EVP_DigestInit_ex2(evp.get(), algorithm(), nullptr) == 1;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes octets) {
  context_->good =
      context_->good && EVP_DigestUpdate(context_->evp.get(), octets.data(), octets.size()) == 1;
}

Result<Sha256Digest> Sha256::finish() {
  Sha256Digest digest{};
  if (!context_->good || EVP_DigestFinal_ex(context_->evp.get(), digest.data(), nullptr) != 1) {
    return openssl_failed();
  }
  return digest;
}

}  // namespace keystub
