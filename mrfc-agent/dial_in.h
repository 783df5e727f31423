// DialIn: the MRFC as session responder (TS 23.333 5.20.2 and 6.2.19.3, RFC 6043 4.2.2).
//
//   SDP offer → early checks (no call) → KMS resolves → verify caller and message → replay window
//   → reserve at the MRFP → TRANSFER_RESP → key, roles and TCP start to the MRFP → SDP answer
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mikey/key_mgmt_attribute.h"
#include "mrfc-agent/collaborators.h"
#include "mrfc-agent/session_sdp.h"

namespace keystub::mrfc {

struct IncomingOffer {
  std::string session_id;
  std::string dialog_id;
  Parties parties;
  std::string conference_id;  // empty: a new one
  std::string sdp;
  std::string trace_id;
};

// One incoming set-up, from offer to answer. Each m-line is answered: MSRP over TLS with
// a=key-mgmt:mikey is served, everything else is rejected with port 0. Where key management fails
// for one m-line the whole set-up is refused (RFC 4567 4.1.2). Used once, by one thread; calls wait
// for KMS and MRFP.
class DialIn {
 public:
  DialIn(const Collaborators& with, IncomingOffer offer) : with_(with), offer_(std::move(offer)) {}

  // The SDP answer. On failure the caller gives back the streams that the session store knows,
  // and with them their keys.
  Result<std::string> run();

 private:
  // A served m-line; the views in `received` are into `message`.
  struct Leg {
    const RemoteMedia* remote = nullptr;
    bool session_level = false;  // its a=key-mgmt stands at session level
    Setup setup = Setup::passive;
    StreamRoles roles;
    mikey::KeyMgmt key_mgmt;
    std::optional<mikey::ReceivedTransfer> received;
    std::optional<mikey::VerifiedTransfer> verified;
    ReservedStream stream;
    std::optional<mikey::TransferAnswer> answer;
  };

  Result<void> choose_media();
  Result<void> choose(const RemoteMedia& remote);
  Result<void> check_early(Leg& leg) const;
  Result<void> resolve(Leg& leg, const std::string& self) const;
  Result<void> respond(Leg& leg, const std::string& self) const;
  Result<void> configure(const Leg& leg) const;
  Result<std::string> answer() const;

  const Collaborators& with_;
  const IncomingOffer offer_;
  RemoteDescription description_;
  std::vector<Leg> legs_;
};

}  // namespace keystub::mrfc
