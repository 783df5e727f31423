// Where tickets come from and who opens them: the two things a user endpoint needs a KMS for.
// Small interfaces, so that the procedures know no gRPC and tests hand in fakes.
#pragma once

#include <memory>

#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"

namespace keystub::ue {

class TicketSource {
 public:
  virtual ~TicketSource() = default;
  // A ticket for the wished policy, or why there is none.
  virtual Result<std::shared_ptr<const mikey::GrantedTicket>> obtain(mikey::TicketPolicy wish) = 0;
};

class TicketResolver {
 public:
  virtual ~TicketResolver() = default;
  // The keys in a ticket, if we may have them.
  virtual Result<mikey::ResolvedTicket> resolve(const mikey::TicketView& ticket) = 0;
};

// Mode 3 (RFC 6043 4.1.1): issues tickets itself under a TPK that the KMS shared with us.
class SelfIssuedTickets final : public TicketSource {
 public:
  // `env` must outlive it.
  SelfIssuedTickets(const mikey::Environment& env, mikey::TicketProtection protection)
      : env_(env), protection_(std::move(protection)) {}

  Result<std::shared_ptr<const mikey::GrantedTicket>> obtain(mikey::TicketPolicy wish) override {
    return std::make_shared<const mikey::GrantedTicket>(
        TRY(mikey::issue_ticket(env_, std::move(wish), protection_)));
  }

 private:
  const mikey::Environment& env_;
  mikey::TicketProtection protection_;
};

}  // namespace keystub::ue
