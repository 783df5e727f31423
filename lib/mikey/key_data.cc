#include "mikey/key_data.h"

#include <algorithm>

namespace keystub::mikey {

Result<KemacView> decode_kemac(ByteReader& reader) {
  KemacView kemac;
  kemac.encr_alg = static_cast<EncrAlg>(TRY(reader.u8("Encr alg")));
  const std::uint16_t length = TRY(reader.u16("Encr data len"));
  kemac.encr_data = TRY(reader.bytes(length, "Encr data"));
  kemac.mac_alg = static_cast<MacAlg>(TRY(reader.u8("Mac alg")));
  switch (kemac.mac_alg) {
    case MacAlg::null: return kemac;
    case MacAlg::hmac_sha_1_160: kemac.mac = TRY(reader.bytes(20, "MAC")); return kemac;
    case MacAlg::hmac_sha_256_256: kemac.mac = TRY(reader.bytes(32, "MAC")); return kemac;
  }
  return reader.malformed("MAC alg " + std::to_string(static_cast<int>(kemac.mac_alg)) +
                          " is unassigned, so the length of the MAC is unknown");
}

Result<KeyDataView> decode_key_data(ByteReader& reader, PayloadType& next) {
  next = static_cast<PayloadType>(TRY(reader.u8("Next payload")));
  if (next != PayloadType::key_data && next != PayloadType::last) {
    return reader.malformed("a KEMAC holds key data sub-payloads only");
  }
  const std::uint8_t types = TRY(reader.u8("Type and KV"));
  KeyDataView data;
  data.type = static_cast<KeyType>(types >> 4);
  data.validity = static_cast<KeyValidity>(types & 15);
  if (data.type > KeyType::mpk) {
    return reader.malformed("key data type " + std::to_string(types >> 4) + " is unassigned");
  }
  const std::uint16_t key_length = TRY(reader.u16("Key data len"));
  data.key = TRY(reader.bytes(key_length, "Key data"));
  if (has_salt(data.type)) {
    const std::uint16_t salt_length = TRY(reader.u16("Salt len"));
    data.salt = TRY(reader.bytes(salt_length, "Salt data"));
  }
  switch (data.validity) {
    case KeyValidity::null: return data;
    case KeyValidity::spi: {
      const std::uint8_t length = TRY(reader.u8("SPI Length"));
      data.spi = TRY(reader.bytes(length, "SPI"));
      return data;
    }
    case KeyValidity::interval: {
      const std::uint8_t from_length = TRY(reader.u8("VF Length"));
      data.valid_from = TRY(reader.bytes(from_length, "Valid From"));
      const std::uint8_t to_length = TRY(reader.u8("VT Length"));
      data.valid_to = TRY(reader.bytes(to_length, "Valid To"));
      return data;
    }
  }
  return reader.malformed("KV type " + std::to_string(types & 15) + " is unassigned");
}

void encode_key_data(ByteWriter& writer, bool last, KeyType type, Bytes key, Bytes salt,
                     Bytes spi) {
  writer.u8(static_cast<std::uint8_t>(last ? PayloadType::last : PayloadType::key_data));
  writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 |
                                      static_cast<unsigned>(KeyValidity::spi)));
  writer.u16(static_cast<std::uint16_t>(key.size()));
  writer.bytes(key);
  if (has_salt(type)) {
    writer.u16(static_cast<std::uint16_t>(salt.size()));
    writer.bytes(salt);
  }
  writer.u8(static_cast<std::uint8_t>(spi.size()));
  writer.bytes(spi);
}

Result<KemacKeys> parse_kemac_keys(ByteReader reader) {
  KemacKeys keys;
  PayloadType next = reader.at_end() ? PayloadType::last : PayloadType::key_data;
  while (next == PayloadType::key_data) {
    const KeyDataView data = TRY(decode_key_data(reader, next));
    if (data.validity != KeyValidity::spi || data.spi.empty()) {
      return reader.malformed("a key without an SPI: every key needs one (RFC 6043 6.2.1)");
    }
    if (data.key.size() < 16) {
      return reader.malformed("a key of " + std::to_string(data.key.size() * 8) +
                              " bits; keys have 128 bits or more (RFC 6043 12.1)");
    }
    if (data.type == KeyType::mpk) {
      if (!keys.session_keys.empty()) {
        return reader.malformed("an MPK after a session key: MPKs come first (RFC 6043 4.2.1.5)");
      }
      if (keys.mpks.empty()) keys.mpk_spi = to_vector(data.spi);
      keys.mpks.emplace_back(data.key);
    } else {
      const bool known = std::ranges::any_of(
          keys.session_keys, [&](const SessionKey& key) { return equal(key.spi, data.spi); });
      if (known) {
        return reader.malformed("two session keys with SPI " + to_hex(data.spi) +
                                ": a crypto session could not tell them apart");
      }
      keys.session_keys.push_back(
          {data.type, CarriedKey(data.key), SaltKey(data.salt), to_vector(data.spi)});
    }
  }
  TRY(reader.finish());
  return keys;
}

}  // namespace keystub::mikey
