// The kinds of keys, and those that a KEMAC carries (RFC 6043 4.2, 6.2).
#pragma once

#include <vector>

#include "base/secret.h"
#include "mikey/payload/key_data.h"

namespace keystub::mikey {

// Kinds of keys, so that two cannot be swapped.
using Mpk = Secret<struct MpkTag>;                // MIKEY protection key: MPK, MPKi, MPKr, MPKr'
using Tpk = Secret<struct TpkTag>;                // ticket protection key
using Tek = Secret<struct TekTag>;                // traffic encryption key
using CarriedKey = Secret<struct CarriedKeyTag>;  // TGK, GTGK or TEK, as a KEMAC carries it
using SaltKey = Secret<struct SaltKeyTag>;

// A session key (TGK, GTGK or TEK) with its salt and SPI. Moves only.
struct SessionKey {
  KeyType type = KeyType::tgk;
  CarriedKey key;
  SaltKey salt;  // empty unless has_salt(type)
  ByteVector spi;

  SessionKey clone() const { return {type, key.clone(), salt.clone(), spi}; }
};

bool has_tgk(const std::vector<SessionKey>& keys) noexcept;

// What the KEMAC of REQUEST_RESP, RESOLVE_RESP or Ticket Data carries, in plain text.
struct KemacKeys {
  std::vector<Mpk> mpks;  // MPKi, [MPKr]; in Ticket Data the one MPK
  ByteVector mpk_spi;     // of the first MPK
  std::vector<SessionKey> session_keys;
};

// Reads a decrypted KEMAC. Refuses KV other than SPI and an empty SPI (every key needs one,
// RFC 6043 6.2.1), session keys without key data, and an MPK after a session key.
Result<KemacKeys> parse_kemac_keys(ByteReader reader);

}  // namespace keystub::mikey
