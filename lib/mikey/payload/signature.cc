#include "mikey/payload/signature.h"

namespace keystub::mikey {

SignatureView decode_sign(ByteReader& reader) {
  const std::uint16_t type_and_length = reader.u16("S type and Signature len");
  return {static_cast<SignatureType>(type_and_length >> 12),
          reader.bytes(type_and_length & 0xFFF, "Signature")};
}

void encode_sign(ByteWriter& writer, const SignatureView& signature) {
  encode_sign_fields(writer, signature.type, signature.data.size());
  writer.bytes(signature.data);
}

void encode_sign_fields(ByteWriter& writer, SignatureType type, std::size_t signature_octets) {
  writer.limit(signature_octets, 0xFFF, "Signature len");
  writer.u16(static_cast<std::uint16_t>(static_cast<unsigned>(type) << 12 | signature_octets));
}

}  // namespace keystub::mikey
