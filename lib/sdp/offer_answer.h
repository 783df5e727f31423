// Offer and answer (RFC 3264): the shape that an answer must have.
// Pure functions, any thread.
#pragma once

#include <optional>

#include "base/error.h"
#include "sdp/session_description.h"

namespace keystub::sdp {

// An answer that rejects everything: as many m-lines as the offer, in its order, each with the
// offered media, protocol and formats, and port 0 (RFC 3264 6); the time lines are the offer's.
// The caller then gives the streams that it takes a port, attributes and, where needed, a c= line
// of their own.
Result<SessionDescription> make_rejecting_answer(
    const SessionDescription& offer, const Origin& origin,
    const std::optional<Connection>& connection = std::nullopt);

// Fails (malformed) unless `answer` has the shape of an answer to `offer`: the same number of
// m-lines, each with the offered media and protocol, and port 0 where the offer has it.
Result<void> check_answer(const SessionDescription& offer, const SessionDescription& answer);

}  // namespace keystub::sdp
