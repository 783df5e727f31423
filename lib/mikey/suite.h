// The algorithm suites. RFC 6043 12.1: the 256-bit algorithms go together and are never mixed
// with smaller ones.
#pragma once

#include <cstddef>

#include "mikey/types.h"

namespace keystub::mikey {

struct Suite {
  PrfFunc prf;
  EncrAlg encr;
  MacAlg mac;
  std::size_t key_octets;   // of keys that are made under this suite, and of RANDs
  std::size_t auth_octets;  // of the auth_key and of the MAC

  friend bool operator==(const Suite&, const Suite&) = default;
};

inline constexpr Suite kSuite128{PrfFunc::mikey_1, EncrAlg::aes_cm_128, MacAlg::hmac_sha_1_160, 16,
                                 20};
// The default of the profile.
inline constexpr Suite kSuite256{PrfFunc::hmac_sha_256, EncrAlg::aes_cm_256,
                                 MacAlg::hmac_sha_256_256, 32, 32};

// The suite that a PRF belongs to. The PRF must be one of the two.
constexpr const Suite& suite_of(PrfFunc prf) noexcept {
  return prf == PrfFunc::mikey_1 ? kSuite128 : kSuite256;
}

}  // namespace keystub::mikey
