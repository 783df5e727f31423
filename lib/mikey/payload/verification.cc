#include "mikey/payload/verification.h"

namespace keystub::mikey {

Result<VerificationView> decode_v(ByteReader& reader) {
  const Place place = reader.here();
  const VerificationView verification = TRY(decode_mac(reader, "Auth alg"));
  if (verification.alg == MacAlg::null) {  // [3830-4.2.4-04]
    return std::unexpected(
        Error(Category::malformed, "Auth alg NULL: without a MAC anyone could change the message",
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_mac)));
  }
  return verification;
}

void encode_v(ByteWriter& writer, const VerificationView& verification) {
  writer.u8(static_cast<std::uint8_t>(verification.alg));
  writer.bytes(verification.mac);
}

Result<VerificationView> decode_mac(ByteReader& reader, std::string_view alg_field) {
  const auto alg = static_cast<MacAlg>(TRY(reader.u8(alg_field)));
  switch (alg) {
    case MacAlg::null: return VerificationView{alg, TRY(reader.bytes(0, "MAC"))};
    case MacAlg::hmac_sha_1_160: return VerificationView{alg, TRY(reader.bytes(20, "MAC"))};
    case MacAlg::hmac_sha_256_256: return VerificationView{alg, TRY(reader.bytes(32, "MAC"))};
  }
  return reader.malformed(std::string(alg_field) + " " + std::to_string(static_cast<int>(alg)) +
                          " is unassigned, so the length of the MAC is unknown");
}

}  // namespace keystub::mikey
