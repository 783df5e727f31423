// HMAC with SHA-1 or SHA-256, keyed once and used many times (RFC 3830 4.2.4, RFC 6043 6.2).
#pragma once

#include <openssl/types.h>

#include <array>
#include <initializer_list>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::mikey {

enum class Hash : std::uint8_t { sha_1, sha_256 };

inline constexpr std::size_t kMaxHmacSize = 32;
constexpr std::size_t hmac_size(Hash hash) noexcept { return hash == Hash::sha_1 ? 20 : 32; }

// A keyed HMAC. Takes its OpenSSL context from a pool of this thread and gives it back, because
// making one costs six times as much as using one. Not thread-safe; stays on its thread.
class Hmac {
 public:
  // The key may have any length but zero.
  static Result<Hmac> keyed(Hash hash, Bytes key);
  Hmac(Hmac&& other) noexcept;
  Hmac& operator=(Hmac&&) = delete;
  ~Hmac();

  // HMAC over the parts, one after the other. `out` has hmac_size(hash) octets and may be one of
  // the parts.
  Result<void> compute(std::initializer_list<Bytes> parts, MutableBytes out);

 private:
  Hmac(Hash hash, EVP_MAC_CTX* context) noexcept : hash_(hash), context_(context) {}

  Hash hash_;
  EVP_MAC_CTX* context_;
};

}  // namespace keystub::mikey
