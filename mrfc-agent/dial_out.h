// DialOut: the MRFC as session initiator (TS 23.333 5.20.2 and 6.2.19.2, RFC 6043 4.2.2).
//
//   reserve at the MRFP → ticket (mode 1 or 3) → TRANSFER_INIT → SDP offer
//   … per answer: verify TRANSFER_RESP and the responder → key and roles to the MRFP → start
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mrfc-agent/collaborators.h"
#include "mrfc-agent/session_sdp.h"

namespace keystub::mrfc {

struct OfferRequest {
  std::string session_id;
  Parties parties;
  std::string conference_id;  // empty: a new one
  // One per m-line: its accept-types; empty: the configured ones.
  std::vector<std::vector<std::string>> media;
  std::string trace_id;
};

struct AnswerRequest {
  std::string dialog_id;
  std::string sdp;
  std::string asserted_peer;
  bool final = true;
  std::string trace_id;
};

// One outgoing session. One thread at a time; calls wait for KMS and MRFP.
class DialOut {
 public:
  // Reserves, gets or issues the tickets, and builds the offer. `with` must outlive the session.
  // On failure, and at the end, the caller gives back the streams that the session store knows.
  static Result<std::unique_ptr<DialOut>> start(const Collaborators& with, OfferRequest request);

  const std::string& sdp_offer() const noexcept { return sdp_offer_; }

  // Judges one answer completely (MRFC-I5) before any key leaves for the MRFP (MRFC-I6). Several
  // dialogs may answer provisionally (SIP forking, RFC 6043 12.2), each with a key of its own; the
  // final answer picks one, and the keys of the others are wiped here and at the MRFP.
  //
  // As TCP server the MRFP gets each key at once, since the peer may connect before it answers
  // finally; as TCP client it connects to one peer only, so it waits for the final answer.
  Result<void> accept(const AnswerRequest& answer);

  // The set-up is over for good: a final answer was refused, or the MRFP failed. A refused
  // provisional answer ends its own dialog only.
  bool aborted() const noexcept { return aborted_; }

 private:
  struct Leg {
    std::uint32_t index = 0;
    ReservedStream stream;
    std::optional<mikey::TransferOffer> offer;
    std::vector<PskCandidate> candidates;  // of provisional answers
    bool configured = false;               // as TCP server
  };
  // What an answer says about one m-line, verified.
  struct Judged {
    bool rejected = false;
    RemoteMedia remote;
    StreamRoles roles;
    PskCandidate key;
    std::string peer;
  };

  DialOut(const Collaborators& with, OfferRequest request, std::string invited)
      : with_(with), request_(std::move(request)), invited_(std::move(invited)) {}

  Result<void> prepare(const std::string& self);
  Result<std::shared_ptr<const mikey::GrantedTicket>> ticket(const std::string& self);
  Result<std::vector<Judged>> judge(const AnswerRequest& answer) const;
  Result<Judged> judge_media(const Leg& leg, const RemoteDescription& description,
                             const AnswerRequest& answer) const;
  Result<void> apply_provisional(Leg& leg, Judged judged);
  Result<void> apply_final(Leg& leg, Judged judged);
  Result<void> configure(Leg& leg, const Judged& judged, std::vector<PskCandidate> keys);

  const Collaborators& with_;
  const OfferRequest request_;
  const std::string invited_;
  std::string sdp_offer_;
  std::vector<Leg> legs_;
  bool answered_ = false;
  bool aborted_ = false;
};

}  // namespace keystub::mrfc
