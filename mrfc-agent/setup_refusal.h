// What to tell the SIP side when a session is not set up (RFC 4567 4.1.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"

namespace keystub::mrfc {

struct SetupRefusal {
  std::uint32_t sip_status = 0;
  std::uint32_t warning_code = 0;
  std::string warning_text;  // for the peer: says no more than it may know
};

// 488 with Warning 306 where a parameter is not supported and 399 otherwise; 503 where the KMS or
// the MRFP cannot be reached or is busy; 500 for a fault of our own. Never an invitation to do
// without protection. Nothing for errors that are about the request, not about the set-up (a
// session that does not exist, a step that its state forbids).
std::optional<SetupRefusal> setup_refusal_for(const Error& error);

}  // namespace keystub::mrfc
