#include "mrfc-agent/reserve.h"

namespace keystub::mrfc {

Result<ReservedStream> reserve_msrp(const Collaborators& with, const std::string& session_id,
                                    std::uint32_t media_index, std::string& conference_id,
                                    const std::string& trace_id) {
  auto reserved = with.media.reserve_msrp(conference_id, trace_id);
  if (!reserved) {
    return std::unexpected(std::move(reserved).error().with_context("reserve a stream"));
  }
  conference_id = reserved->key.context_id;
  with.sessions.set_conference(session_id, conference_id);
  with.sessions.add_media(
      session_id,
      {.index = media_index, .kind = MediaKind::msrp, .state = MediaState::offered, .roles = {}});
  with.sessions.bind(session_id, media_index, reserved->key);
  return reserved;
}

}  // namespace keystub::mrfc
