#include "mikey/payload/ticket_header.h"

namespace keystub::mikey {

TicketHeaderView decode_thdr(ByteReader& reader) {
  reader.enter("THDR", "RFC 6043 A.3");
  const auto next = static_cast<PayloadType>(reader.u8("Next payload of THDR"));
  const std::uint16_t length = reader.u16("THDR Data length");
  return {next, reader.bytes(length, "THDR Data")};
}

void encode_thdr(ByteWriter& writer, const TicketHeaderView& header) {
  writer.u8(static_cast<std::uint8_t>(header.next_payload));
  writer.u16_length(header.data.size(), "THDR Data length");
  writer.bytes(header.data);
}

}  // namespace keystub::mikey
