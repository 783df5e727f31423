#include "mrfc-agent/session_store.h"

#include <algorithm>

#include <fmt/format.h>

namespace keystub::mrfc {
namespace {

bool has_ended(MediaState state) {
  return state == MediaState::failed || state == MediaState::released ||
         state == MediaState::rejected;
}

SessionEvent event_of(const SessionStatus& session, const MediaStatus& media,
                      const std::string& detail) {
  SessionEvent event;
  event.session_id = session.session_id;
  event.dialog_id = session.dialog_id;
  event.media_index = media.index;
  event.state = media.state;
  event.detail = detail;
  event.trace_id = session.trace_id;
  return event;
}

}  // namespace

std::string_view media_state_name(MediaState state) noexcept {
  switch (state) {
    case MediaState::offered: return "offered";
    case MediaState::connecting: return "connecting";
    case MediaState::established: return "established";
    case MediaState::failed: return "failed";
    case MediaState::released: return "released";
    case MediaState::rejected: return "rejected";
  }
  return "unknown";
}

SessionStore::Session* SessionStore::session(const std::string& session_id) {
  const auto found = sessions_.find(session_id);
  return found == sessions_.end() ? nullptr : &found->second;
}

MediaStatus* SessionStore::media(Session& session, std::uint32_t media_index) {
  const auto found = std::ranges::find(session.status.media, media_index, &MediaStatus::index);
  return found == session.status.media.end() ? nullptr : &*found;
}

void SessionStore::advance(Session& session, MediaStatus& media, MediaState state,
                           const std::string& detail) {
  if (has_ended(media.state) || state <= media.state) return;
  media.state = state;
  // Under the lock, so that events are numbered in the order of the changes.
  events_.record(event_of(session.status, media, detail));
}

Result<void> SessionStore::open(const std::string& session_id, const std::string& trace_id) {
  const std::scoped_lock lock(mutex_);
  if (sessions_.size() >= limit_) {
    return fail(Category::busy,
                fmt::format("{} sessions exist, as many as are allowed: release one or raise "
                            "limits.sessions",
                            sessions_.size()));
  }
  Session session;
  session.status.session_id = session_id;
  session.status.trace_id = trace_id;
  session.order = next_order_++;
  if (!sessions_.emplace(session_id, std::move(session)).second) {
    return fail(Category::conflict, fmt::format("session {} exists", session_id));
  }
  return {};
}

void SessionStore::set_conference(const std::string& session_id, const std::string& conference_id) {
  const std::scoped_lock lock(mutex_);
  if (Session* found = session(session_id)) found->status.conference_id = conference_id;
}

void SessionStore::set_peer(const std::string& session_id, const std::string& dialog_id,
                            const std::string& authenticated_peer) {
  const std::scoped_lock lock(mutex_);
  if (Session* found = session(session_id)) {
    found->status.dialog_id = dialog_id;
    found->status.authenticated_peer = authenticated_peer;
  }
}

void SessionStore::add_media(const std::string& session_id, const MediaStatus& added) {
  {
    const std::scoped_lock lock(mutex_);
    Session* found = session(session_id);
    if (found == nullptr) return;
    if (MediaStatus* known = media(*found, added.index)) {
      *known = added;
    } else {
      found->status.media.push_back(added);
      std::ranges::sort(found->status.media, {}, &MediaStatus::index);
    }
    events_.record(event_of(found->status, added, {}));
  }
  events_.notify();
}

void SessionStore::bind(const std::string& session_id, std::uint32_t media_index,
                        const StreamKey& stream) {
  const std::scoped_lock lock(mutex_);
  Session* found = session(session_id);
  if (found == nullptr) return;
  found->streams[media_index] = stream;
  by_stream_[stream] = {session_id, media_index};
}

void SessionStore::unbind(const StreamKey& stream) {
  const std::scoped_lock lock(mutex_);
  const auto bound = by_stream_.find(stream);
  if (bound == by_stream_.end()) return;
  if (Session* found = session(bound->second.first)) found->streams.erase(bound->second.second);
  by_stream_.erase(bound);
}

void SessionStore::set_csb_id(const std::string& session_id, std::uint32_t media_index,
                              std::uint32_t csb_id) {
  const std::scoped_lock lock(mutex_);
  if (Session* found = session(session_id)) found->csb_ids[media_index] = csb_id;
}

void SessionStore::set_key_origin(const std::string& session_id, std::uint32_t media_index,
                                  KeyOrigin origin) {
  const std::scoped_lock lock(mutex_);
  if (Session* found = session(session_id)) found->key_origins[media_index] = std::move(origin);
}

std::vector<std::string> SessionStore::cut_by(const KeyRevocation& revocation) const {
  const std::scoped_lock lock(mutex_);
  std::vector<const Session*> found;
  for (const auto& [id, session] : sessions_) {
    const std::string& peer = session.status.authenticated_peer;
    if (std::ranges::any_of(session.key_origins, [&](const auto& of_media) {
          return cuts(revocation, of_media.second, peer);
        })) {
      found.push_back(&session);
    }
  }
  std::ranges::sort(found, {}, &Session::order);
  std::vector<std::string> out;
  out.reserve(found.size());
  for (const Session* session : found) out.push_back(session->status.session_id);
  return out;
}

std::vector<std::uint32_t> SessionStore::csb_ids() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::uint32_t> out;
  out.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) {
    for (const auto& [index, csb_id] : session.csb_ids) out.push_back(csb_id);
  }
  return out;
}

