#include "mikey/payload/key_validity.h"

namespace keystub::mikey {

KeyValidityView decode_key_validity(ByteReader& reader, KeyValidity kind) {
  KeyValidityView validity;
  validity.kind = kind;
  switch (kind) {
    case KeyValidity::null: return validity;
    case KeyValidity::spi: {
      const std::uint8_t length = reader.u8("SPI Length");
      validity.spi = reader.bytes(length, "SPI");
      return validity;
    }
    case KeyValidity::interval: {
      const std::uint8_t from_length = reader.u8("VF Length");
      validity.valid_from = reader.bytes(from_length, "Valid From");
      const std::uint8_t to_length = reader.u8("VT Length");
      validity.valid_to = reader.bytes(to_length, "Valid To");
      return validity;
    }
  }
  reader.unassigned("KV type", static_cast<std::uint8_t>(kind));
  return validity;
}

void encode_key_validity(ByteWriter& writer, const KeyValidityView& validity) {
  if (validity.kind == KeyValidity::spi) {
    writer.u8_length(validity.spi.size(), "SPI Length");
    writer.bytes(validity.spi);
  } else if (validity.kind == KeyValidity::interval) {
    writer.u8_length(validity.valid_from.size(), "VF Length");
    writer.bytes(validity.valid_from);
    writer.u8_length(validity.valid_to.size(), "VT Length");
    writer.bytes(validity.valid_to);
  }
}

}  // namespace keystub::mikey
