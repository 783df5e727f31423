#include "mikey/payload/header.h"

namespace keystub::mikey {
namespace {

Result<void> check_crypto_session_map(ByteReader& reader, const Header& header) {
  switch (header.map_type) {
    case CsIdMapType::empty:
      return {};  // what it would say, #CS sessions or none, is said elsewhere
    case CsIdMapType::srtp_id:
      for (int i = 0; i < header.cs_count; ++i) decode_srtp_id(reader);
      return reader.check();
    case CsIdMapType::generic_id:
      for (int i = 0; i < header.cs_count; ++i) decode_crypto_session(reader);
      return reader.check();
  }
  return reader.malformed("CS ID map type " + std::to_string(static_cast<int>(header.map_type)) +
                          " is unassigned, so the length of the map is unknown");
}

}  // namespace

Result<Header> decode_header(ByteReader& reader) {
  reader.enter("HDR", "RFC 6043 6.1");
  const std::uint8_t version = reader.u8("version");
  TRY(reader.check());
  if (version != kVersion) {  // [3830-6.1-01]
    return reader.malformed_at(0, "MIKEY version " + std::to_string(version) + "; only 1 exists");
  }
  Header header;
  header.data_type = static_cast<DataType>(reader.u8("data type"));
  TRY(reader.check());
  if (header.data_type > DataType::resolve_resp) {
    return std::unexpected(Error(Category::malformed,
                                 "data type " + std::to_string(static_cast<int>(header.data_type)) +
                                     " is not one of RFC 3830, RFC 4650, RFC 4738 and RFC 6043",
                                 reader.here())
                               .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_dt)));
  }
  reader.rename_message(name_of(header.data_type));
  header.next_payload = static_cast<PayloadType>(reader.u8("next payload"));
  TRY(reader.check());
  if (header.next_payload == PayloadType::last || header.next_payload == PayloadType::sign) {
    std::string text(name_of(header.next_payload));
    return reader.malformed_at(2, text + " cannot directly follow the header");
  }
  const std::uint8_t v_and_prf = reader.u8("V and PRF func");
  header.v_flag = (v_and_prf & 0x80) != 0;
  header.prf = static_cast<PrfFunc>(v_and_prf & 0x7F);
  header.csb_id = reader.u32("CSB ID");
  header.cs_count = reader.u8("#CS");
  header.map_type = static_cast<CsIdMapType>(reader.u8("CS ID map type"));
  TRY(reader.check());
  header.map_info_offset = reader.offset();
  const Bytes from_map = reader.rest();
  TRY(check_crypto_session_map(reader, header));
  header.map_info = from_map.first(from_map.size() - reader.remaining());
  return header;
}

void encode_header(ByteWriter& writer, const Header& header) {
  writer.u8(kVersion);
  writer.u8(static_cast<std::uint8_t>(header.data_type));
  writer.u8(static_cast<std::uint8_t>(header.next_payload));
  writer.u8(
      static_cast<std::uint8_t>((header.v_flag ? 0x80U : 0U) | static_cast<unsigned>(header.prf)));
  writer.u32(header.csb_id);
  writer.u8(header.cs_count);
  writer.u8(static_cast<std::uint8_t>(header.map_type));
  writer.bytes(header.map_info);
}

SrtpIdWalker Header::srtp_ids(std::string_view message) const noexcept {
  ByteReader reader(message, map_type == CsIdMapType::srtp_id ? map_info : Bytes(),
                    map_info_offset);
  reader.enter("HDR", "RFC 3830 6.1.1");
  return SrtpIdWalker(reader);
}

CryptoSessionWalker Header::crypto_session_views(std::string_view message) const noexcept {
  ByteReader reader(message, map_type == CsIdMapType::generic_id ? map_info : Bytes(),
                    map_info_offset);
  reader.enter("HDR", "RFC 6043 6.1.1");
  return CryptoSessionWalker(reader);
}

Result<std::vector<CryptoSession>> Header::crypto_sessions(std::string_view message) const {
  std::vector<CryptoSession> sessions;
  CryptoSessionWalker walker = crypto_session_views(message);
  for (;;) {
    const CryptoSessionView* session = TRY(walker.next());
    if (!session) return sessions;
    sessions.push_back(CryptoSession::from(*session));
  }
}

}  // namespace keystub::mikey