void SessionStore::set_roles(const std::string& session_id, std::uint32_t media_index,
                             StreamRoles roles) {
  const std::scoped_lock lock(mutex_);
  Session* found = session(session_id);
  if (found == nullptr) return;
  if (MediaStatus* known = media(*found, media_index)) known->roles = roles;
}

void SessionStore::move(const std::string& session_id, std::uint32_t media_index, MediaState state,
                        const std::string& detail) {
  {
    const std::scoped_lock lock(mutex_);
    Session* found = session(session_id);
    if (found == nullptr) return;
    if (MediaStatus* known = media(*found, media_index)) advance(*found, *known, state, detail);
  }
  events_.notify();
}

bool SessionStore::move(const StreamKey& stream, MediaState state, const std::string& detail) {
  {
    const std::scoped_lock lock(mutex_);
    const auto bound = by_stream_.find(stream);
    if (bound == by_stream_.end()) return false;
    Session* found = session(bound->second.first);
    if (found == nullptr) return false;
    if (MediaStatus* known = media(*found, bound->second.second)) {
      advance(*found, *known, state, detail);
    }
  }
  events_.notify();
  return true;
}

void SessionStore::move_all(const std::string& session_id, MediaState state,
                            const std::string& detail) {
  {
    const std::scoped_lock lock(mutex_);
    Session* found = session(session_id);
    if (found == nullptr) return;
    for (MediaStatus& known : found->status.media) advance(*found, known, state, detail);
  }
  events_.notify();
}

std::optional<SessionStatus> SessionStore::find(const std::string& session_id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return std::nullopt;
  return found->second.status;
}

std::vector<SessionStatus> SessionStore::list() const {
  const std::scoped_lock lock(mutex_);
  std::vector<const Session*> ordered;
  ordered.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) ordered.push_back(&session);
  std::ranges::sort(ordered, {}, &Session::order);
  std::vector<SessionStatus> out;
  out.reserve(ordered.size());
  for (const Session* session : ordered) out.push_back(session->status);
  return out;
}

std::size_t SessionStore::size() const {
  const std::scoped_lock lock(mutex_);
  return sessions_.size();
}

std::vector<std::string> SessionStore::ended() const {
  std::vector<std::string> out;
  for (const SessionStatus& session : list()) {
    const bool over = std::ranges::all_of(
        session.media, [](const MediaStatus& media) { return has_ended(media.state); });
    if (!session.media.empty() && over) out.push_back(session.session_id);
  }
  return out;
}

std::vector<StreamKey> SessionStore::streams(const std::string& session_id) const {
  const std::scoped_lock lock(mutex_);
  std::vector<StreamKey> out;
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return out;
  for (const auto& [index, stream] : found->second.streams) out.push_back(stream);
  return out;
}

std::vector<StreamKey> SessionStore::all_streams() const {
  const std::scoped_lock lock(mutex_);
  std::vector<StreamKey> out;
  out.reserve(by_stream_.size());
  for (const auto& [stream, where] : by_stream_) out.push_back(stream);
  return out;
}

bool SessionStore::remove(const std::string& session_id) {
  const std::scoped_lock lock(mutex_);
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return false;
  for (const auto& [index, stream] : found->second.streams) by_stream_.erase(stream);
  sessions_.erase(found);
  return true;
}

}  // namespace keystub::mrfc
