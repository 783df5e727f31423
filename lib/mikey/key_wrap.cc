#include "mikey/key_wrap.h"

#include "base/openssl_ptr.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kSemiblock = 8;  // RFC 3394 2.2: n blocks of 64 bits, n >= 2

bool can_be_wrapped(std::size_t octets) noexcept {
  return octets % kSemiblock == 0 && octets >= 2 * kSemiblock;
}

enum class Direction : std::uint8_t { unwrap = 0, wrap = 1 };

// False when OpenSSL refuses: without a fault of its own, only when what is unwrapped is not
// genuine.
bool aes_kw(Direction direction, const EncrKey& key, const SaltKey& salt, Bytes in,
            MutableBytes out) {
  const OpenSslPtr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  if (context == nullptr) return false;
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  int written = 0;
  return EVP_CipherInit_ex(context.get(), EVP_aes_128_wrap(), nullptr, key.reveal().data(),
                           salt.reveal().data(), static_cast<int>(direction)) == 1 &&
         EVP_CipherUpdate(context.get(), out.data(), &written, in.data(),
                          static_cast<int>(in.size())) == 1 &&
         static_cast<std::size_t>(written) == out.size();
}

}  // namespace

Result<void> wrap_keys(const EncrKey& key, const SaltKey& salt, Bytes plain, MutableBytes wrapped) {
  if (!can_be_wrapped(plain.size())) {
    return fail(Category::malformed,
                "key data of " + std::to_string(plain.size()) +
                    " octets cannot be wrapped by AES-KW, which takes 16 or more in steps of 8: "
                    "choose the lengths of the SPIs so that it fits (RFC 3830 4.2.3)");
  }
  if (!aes_kw(Direction::wrap, key, salt, plain, wrapped)) {
    return fail(Category::internal, "OpenSSL cannot run AES key wrap; check its configuration");
  }
  return {};
}

Result<void> unwrap_keys(const EncrKey& key, const SaltKey& salt, Bytes wrapped,
                         MutableBytes plain) {
  if (!can_be_wrapped(plain.size())) {
    return fail(Category::malformed, std::to_string(wrapped.size()) +
                                         " octets cannot be the output of AES-KW, which has 24 or "
                                         "more in steps of 8");
  }
  if (!aes_kw(Direction::unwrap, key, salt, wrapped, plain)) {
    return fail(Category::unauthenticated,
                "the wrapped keys are not genuine: their integrity check fails (RFC 3394 2.2.2)");
  }
  return {};
}

}  // namespace keystub::mikey
