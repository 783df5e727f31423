// The SDP of a session as the procedures see it: which m-lines there are, and for those that are
// MSRP over TLS what they say (RFC 4975 8, RFC 4145, RFC 4567). Reads what a peer sent, writes
// what we send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "mrfc-agent/media_gateway.h"
#include "mrfc-agent/roles.h"
#include "sdp/session_description.h"

namespace keystub::mrfc {

inline constexpr std::string_view kTcpTlsMsrp = "TCP/TLS/MSRP";

// One m-line of a peer. What follows `port` is read for MSRP over TLS only: nothing that is wrong
// in an m-line which is rejected anyway does harm.
struct RemoteMedia {
  std::uint32_t index = 0;
  std::string media;       // "message"
  std::string transport;   // "TCP/TLS/MSRP"
  std::uint16_t port = 0;  // 0: not wanted
  std::string ip;          // of c=, a literal address; empty: none, or a name
  std::optional<Setup> setup;
  std::string msrp_path;              // a=path
  std::vector<std::string> key_mgmt;  // values of its own a=key-mgmt lines, in order

  bool is_secured_msrp() const noexcept { return media == "message" && transport == kTcpTlsMsrp; }
};

struct RemoteDescription {
  sdp::SessionDescription sdp;
  std::vector<std::string> session_key_mgmt;  // values of a=key-mgmt at session level
  std::vector<RemoteMedia> media;
};

// Malformed when it is no SDP, or an m-line of MSRP over TLS cannot be read.
Result<RemoteDescription> read_description(std::string_view sdp);

// One m-line of ours.
struct LocalMedia {
  MediaAddress address;
  std::string msrp_path;
  std::vector<std::string> accept_types;
  Setup setup = Setup::actpass;
  Bytes key_mgmt;  // a MIKEY message; empty: the line is at session level
};

// MRFC-I1, MRFC-I4: an offer of MSRP over TLS with TRANSFER_INIT in each m-line; one at least.
// `session_number` goes into the o= line.
Result<std::string> write_offer(std::uint32_t session_number, const std::vector<LocalMedia>& media);

// MRFC-R3: an answer with an m-line for each of the offer, in order; nothing: rejected (port 0).
// `session_key_mgmt`: the message that answers a session-level a=key-mgmt; empty: none.
Result<std::string> write_answer(const RemoteDescription& offer, std::uint32_t session_number,
                                 const std::vector<std::optional<LocalMedia>>& media,
                                 Bytes session_key_mgmt);

}  // namespace keystub::mrfc
