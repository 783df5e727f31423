// The sessions of an MRFC, by id and by the streams they have at the MRFP.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mrfc-agent/key_origin.h"
#include "mrfc-agent/media_gateway.h"
#include "mrfc-agent/session_events.h"
#include "mrfc-agent/session_types.h"

namespace keystub::mrfc {

// What is known about the sessions, and only that: no key is here. Media states go forward only
// (offered, connecting, established, then one of the ends), so that an event that overtakes the
// answer to the request which caused it does no harm. Each change of a state is an event.
//
// Thread-safe; no call waits.
class SessionStore {
 public:
  // `limit`: sessions at the same time.
  SessionStore(EventHistory& events, std::size_t limit) : events_(events), limit_(limit) {}

  // busy at the limit; conflict when the id exists.
  Result<void> open(const std::string& session_id, const std::string& trace_id);
  void set_conference(const std::string& session_id, const std::string& conference_id);
  void set_peer(const std::string& session_id, const std::string& dialog_id,
                const std::string& authenticated_peer);
  // Adds an m-line (an index that exists is replaced) and reports its state.
  void add_media(const std::string& session_id, const MediaStatus& media);
  // Ties an m-line to its stream, so that events find it.
  void bind(const std::string& session_id, std::uint32_t media_index, const StreamKey& stream);
  // The stream is gone.
  void unbind(const StreamKey& stream);
  // The crypto session bundle that keys an m-line.
  void set_csb_id(const std::string& session_id, std::uint32_t media_index, std::uint32_t csb_id);
  // What the keys of an m-line hang on.
  void set_key_origin(const std::string& session_id, std::uint32_t media_index, KeyOrigin origin);
  // The sessions with media that it cuts, oldest first.
  std::vector<std::string> cut_by(const KeyRevocation& revocation) const;
  // Of all sessions that are here: a new bundle takes none of them (RFC 3830 6.1).
  std::vector<std::uint32_t> csb_ids() const;
  void set_roles(const std::string& session_id, std::uint32_t media_index, StreamRoles roles);
  // Moves a media state forward; a step back is ignored.
  void move(const std::string& session_id, std::uint32_t media_index, MediaState state,
            const std::string& detail);
  // The same by stream; false when no session has it.
  bool move(const StreamKey& stream, MediaState state, const std::string& detail);
  // Moves all media of the session that have not ended.
  void move_all(const std::string& session_id, MediaState state, const std::string& detail);

  std::optional<SessionStatus> find(const std::string& session_id) const;
  std::vector<SessionStatus> list() const;  // oldest first
  std::size_t size() const;
  // Those whose media have all ended, oldest first.
  std::vector<std::string> ended() const;
  std::vector<StreamKey> streams(const std::string& session_id) const;
  std::vector<StreamKey> all_streams() const;

  // False when there is none of that id.
  bool remove(const std::string& session_id);

 private:
  struct Session {
    SessionStatus status;
    std::uint64_t order = 0;
    std::map<std::uint32_t, StreamKey> streams;
    std::map<std::uint32_t, std::uint32_t> csb_ids;
    std::map<std::uint32_t, KeyOrigin> key_origins;
  };

  Session* session(const std::string& session_id);
  static MediaStatus* media(Session& session, std::uint32_t media_index);
  // With the lock held.
  void advance(Session& session, MediaStatus& media, MediaState state, const std::string& detail);

  EventHistory& events_;
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Session> sessions_;
  std::map<StreamKey, std::pair<std::string, std::uint32_t>> by_stream_;
  std::uint64_t next_order_ = 1;
};

}  // namespace keystub::mrfc
