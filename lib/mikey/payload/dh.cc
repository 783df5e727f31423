#include "mikey/payload/dh.h"

namespace keystub::mikey {
namespace {

// Table 6.4, in octets; 0 for an unassigned group.
constexpr std::size_t value_octets(DhGroup group) noexcept {
  switch (group) {
    case DhGroup::oakley_5: return 192;
    case DhGroup::oakley_1: return 96;
    case DhGroup::oakley_2: return 128;
  }
  return 0;
}

}  // namespace

DhView decode_dh(ByteReader& reader) {
  DhView dh;
  dh.group = static_cast<DhGroup>(reader.u8("DH-Group"));
  const std::size_t length = value_octets(dh.group);
  if (length == 0) reader.unassigned("DH group", static_cast<std::uint8_t>(dh.group));
  dh.value = reader.bytes(length, "DH-value");
  const std::uint8_t reserved_and_kv = reader.u8("Reserv and KV");
  dh.reserved = reserved_and_kv >> 4;
  dh.validity = decode_key_validity(reader, static_cast<KeyValidity>(reserved_and_kv & 15));
  return dh;
}

void encode_dh(ByteWriter& writer, const DhView& dh) {
  writer.u8(static_cast<std::uint8_t>(dh.group));
  writer.bytes(dh.value);
  writer.u8(static_cast<std::uint8_t>(dh.reserved << 4 | static_cast<unsigned>(dh.validity.kind)));
  encode_key_validity(writer, dh.validity);
}

}  // namespace keystub::mikey
