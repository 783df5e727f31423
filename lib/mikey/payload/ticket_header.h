// Payload THDR: the first one of the Ticket Data of a MIKEY base ticket (RFC 6043 A.3). It has no
// number: nothing but its place says what it is.
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct TicketHeaderView {
  PayloadType next_payload = PayloadType::last;
  Bytes data;  // implementation specific, at most 65535 octets
};

TicketHeaderView decode_thdr(ByteReader& reader);
void encode_thdr(ByteWriter& writer, const TicketHeaderView& header);

}  // namespace keystub::mikey
