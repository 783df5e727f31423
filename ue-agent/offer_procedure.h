// The initiator's part (TS 33.328, session-based messaging with TLS): a ticket, the offer with
// TRANSFER_INIT, the judgement on the answer with TRANSFER_RESP.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ue-agent/media_description.h"
#include "ue-agent/media_plan.h"
#include "ue-agent/reporter.h"
#include "ue-agent/ticket_service.h"
#include "ue-agent/ue_config.h"

namespace keystub::ue {

// Who makes the ticket (RFC 6043 4.1): the KMS, or we.
enum class TicketMode : std::uint8_t { mode_1, mode_3 };

struct OfferOptions {
  std::string to = {};  // URI: whom the offer is for
  TicketMode mode = TicketMode::mode_1;
  sdp::Setup setup = sdp::Setup::actpass;
  // Lab: flip a bit of the ticket on its way, as an attacker would.
  bool tamper_ticket = false;
};

// One offer and its answer. Not thread-safe; all references must outlive it.
class OfferProcedure {
 public:
  OfferProcedure(const mikey::Environment& env, const UeConfig& config, TicketSource& tickets,
                 Reporter& reporter, OfferOptions options);

  // The SDP offer; `local` is where we listen.
  Result<std::string> make_offer(const service::SocketAddress& local);

  // Verifies TRANSFER_RESP, that it comes from the one who was called, and what the SDP agrees on.
  // Only then is there a key. Call after make_offer().
  Result<MediaPlan> accept_answer(std::string_view sdp) const;

 private:
  Result<mikey::TicketPolicy> desired_policy() const;

  const mikey::Environment& env_;
  const UeConfig& config_;
  TicketSource& tickets_;
  Reporter& reporter_;
  OfferOptions options_;
  msrp::Uri local_uri_;
  std::optional<mikey::TransferOffer> transfer_;
  std::optional<sdp::SessionDescription> offer_;
};

}  // namespace keystub::ue
