// The AES key wrap of RFC 3394 with a 128-bit key: the optional encryption of a KEMAC, whose
// salting key is the IV (RFC 3830 4.2.3).
#pragma once

#include "mikey/derivation.h"

namespace keystub::mikey {

// What wrapping adds.
inline constexpr std::size_t kKeyWrapOctets = 8;

// `key` has 16 octets, `salt` 8. `plain` has 16 octets or more and a multiple of 8 (malformed
// otherwise: MIKEY defines no padding), `wrapped` kKeyWrapOctets more.
Result<void> wrap_keys(const EncrKey& key, const SaltKey& salt, Bytes plain, MutableBytes wrapped);

// `plain` has kKeyWrapOctets less than `wrapped`. Unauthenticated when the octets were not wrapped
// with this key and salt.
Result<void> unwrap_keys(const EncrKey& key, const SaltKey& salt, Bytes wrapped,
                         MutableBytes plain);

}  // namespace keystub::mikey
