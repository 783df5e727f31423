// What both procedures do with a completed Ticket Transfer, and how they tell about it.
#pragma once

#include <string>
#include <string_view>

#include "mikey/transfer_exchange.h"
#include "msrp/uri.h"
#include "service/config.h"
#include "tlspsk/key_ring.h"
#include "ue-agent/reporter.h"

namespace keystub::ue {

// The PSK of the stream: the TEK of the one TLS crypto session, under its identity on the wire.
// internal if the transfer does not hold exactly one.
Result<tlspsk::Candidate> stream_key(const mikey::EstablishedTransfer& transfer);

// Fields of a policy, never a key: event `name`.
void report_policy(Reporter& reporter, std::string_view name, const mikey::TicketPolicy& policy);

// "msrps://127.0.0.1:40000/8d2f…;tcp" with 80 random bits as session id.
Result<msrp::Uri> make_msrp_uri(const service::SocketAddress& local, RandomSource& random);

// The number of an SDP's o-line.
Result<std::uint64_t> make_session_id(RandomSource& random);

}  // namespace keystub::ue
