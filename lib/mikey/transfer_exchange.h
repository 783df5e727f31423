// Ticket Transfer (RFC 6043 4.2.2): the ticket travels from initiator to responder, and both end
// with the same keys.
//
//   initiator  TransferOffer::start(ticket) -> message()  ...  accept(TRANSFER_RESP) per answer, or
//                complete() where the policy wants no answer (F = 0)
//   responder  ReceivedTransfer::parse -> check_early -> (TicketResolve, or open_… in modes 2 and
//   4)
//                -> verify(ResolvedTicket) -> VerifiedTransfer -> respond() -> octets and keys
//
// Either side may then update what they share: csb_update.h.
#pragma once

#include "mikey/transfer_answer.h"
#include "mikey/transfer_offer.h"
