// The algorithm suites. RFC 6043 12.1: the 256-bit algorithms go together and are never mixed
// with smaller ones.
#pragma once

#include <cstddef>
#include <initializer_list>

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
// The same with the optional key wrap (RFC 3830 4.2.3).
inline constexpr Suite kSuite128KeyWrap{PrfFunc::mikey_1, EncrAlg::aes_kw_128,
                                        MacAlg::hmac_sha_1_160, 16, 20};
// The default of the profile.
// [6043-12.1-09] [6043-12.1-10] [6043-6.2-01] [6043-6.2-02]
inline constexpr Suite kSuite256{PrfFunc::hmac_sha_256, EncrAlg::aes_cm_256,
                                 MacAlg::hmac_sha_256_256, 32, 32};

// The suite that a PRF belongs to. The PRF must be one of the two.
constexpr const Suite& suite_of(PrfFunc prf) noexcept {
  return prf == PrfFunc::mikey_1 ? kSuite128 : kSuite256;
}

// The suite of a PRF and an encryption algorithm; null where the two must not be mixed.
constexpr const Suite* suite_of(PrfFunc prf, EncrAlg encr) noexcept {
  for (const Suite* suite : {&kSuite128, &kSuite128KeyWrap, &kSuite256}) {
    if (suite->prf == prf && suite->encr == encr) return suite;
  }
  return nullptr;
}

// Of the salting key that goes with an encryption algorithm: 112 bits for AES-CM, 64 for AES-KW
// (RFC 3830 4.2.3).
constexpr std::size_t salt_octets(EncrAlg encr) noexcept {
  return encr == EncrAlg::aes_kw_128 ? 8 : 14;
}

}  // namespace keystub::mikey
