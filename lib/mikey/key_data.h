// Payload KEMAC and its key data sub-payloads (RFC 3830 6.2, 6.13, 6.14; RFC 6043 6.2), and the
// keys they carry.
#pragma once

#include <optional>
#include <vector>

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "base/secret.h"
#include "mikey/types.h"

namespace keystub::mikey {

// Kinds of keys, so that two cannot be swapped.
using Mpk = Secret<struct MpkTag>;                // MIKEY protection key: MPK, MPKi, MPKr, MPKr'
using Tpk = Secret<struct TpkTag>;                // ticket protection key
using Tek = Secret<struct TekTag>;                // traffic encryption key
using CarriedKey = Secret<struct CarriedKeyTag>;  // TGK, GTGK or TEK, as a KEMAC carries it
using SaltKey = Secret<struct SaltKeyTag>;

// What a key must be like, without the key: what a wished Ticket Policy asks for.
struct KeyWish {
  KeyType type = KeyType::tgk;
  std::uint16_t key_octets = 32;
  std::uint16_t salt_octets = 0;
  ByteVector spi;  // 1 to 255 octets

  friend bool operator==(const KeyWish&, const KeyWish&) = default;
};

// A session key (TGK, GTGK or TEK) with its salt and SPI. Moves only.
struct SessionKey {
  KeyType type = KeyType::tgk;
  CarriedKey key;
  SaltKey salt;  // empty unless has_salt(type)
  ByteVector spi;

  SessionKey clone() const { return {type, key.clone(), salt.clone(), spi}; }
};

// A view of one key data sub-payload. The octets are plain text key material: they belong to a
// buffer that is wiped by its owner.
struct KeyDataView {
  KeyType type = KeyType::tgk;
  KeyValidity validity = KeyValidity::null;
  Bytes key;
  Bytes salt;
  Bytes spi;         // with KeyValidity::spi
  Bytes valid_from;  // with KeyValidity::interval
  Bytes valid_to;
};

// A view of a KEMAC payload, encrypted.
struct KemacView {
  EncrAlg encr_alg = EncrAlg::null;
  Bytes encr_data;
  MacAlg mac_alg = MacAlg::null;
  Bytes mac;
};

// After the Next Payload octet.
Result<KemacView> decode_kemac(ByteReader& reader);
// One key data sub-payload; `next` receives its Next Payload octet (key_data or last).
Result<KeyDataView> decode_key_data(ByteReader& reader, PayloadType& next);

// Appends one key data sub-payload with KV = SPI.
void encode_key_data(ByteWriter& writer, bool last, KeyType type, Bytes key, Bytes salt, Bytes spi);

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
