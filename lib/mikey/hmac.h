// HMAC with SHA-1 or SHA-256, keyed once and used many times (RFC 2104, RFC 3830 4.2.4,
// RFC 6043 6.2).
#pragma once

#include <openssl/types.h>

#include <initializer_list>
#include <memory>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::mikey {

enum class Hash : std::uint8_t { sha_1, sha_256 };

inline constexpr std::size_t kMaxHmacSize = 32;
constexpr std::size_t hmac_size(Hash hash) noexcept { return hash == Hash::sha_1 ? 20 : 32; }

// What hashes are computed in, one after the other: borrowed from this thread, so that it is not
// made anew for each. Whoever computes many holds it around them all: those inside borrow the same.
// Nothing of a key is left in it: OpenSSL wipes what it holds when the last borrower is done.
class HashContext {
 public:
  HashContext();
  ~HashContext();
  HashContext(const HashContext&) = delete;
  HashContext& operator=(const HashContext&) = delete;

 private:
  friend class Hmac;
  struct OfThread;

  EVP_MD_CTX* get() const noexcept;  // null when OpenSSL has no memory for it

  OfThread* of_thread_;
};

// A key that is ready for HMAC: the hash as it stands after K XOR ipad and after K XOR opad. Keying
// OpenSSL's own HMAC takes longer than an HMAC, and few keys of MIKEY-TICKET are good for many
// (docs/performance.md).
// OpenSSL wipes the two states when this is dropped. Threads: compute() from several at once.
class Hmac {
 public:
  // The key has 1 to 64 octets (the input block of both hashes).
  static Result<Hmac> keyed(Hash hash, Bytes key);

  // HMAC over the parts, one after the other. `out` has hmac_size(hash) octets and may be one of
  // the parts.
  Result<void> compute(HashContext& context, std::initializer_list<Bytes> parts,
                       MutableBytes out) const;
  Result<void> compute(std::initializer_list<Bytes> parts, MutableBytes out) const {
    HashContext context;
    return compute(context, parts, out);
  }

  // The same with a key that is good for one HMAC or a few: faster than to make it ready.
  static Result<void> once(HashContext& context, Hash hash, Bytes key,
                           std::initializer_list<Bytes> parts, MutableBytes out);

 private:
  struct FreeState {
    void operator()(EVP_MD_CTX* state) const noexcept;
  };
  using State = std::unique_ptr<EVP_MD_CTX, FreeState>;

  static State state_after(Hash hash, Bytes block);
  Hmac(State inner, State outer) noexcept : inner_(std::move(inner)), outer_(std::move(outer)) {}

  State inner_;
  State outer_;
};

}  // namespace keystub::mikey
