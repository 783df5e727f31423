// A stranger's program: issues itself a ticket (mode 3) and prints the ticket's name. It has a TRY
// of its own, which the library's headers leave alone.
#define TRY "a stranger's"
#include <iostream>

#include "base/clock.h"
#include "mikey/request_exchange.h"

int main() {
  using namespace keystub;
  SystemClock clock;
  OpenSslRandom random;
  const mikey::TicketProtection protection{random.secret<mikey::TpkTag>(32).value(), "tpk-1", {}};
  mikey::TicketPolicy policy;
  policy.flags = mikey::kMode3Flags;
  policy.idr_i = mikey::Identity::uri("sip:alice@example.com");
  policy.idr_r = {mikey::Identity::uri("sip:bob@example.com")};
  const auto ticket = mikey::issue_ticket({clock, random}, policy, protection);
  if (!ticket) {
    std::cerr << ticket.error().describe() << '\n';
    return 1;
  }
  std::cout << "ticket of " << ticket->body.size() << " octets, flags "
            << ticket->policy.flags.letters() << ", by " << TRY << " program\n";
}
