// Randomness, handed in: code takes a RandomSource and never asks the system itself.
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/secret.h"

namespace keystub {

// Threads: implementations are safe for concurrent use.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  // Fills all of `out` with cryptographically strong octets, or fails (internal).
  virtual Result<void> fill(MutableBytes out) = 0;
  // Fills several buffers: as fill() would, one after the other in their order, but in one draw
  // where a draw is what takes time.
  virtual Result<void> fill_each(std::span<const MutableBytes> outs) {
    for (const MutableBytes out : outs) KEYSTUB_TRY(fill(out));
    return {};
  }

  template <class Tag>
  Result<Secret<Tag>> secret(std::size_t octets) {
    Secret<Tag> key(octets);
    KEYSTUB_TRY(fill(key.reveal_mutable()));
    return key;
  }
  Result<ByteVector> bytes(std::size_t count) {
    ByteVector out(count);
    KEYSTUB_TRY(fill(out));
    return out;
  }
};

// OpenSSL's private DRBG (RAND_priv_bytes).
class OpenSslRandom final : public RandomSource {
 public:
  Result<void> fill(MutableBytes out) override;
  Result<void> fill_each(std::span<const MutableBytes> outs) override;
};

}  // namespace keystub
