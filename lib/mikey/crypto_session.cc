#include "mikey/crypto_session.h"

namespace keystub::mikey {

Result<CryptoSessionView> decode_crypto_session(ByteReader& reader) {
  CryptoSessionView session;
  session.cs_id = TRY(reader.u8("CS ID"));
  session.prot_type = static_cast<ProtType>(TRY(reader.u8("Prot type")));
  const std::uint8_t s_and_count = TRY(reader.u8("S and #P"));
  session.s_flag = (s_and_count & 0x80) != 0;
  session.policies = TRY(reader.bytes(s_and_count & 0x7F, "Ps"));
  const std::uint16_t data_length = TRY(reader.u16("Session Data Length"));
  session.session_data = TRY(reader.bytes(data_length, "Session Data"));
  const std::uint8_t spi_length = TRY(reader.u8("SPI Length"));
  session.spi = TRY(reader.bytes(spi_length, "SPI"));
  return session;
}

void encode_crypto_session(ByteWriter& writer, const CryptoSession& session) {
  writer.u8(session.cs_id);
  writer.u8(static_cast<std::uint8_t>(session.prot_type));
  writer.u8(static_cast<std::uint8_t>((session.s_flag ? 0x80U : 0U) | session.policies.size()));
  writer.bytes(session.policies);
  writer.u16(static_cast<std::uint16_t>(session.session_data.size()));
  writer.bytes(session.session_data);
  writer.u8(static_cast<std::uint8_t>(session.spi.size()));
  writer.bytes(session.spi);
}

Result<SecurityPolicyView> decode_sp(ByteReader& reader) {
  SecurityPolicyView policy;
  policy.policy_no = TRY(reader.u8("Policy no"));
  policy.prot_type = static_cast<ProtType>(TRY(reader.u8("Prot type")));
  const std::uint16_t length = TRY(reader.u16("Policy param length"));
  ByteReader parameters = TRY(reader.sub_reader(length, "Policy param"));
  policy.parameters = parameters.rest();
  while (!parameters.at_end()) {
    TRY(parameters.u8("Type"));
    const std::uint8_t value_length = TRY(parameters.u8("Length"));
    TRY(parameters.bytes(value_length, "Value"));
  }
  return policy;
}

void encode_sp(ByteWriter& writer, const SecurityPolicy& policy) {
  writer.u8(policy.policy_no);
  writer.u8(static_cast<std::uint8_t>(policy.prot_type));
  writer.u16(static_cast<std::uint16_t>(policy.parameters.size()));
  writer.bytes(policy.parameters);
}

}  // namespace keystub::mikey
