#include "mikey/payload/verification.h"

namespace keystub::mikey {

VerificationView decode_v(ByteReader& reader) {
  const std::size_t at = reader.offset();
  const VerificationView verification = decode_mac(reader, "Auth alg");
  if (verification.alg == MacAlg::null) {  // [3830-4.2.4-04]
    reader.refuse(at, "Auth alg NULL: without a MAC anyone could change the message",
                  static_cast<std::uint8_t>(ErrorNo::invalid_mac));
  }
  return verification;
}

void encode_v(ByteWriter& writer, const VerificationView& verification) {
  writer.u8(static_cast<std::uint8_t>(verification.alg));
  writer.bytes(verification.mac);
}

VerificationView decode_mac(ByteReader& reader, std::string_view alg_field) {
  const auto alg = static_cast<MacAlg>(reader.u8(alg_field));
  switch (alg) {
    case MacAlg::null: return {alg, reader.bytes(0, "MAC")};
    case MacAlg::hmac_sha_1_160: return {alg, reader.bytes(20, "MAC")};
    case MacAlg::hmac_sha_256_256: return {alg, reader.bytes(32, "MAC")};
  }
  reader.unassigned(alg_field, static_cast<std::uint8_t>(alg));
  return {alg, {}};
}

}  // namespace keystub::mikey
