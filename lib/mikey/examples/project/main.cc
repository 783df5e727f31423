// A program of your own: issues itself a ticket (mode 3) and says how large it is.
#include <iostream>

#include "base/clock.h"
#include "base/random.h"
#include "mikey/request_exchange.h"

int main() {
  using namespace keystub;
  SystemClock clock;
  OpenSslRandom random;
  mikey::TicketPolicy policy;
  policy.flags = mikey::kMode3Flags;
  policy.idr_i = mikey::Identity::uri("sip:alice@example.com");
  policy.idr_r = {mikey::Identity::uri("sip:bob@example.com")};
  const mikey::TicketProtection tpk{random.secret<mikey::TpkTag>(32).value(), "tpk-1", {}};
  const Result<mikey::GrantedTicket> ticket = mikey::issue_ticket({clock, random}, policy, tpk);
  if (!ticket) {
    std::cerr << ticket.error().describe() << '\n';
    return 1;
  }
  std::cout << "a ticket of " << ticket->body.size() << " octets with the flags "
            << ticket->policy.flags.letters() << '\n';
}
