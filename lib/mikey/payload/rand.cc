#include "mikey/payload/rand.h"

namespace keystub::mikey {

RandView decode_rand(ByteReader& reader) {
  const std::uint8_t length = reader.u8("RAND length");
  return {reader.bytes(length, "RAND")};
}

void encode_rand(ByteWriter& writer, const RandView& rand) {
  writer.u8_length(rand.value.size(), "RAND length");
  writer.bytes(rand.value);
}

RoleRandView decode_randr(ByteReader& reader) {
  const auto role = static_cast<RandRole>(reader.u8("RAND role"));
  return {role, decode_rand(reader).value};
}

void encode_randr(ByteWriter& writer, const RoleRandView& rand) {
  writer.u8(static_cast<std::uint8_t>(rand.role));
  encode_rand(writer, {rand.value});
}

}  // namespace keystub::mikey
