#include "mikey/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <utility>
#include <vector>

namespace keystub::mikey {
namespace {

// Idle contexts of this thread, one list per hash. A context keeps its digest between keys.
class ContextPool {
 public:
  ~ContextPool() {
    for (auto& idle : idle_) {
      for (EVP_MAC_CTX* context : idle) EVP_MAC_CTX_free(context);
    }
  }

  EVP_MAC_CTX* take(Hash hash) {
    auto& idle = idle_[static_cast<std::size_t>(hash)];
    if (!idle.empty()) {
      EVP_MAC_CTX* context = idle.back();
      idle.pop_back();
      return context;
    }
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    char sha_1[] = "SHA1";
    char sha_256[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         hash == Hash::sha_1 ? sha_1 : sha_256, 0),
        OSSL_PARAM_construct_end()};
    if (context != nullptr && EVP_MAC_CTX_set_params(context, parameters) != 1) {
      EVP_MAC_CTX_free(context);
      return nullptr;
    }
    return context;
  }

  void give_back(Hash hash, EVP_MAC_CTX* context) {
    // Forget the key: an idle context must not hold one.
    static constexpr std::uint8_t kNoKey[1] = {};
    EVP_MAC_init(context, kNoKey, sizeof kNoKey, nullptr);
    auto& idle = idle_[static_cast<std::size_t>(hash)];
    if (idle.size() < kMaxIdle) {
      idle.push_back(context);
    } else {
      EVP_MAC_CTX_free(context);
    }
  }

 private:
  static constexpr std::size_t kMaxIdle = 8;
  std::array<std::vector<EVP_MAC_CTX*>, 2> idle_;
};

ContextPool& pool() {
  thread_local ContextPool instance;
  return instance;
}

std::unexpected<Error> hmac_failed() {
  return fail(Category::internal, "OpenSSL cannot compute an HMAC; check its configuration");
}

}  // namespace

Result<Hmac> Hmac::keyed(Hash hash, Bytes key) {
  EVP_MAC_CTX* context = pool().take(hash);
  if (context == nullptr) return hmac_failed();
  Hmac hmac(hash, context);
  if (EVP_MAC_init(context, key.data(), key.size(), nullptr) != 1) return hmac_failed();
  return hmac;
}

Hmac::Hmac(Hmac&& other) noexcept
    : hash_(other.hash_), context_(std::exchange(other.context_, nullptr)) {}

Hmac::~Hmac() {
  if (context_ != nullptr) pool().give_back(hash_, context_);
}

Result<void> Hmac::compute(std::initializer_list<Bytes> parts, MutableBytes out) {
  if (EVP_MAC_init(context_, nullptr, 0, nullptr) != 1) return hmac_failed();
  for (const Bytes part : parts) {
    if (EVP_MAC_update(context_, part.data(), part.size()) != 1) return hmac_failed();
  }
  std::size_t size = 0;
  if (EVP_MAC_final(context_, out.data(), &size, out.size()) != 1) return hmac_failed();
  return {};
}

}  // namespace keystub::mikey
