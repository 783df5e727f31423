// Initiator Data of a TICKET payload (RFC 6043 6.10): with key forking they prove that the owner of
// the ticket made the TRANSFER_INIT around it. And the MAC of TRANSFER_INIT, which leaves them out.
// Internal to the library.
#pragma once

#include "mikey/message.h"
#include "mikey/protection.h"

namespace keystub::mikey {

// What the MAC of TRANSFER_INIT covers: the message without the Initiator Data length, the
// Initiator Data and the MAC itself (5.5). Without TICKET (an update) all of it is in `before`.
struct CoveredTransferInit {
  Bytes before;
  Bytes after;
};
CoveredTransferInit covered_by_mac(const Message& transfer_init) noexcept;

// Initiator Data = First Payload, Vi, Vr.
struct InitiatorData {
  VerificationView vi;  // repeats the MAC of V
  VerificationView vr;  // covers all but its own MAC, under MPKr, not forked
};
Result<ByteVector> make_initiator_data(const Suite& suite, const Mpk& mpkr, const Mac& v);
// Vi and Vr, both with the MAC algorithm of `suite`: suites must not be mixed (12.1).
Result<InitiatorData> read_initiator_data(const Suite& suite, const TicketView& ticket,
                                          std::string_view message);

// "The Responder SHALL also verify that the MAC field in the V payload in the TRANSFER_INIT message
// is identical to the MAC field in the Vi payload" (4.2.3.6).
Result<void> check_vi(const Message& transfer_init);
// Verifies Vr (the KMS, 4.2.3.4).
Result<void> verify_initiator_data(const Suite& suite, const TicketView& ticket, const Mpk& mpkr,
                                   const Message& message);

}  // namespace keystub::mikey
