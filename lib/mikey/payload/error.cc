#include "mikey/payload/error.h"

namespace keystub::mikey {

ErrorView decode_err(ByteReader& reader) {
  const auto number = static_cast<ErrorNo>(reader.u8("Error no"));
  return {number, reader.u16("Reserved")};
}

void encode_err(ByteWriter& writer, const ErrorView& error) {
  writer.u8(static_cast<std::uint8_t>(error.number));
  writer.u16(error.reserved);
}

}  // namespace keystub::mikey
