// The responder's part: early refusal, the resolve at the KMS, verification, and the answer with
// TRANSFER_RESP (RFC 6043 4.2.2.2, TS 33.328).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "replay/replay_window.h"
#include "ue-agent/media_description.h"
#include "ue-agent/media_plan.h"
#include "ue-agent/reporter.h"
#include "ue-agent/ticket_service.h"
#include "ue-agent/ue_config.h"

namespace keystub::ue {

struct AnswerOptions {
  // URI of the caller as the network asserts it; empty: not known.
  std::string from = {};
  // Our role where the offer leaves it to us; nothing: active.
  std::optional<sdp::Setup> setup = {};
};

struct Answer {
  std::string sdp;
  MediaPlan plan;
};

// One offer and our answer. Not thread-safe; all references must outlive it.
class AnswerProcedure {
 public:
  AnswerProcedure(const mikey::Environment& env, const UeConfig& config, TicketResolver& resolver,
                  replay::ReplayWindow& seen, Reporter& reporter, AnswerOptions options);

  // `local` is where we listen. Nothing is remembered and no key is there unless it succeeds.
  Result<Answer> answer(std::string_view sdp_offer, const service::SocketAddress& local);

 private:
  Result<void> check_skew(const mikey::Timestamp& t) const;
  Result<mikey::VerifiedTransfer> authenticate(const mikey::ReceivedTransfer& received);

  const mikey::Environment& env_;
  const UeConfig& config_;
  TicketResolver& resolver_;
  replay::ReplayWindow& seen_;
  Reporter& reporter_;
  AnswerOptions options_;
};

}  // namespace keystub::ue
