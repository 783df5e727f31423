// UeSession: one session of a user endpoint from the first SDP to the end of the media.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "ue-agent/answer_procedure.h"
#include "ue-agent/media_connection.h"
#include "ue-agent/offer_procedure.h"

namespace keystub::ue {

struct SessionOptions {
  MediaScript script = {};
  std::chrono::seconds timeout{30};  // for everything
  // Lab: a random key takes the place of the agreed one in TLS.
  bool wrong_psk = false;
  // Lab: connect here, with the key of this session, instead of where the SDP says.
  std::optional<service::SocketAddress> connect_to = {};
  // Lab: end after the offer/answer.
  bool no_media = false;
};

// Makes the memory of offers that were answered, once per identity (conflict when it is there).
Result<void> create_replay_memory(const UeConfig& config);

// Not thread-safe; all references must outlive it. "-" and FIFOs: document_io.h.
class UeSession {
 public:
  UeSession(const mikey::Environment& env, const UeConfig& config, Reporter& reporter,
            SessionOptions options);

  Result<void> offer(TicketSource& tickets, OfferOptions options,
                     const std::filesystem::path& offer_out,
                     const std::filesystem::path& answer_in);
  Result<void> answer(TicketResolver& resolver, AnswerOptions options,
                      const std::filesystem::path& offer_in,
                      const std::filesystem::path& answer_out);

 private:
  Result<Answer> answer_once(TicketResolver& resolver, AnswerOptions options,
                             std::string_view sdp_offer, const service::SocketAddress& local);
  Result<void> run_media(MediaPlan plan, const MediaListener& listener);

  const mikey::Environment& env_;
  const UeConfig& config_;
  Reporter& reporter_;
  SessionOptions options_;
  SteadyTime deadline_;
};

}  // namespace keystub::ue
