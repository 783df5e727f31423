// Taking a stream at the MRFP for an m-line of a session: the first step of both procedures.
#pragma once

#include <string>

#include "mrfc-agent/collaborators.h"

namespace keystub::mrfc {

// MRFC-B6: asks for TCP/TLS/MSRP, in the session's conference or, where that is empty, in a new
// one, which becomes the session's. The stream is tied to the session at once: its events find the
// session from now on, and whoever ends the session gives it back.
Result<ReservedStream> reserve_msrp(const Collaborators& with, const std::string& session_id,
                                    std::uint32_t media_index, std::string& conference_id,
                                    const std::string& trace_id);

}  // namespace keystub::mrfc
