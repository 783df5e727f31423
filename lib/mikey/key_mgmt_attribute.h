// The SDP attribute a=key-mgmt (RFC 4567) with MIKEY inside.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mikey/message.h"

namespace keystub::mikey {

inline constexpr std::string_view kKeyMgmtProtocol = "mikey";

// The value of an a=key-mgmt line: "mikey AQ4F…".
std::string format_key_mgmt(Bytes message);

struct KeyMgmt {
  ByteVector message;         // the first MIKEY message
  std::string protocol_list;  // "mikey;keyp1": every protocol that was offered, in order
};

// Reads the values of all a=key-mgmt lines of one level of an SDP, in order ("mikey AQ4F…").
// Nothing offered, no MIKEY among the protocols, or two MIKEY lines: an error.
Result<KeyMgmt> read_key_mgmt(const std::vector<std::string_view>& values);

// Refuses a message whose SDP IDs extension differs from the protocols that were offered
// (RFC 4567 4.1.4, bidding down). A message without the extension passes.
Result<void> check_sdp_ids(const Message& message, std::string_view protocol_list);

}  // namespace keystub::mikey
