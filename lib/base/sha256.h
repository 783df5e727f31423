// SHA-256 (FIPS 180-4), of octets that are there and of such that come piece by piece.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "base/bytes.h"

namespace keystub {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Over all parts in their order. internal when OpenSSL fails. Threads: any.
Result<Sha256Digest> sha256(std::initializer_list<Bytes> parts);

// Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(Bytes octets);
  // Ends it; not to be used again. internal when OpenSSL fails, at whichever of the steps.
  Result<Sha256Digest> finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace keystub
