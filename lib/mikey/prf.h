// The pseudo-random functions MIKEY-1 (RFC 3830 4.1.2) and PRF-HMAC-SHA-256 (RFC 6043 6.1).
#pragma once

#include <optional>
#include <vector>

#include "mikey/hmac.h"
#include "mikey/types.h"

namespace keystub::mikey {

// A PRF keyed with `inkey`, for as many derivations as that key has. Threads: derive() from
// several at once.
class Prf {
 public:
  // An unassigned `func` or an empty `inkey` is refused.
  static Result<Prf> keyed(PrfFunc func, Bytes inkey);

  // Fills `outkey` with PRF(inkey, label).
  Result<void> derive(Bytes label, MutableBytes outkey) const;

 private:
  explicit Prf(Hash hash) noexcept : hash_(hash) {}

  Hash hash_;
  std::optional<Hmac> first_block_;  // s_1
  std::vector<Hmac> other_blocks_;   // s_2 … s_n, only for keys longer than 256 bits
};

}  // namespace keystub::mikey
