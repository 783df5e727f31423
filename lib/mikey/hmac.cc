#include "mikey/hmac.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

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

}  // namespace

void Hmac::FreeState::operator()(EVP_MD_CTX* state) const noexcept { EVP_MD_CTX_free(state); }

// The hash after `block`; null when OpenSSL fails.
Hmac::State Hmac::state_after(Hash hash, Bytes block) {
  State state(EVP_MD_CTX_new());
  if (state == nullptr || EVP_DigestInit_ex2(state.get(), algorithm(hash), nullptr) != 1 ||
      EVP_DigestUpdate(state.get(), block.data(), block.size()) != 1) {
    return nullptr;
  }
  return state;
}

Result<Hmac> Hmac::keyed(Hash hash, Bytes key) {
  if (key.empty() || key.size() > kBlockOctets) {
    return fail(Category::internal, "an HMAC key has 1 to 64 octets");
  }
  std::array<std::uint8_t, kBlockOctets> block{};
  std::copy_n(key.data(), key.size(), block.data());
  for (std::uint8_t& octet : block) octet ^= kInnerPad;
  State inner = state_after(hash, block);
  for (std::uint8_t& octet : block) octet ^= kInnerPad ^ kOuterPad;
  State outer = state_after(hash, block);
  wipe(block);
  if (inner == nullptr || outer == nullptr) return hash_failed();
  return Hmac(std::move(inner), std::move(outer));
}

// H(K XOR opad, H(K XOR ipad, parts)).
Result<void> Hmac::compute(std::initializer_list<Bytes> parts, MutableBytes out) const {
  const State state(EVP_MD_CTX_new());
  if (state == nullptr || EVP_MD_CTX_copy_ex(state.get(), inner_.get()) != 1) return hash_failed();
  for (const Bytes part : parts) {
    if (EVP_DigestUpdate(state.get(), part.data(), part.size()) != 1) return hash_failed();
  }
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(state.get(), out.data(), &size) != 1 ||
      EVP_MD_CTX_copy_ex(state.get(), outer_.get()) != 1 ||
      EVP_DigestUpdate(state.get(), out.data(), size) != 1 ||
      EVP_DigestFinal_ex(state.get(), out.data(), &size) != 1) {
    return hash_failed();
  }
  return {};
}

Result<void> sha_256(Bytes octets, MutableBytes out) {
  if (EVP_Digest(octets.data(), octets.size(), out.data(), nullptr, algorithm(Hash::sha_256),
                 nullptr) != 1) {
    return hash_failed();
  }
  return {};
}

}  // namespace keystub::mikey
