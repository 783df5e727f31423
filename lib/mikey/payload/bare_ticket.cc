#include "mikey/payload/bare_ticket.h"

namespace keystub::mikey {

TicketView decode_bare_ticket(ByteReader& reader) {
  TicketView view;
  const Bytes from_type = reader.rest();
  view.policy = decode_tp(reader);
  const std::uint16_t data_length = reader.u16("Ticket Data length");
  view.ticket_data_offset = reader.offset();
  view.ticket_data = reader.bytes(data_length, "Ticket Data");
  view.body = from_type.first(from_type.size() - reader.remaining());
  return view;
}

Result<TicketView> parse_bare_ticket(Bytes body) {
  ByteReader reader("ticket", body);
  reader.enter("TICKET", "RFC 6043 6.10");
  const TicketView view = decode_bare_ticket(reader);
  TRY(reader.finish());
  return view;
}

}  // namespace keystub::mikey
