// The words of the session control interface: what a session and its media are and how they stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mrfc-agent/roles.h"

namespace keystub::mrfc {

enum class MediaKind : std::uint8_t { msrp };

enum class MediaState : std::uint8_t {
  offered,      // reserved at the MRFP, the offer is out
  connecting,   // keys and roles are at the MRFP
  established,  // TLS stands
  failed,       // TCP or TLS did not come about, or broke
  released,     // ended in order
  rejected,     // by the answer, ours or theirs
};
std::string_view media_state_name(MediaState state) noexcept;

// Where the keys of an offer come from (TS 23.333 5.20.2 NOTE 3).
enum class KeySource : std::uint8_t {
  kms_issued,   // mode 1: the KMS issues the ticket
  self_issued,  // mode 3: the MRFC issues it under a TPK that it shares with the KMS
};

// Who is who, from the SIP signalling: URIs or header values.
struct Parties {
  std::string served;         // our own side; empty: the MRFC itself
  std::string asserted_peer;  // P-Asserted-Identity; empty: the network asserts nothing
  std::string claimed_peer;   // From, or Request-URI and To
};

// One m-line.
struct MediaStatus {
  std::uint32_t index = 0;  // position in the SDP, from 0
  MediaKind kind = MediaKind::msrp;
  MediaState state = MediaState::offered;
  StreamRoles roles;
};

struct SessionStatus {
  std::string session_id;
  std::string conference_id;  // the MRFP's context
  std::string dialog_id;      // empty until an answer is there
  // Authenticated: IDRr of TRANSFER_RESP, or IDRi of the Ticket Policy.
  std::string authenticated_peer;
  std::vector<MediaStatus> media;
  std::string trace_id;
};

}  // namespace keystub::mrfc
