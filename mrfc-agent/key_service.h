// KeyService: the KMS as the controller sees it. The adapter over the client library is
// kms_gateway.h; tests have a KMS in their own process (tests/support/lab_kms.h).
#pragma once

#include <string>

#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"

namespace keystub::mrfc {

// Calls block until the KMS has answered or a deadline has passed. unavailable: it cannot be
// reached; anything else is its verdict. Thread-safe.
class KeyService {
 public:
  virtual ~KeyService() = default;

  // Ticket Request (RFC 6043 4.2.1) as `self`, one of the identities that the MRFC owns.
  virtual Result<mikey::GrantedTicket> request_ticket(const std::string& self,
                                                      const mikey::TicketPolicy& wish,
                                                      const std::string& trace_id) = 0;
  // Ticket Resolve (RFC 6043 4.2.3) as `self`.
  virtual Result<mikey::ResolvedTicket> resolve_ticket(const std::string& self,
                                                       const mikey::TicketView& ticket,
                                                       const std::string& trace_id) = 0;
};

}  // namespace keystub::mrfc
