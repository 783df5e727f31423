#include "mikey/payload/crypto_session.h"

namespace keystub::mikey {
namespace {

// SSRC, and with the S flag ROC and SEQ.
constexpr std::size_t srtp_session_data_octets(bool s_flag) noexcept { return s_flag ? 10 : 4; }

}  // namespace

SrtpId decode_srtp_id(ByteReader& reader) {
  SrtpId id;
  id.policy_no = reader.u8("Policy_no");
  id.ssrc = reader.u32("SSRC");
  id.roc = reader.u32("ROC");
  return id;
}

void encode_srtp_id(ByteWriter& writer, const SrtpId& id) {
  writer.u8(id.policy_no);
  writer.u32(id.ssrc);
  writer.u32(id.roc);
}

CryptoSessionView decode_crypto_session(ByteReader& reader) {
  CryptoSessionView session;
  session.cs_id = reader.u8("CS ID");
  session.prot_type = static_cast<ProtType>(reader.u8("Prot type"));
  const std::uint8_t s_and_count = reader.u8("S and #P");
  session.s_flag = (s_and_count & 0x80) != 0;
  session.policies = reader.bytes(s_and_count & 0x7F, "Ps");
  const std::uint16_t data_length = reader.u16("Session Data Length");
  const std::size_t data_offset = reader.offset();
  session.session_data = reader.bytes(data_length, "Session Data");
  if (session.prot_type == ProtType::srtp && data_length != 0 &&
      data_length != srtp_session_data_octets(session.s_flag)) {
    reader.refuse(data_offset,
                  "the Session Data of an SRTP session has no octets, or 4, or 10 with the S flag");
  }
  const std::uint8_t spi_length = reader.u8("SPI Length");
  session.spi = reader.bytes(spi_length, "SPI");
  return session;
}

void encode_crypto_session(ByteWriter& writer, const CryptoSessionView& session) {
  writer.u8(session.cs_id);
  writer.u8(static_cast<std::uint8_t>(session.prot_type));
  writer.limit(session.policies.size(), 127, "#P");  // [6043-6.1.1-09]
  writer.u8(static_cast<std::uint8_t>((session.s_flag ? 0x80U : 0U) | session.policies.size()));
  writer.bytes(session.policies);
  writer.u16_length(session.session_data.size(), "Session Data Length");
  writer.bytes(session.session_data);
  writer.u8_length(session.spi.size(), "SPI Length");
  writer.bytes(session.spi);
}

Result<SrtpSessionData> decode_srtp_session_data(ByteReader reader, bool s_flag) {
  SrtpSessionData data;
  data.ssrc = reader.u32("SSRC");
  if (s_flag) {  // [6043-6.1.1-12] [6043-6.1.1-13]
    SrtpSessionData::Position position;
    position.roc = reader.u32("ROC");
    position.seq = reader.u16("SEQ");
    data.position = position;
  }
  TRY(reader.finish());
  return data;
}

void encode_srtp_session_data(ByteWriter& writer, const SrtpSessionData& data) {
  writer.u32(data.ssrc);
  if (data.position) {
    writer.u32(data.position->roc);
    writer.u16(data.position->seq);
  }
}

}  // namespace keystub::mikey
