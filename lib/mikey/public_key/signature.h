// The signature of the SIGN payload: RSA PKCS #1 v1.5 and RSA PSS (RFC 3830 4.2.6 and 6.5).
#pragma once

#include <initializer_list>

#include "mikey/public_key/certificate.h"
#include "mikey/suite.h"

namespace keystub::mikey {

// SIGN does not name a hash. RFC 3830 4.2.1 makes SHA-1 the default one, which the 128-bit suite
// takes; the 256-bit suite takes SHA-256, its only hash (RFC 6043 12.1). The hash of CHASH, on
// sending, is the same.
constexpr HashFunc hash_of(const Suite& suite) noexcept {
  return suite == kSuite256 ? HashFunc::sha_256 : HashFunc::sha_1;
}

// Signs the parts, one after the other; as long as the key (PrivateKey::octets). PSS uses MGF1
// with the same hash and a salt as long as the hash, which OpenSSL draws: the one random value of
// this library that is not handed in (it is public).
Result<ByteVector> sign(const PrivateKey& key, SignatureType type, HashFunc hash,
                        std::initializer_list<Bytes> parts);

// Verifies with the key of `signer`, which must have been validated. PSS: any salt length. Errors
// are unauthenticated.
Result<void> verify_signature(const Certificate& signer, SignatureType type, HashFunc hash,
                              std::initializer_list<Bytes> parts, Bytes signature,
                              const Place& place);

}  // namespace keystub::mikey
