// A ticket outside of any message: from Ticket Type to the end of Ticket Data (RFC 6043 6.10), as
// GrantedTicket::body and files hold it.
#pragma once

#include "mikey/payload/ticket_policy.h"

namespace keystub::mikey {

// The first half of a TICKET payload: what the ticket is, without the Initiator Data of a message.
TicketView decode_bare_ticket(ByteReader& reader);

// The view is into `body`, which holds nothing else. malformed.
Result<TicketView> parse_bare_ticket(Bytes body);

}  // namespace keystub::mikey
