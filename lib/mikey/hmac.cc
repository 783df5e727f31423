#include "mikey/hmac.h"

#include <algorithm>
#include <array>

#include "base/openssl_ptr.h"
#include "base/secret.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kBlockOctets = 64;
constexpr std::uint8_t kInnerPad = 0x36;
constexpr std::uint8_t kOuterPad = 0x5C;

// Looked up once: OpenSSL takes longer to find an algorithm by its name than to hash with it. They
// live as long as the process.
const EVP_MD* algorithm(Hash hash) {
  static const EVP_MD* const sha_1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  static const EVP_MD* const sha_256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return hash == Hash::sha_1 ? sha_1 : sha_256;
}

std::unexpected<Error> hash_failed() {
  return fail(Category::internal,
              "OpenSSL cannot compute SHA-1 or SHA-256; check its configuration");
}

// A key as the block that begins the inner hash, then the outer one. Wiped when dropped.
class KeyBlock {
 public:
  explicit KeyBlock(Bytes key) noexcept {
    std::copy_n(key.data(), key.size(), octets_.data());
    for (std::uint8_t& octet : octets_) octet ^= kInnerPad;
  }
  ~KeyBlock() { wipe(octets_); }
  KeyBlock(const KeyBlock&) = delete;
  KeyBlock& operator=(const KeyBlock&) = delete;

  Bytes inner() const noexcept { return octets_; }
  // inner() is gone then.
  Bytes outer() noexcept {
    for (std::uint8_t& octet : octets_) octet ^= kInnerPad ^ kOuterPad;
    return octets_;
  }

 private:
  std::array<std::uint8_t, kBlockOctets> octets_{};
};

Result<void> check_key(Bytes key) {
  if (key.empty() || key.size() > kBlockOctets) {
    return fail(Category::internal, "an HMAC key has 1 to 64 octets");
  }
  return {};
}

// Begins a hash with a block of the key.
bool begin(EVP_MD_CTX* context, Hash hash, Bytes block) {
  return EVP_DigestInit_ex2(context, algorithm(hash), nullptr) == 1 &&
         EVP_DigestUpdate(context, block.data(), block.size()) == 1;
}

bool add(EVP_MD_CTX* context, std::initializer_list<Bytes> parts) {
  return std::ranges::all_of(parts, [context](Bytes part) {
    return EVP_DigestUpdate(context, part.data(), part.size()) == 1;
  });
}

}  // namespace

struct HashContext::OfThread {
  const OpenSslPtr<EVP_MD_CTX> context{EVP_MD_CTX_new()};
  unsigned borrowers = 0;
};

HashContext::HashContext() {
  thread_local OfThread of_this_thread;
  of_thread_ = &of_this_thread;
  ++of_thread_->borrowers;
}

HashContext::~HashContext() {
  if (--of_thread_->borrowers == 0) EVP_MD_CTX_reset(of_thread_->context.get());
}

EVP_MD_CTX* HashContext::get() const noexcept { return of_thread_->context.get(); }

void Hmac::FreeState::operator()(EVP_MD_CTX* state) const noexcept { EVP_MD_CTX_free(state); }

// The hash after `block`; null when OpenSSL fails.
Hmac::State Hmac::state_after(Hash hash, Bytes block) {
  State state(EVP_MD_CTX_new());
  if (state == nullptr || !begin(state.get(), hash, block)) return nullptr;
  return state;
}

Result<Hmac> Hmac::keyed(Hash hash, Bytes key) {
  TRY(check_key(key));
  KeyBlock block(key);
  State inner = state_after(hash, block.inner());
  State outer = state_after(hash, block.outer());
  if (inner == nullptr || outer == nullptr) return hash_failed();
  return Hmac(std::move(inner), std::move(outer));
}

// H(K XOR opad, H(K XOR ipad, parts)).
Result<void> Hmac::compute(HashContext& borrowed, std::initializer_list<Bytes> parts,
                           MutableBytes out) const {
  EVP_MD_CTX* const context = borrowed.get();
  unsigned int size = 0;
  if (context == nullptr || EVP_MD_CTX_copy_ex(context, inner_.get()) != 1 ||
      !add(context, parts) || EVP_DigestFinal_ex(context, out.data(), &size) != 1 ||
      EVP_MD_CTX_copy_ex(context, outer_.get()) != 1 ||
      EVP_DigestUpdate(context, out.data(), size) != 1 ||
      EVP_DigestFinal_ex(context, out.data(), &size) != 1) {
    return hash_failed();
  }
  return {};
}

Result<void> Hmac::once(HashContext& borrowed, Hash hash, Bytes key,
                        std::initializer_list<Bytes> parts, MutableBytes out) {
  TRY(check_key(key));
  KeyBlock block(key);
  EVP_MD_CTX* const context = borrowed.get();
  unsigned int size = 0;
  if (context == nullptr || !begin(context, hash, block.inner()) || !add(context, parts) ||
      EVP_DigestFinal_ex(context, out.data(), &size) != 1 || !begin(context, hash, block.outer()) ||
      EVP_DigestUpdate(context, out.data(), size) != 1 ||
      EVP_DigestFinal_ex(context, out.data(), &size) != 1) {
    return hash_failed();
  }
  return {};
}

}  // namespace keystub::mikey
