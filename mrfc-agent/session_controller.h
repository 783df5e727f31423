// SessionController: the heart of the MRFC behind its northbound interface. Owns the sessions,
// runs the procedures, and turns what the MRFP reports into session events. Knows no gRPC.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mrfc-agent/collaborators.h"
#include "mrfc-agent/dial_in.h"
#include "mrfc-agent/dial_out.h"

namespace keystub::mrfc {

struct CreatedOffer {
  std::string session_id;
  std::string conference_id;
  std::string sdp_offer;
  KeySource key_source = KeySource::kms_issued;
};

struct AcceptedOffer {
  SessionStatus status;
  std::string sdp_answer;
};

// Thread-safe; steps of one session run one after the other. Calls wait for KMS and MRFP, so they
// belong on a thread that may wait (work_pool.h).
class SessionController final : public MediaEventHandler {
 public:
  // `with` and all in it must outlive the controller.
  explicit SessionController(const Collaborators& with) : with_(with) {}

  // The session ids of the requests are ignored: they are made here.
  Result<CreatedOffer> create_offer(OfferRequest request);
  Result<SessionStatus> accept_answer(const std::string& session_id, const AnswerRequest& answer);
  Result<AcceptedOffer> accept_offer(IncomingOffer offer);
  // not_found where there is no such session.
  Result<void> release(const std::string& session_id, const std::string& trace_id);
  // Ends the sessions whose keys it takes back; how many there were.
  std::size_t cut(const KeyRevocation& revocation);
  // Before the end of the process: keys and ports are not left behind.
  void release_all();

  std::vector<SessionStatus> list() const { return with_.sessions.list(); }
  std::size_t session_count() const { return with_.sessions.size(); }

  void on_media_event(const MediaEvent& event) override;
  std::vector<StreamKey> expected_streams() const override;
  void on_streams_lost(const std::vector<StreamKey>& streams) override;
  void on_gateway_back() override;

 private:
  // A session between its steps. The mutex is held for the length of a step.
  struct Slot {
    std::mutex mutex;
    std::unique_ptr<DialOut> dial_out;  // null for a dial-in
    bool over = false;
  };

  // Makes the session and its id, which becomes the trace id where the caller gave none.
  Result<std::string> open(std::string& trace_id, const std::shared_ptr<Slot>& slot);
  std::shared_ptr<Slot> find(const std::string& session_id) const;
  // not_found where there is no such session.
  Result<void> release_because(const std::string& session_id, const std::string& detail,
                               const std::string& trace_id);
  // With the slot locked: releases the streams and forgets the session.
  void end(const std::string& session_id, Slot& slot, MediaState state, const std::string& detail,
           const std::string& trace_id);

  const Collaborators with_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_;
};

}  // namespace keystub::mrfc
