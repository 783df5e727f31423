// The event history of an MRFC: what happened to the media of its sessions, numbered from 1 in
// each run, the newest ones kept. Watchers read it by sequence, each at its own pace.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "mrfc-agent/session_types.h"

namespace keystub::mrfc {

struct SessionEvent {
  std::uint64_t sequence = 0;
  WallTime time;
  std::string session_id;
  std::string dialog_id;
  std::uint32_t media_index = 0;
  MediaState state = MediaState::offered;
  std::string detail;
  std::string trace_id;
};

// Thread-safe.
class EventHistory {
 public:
  // `instance_id` names this run. `kept`: how many events are remembered.
  EventHistory(std::string instance_id, const Clock& clock, std::size_t kept = 8192)
      : instance_id_(std::move(instance_id)), clock_(clock), kept_(kept) {}

  const std::string& instance_id() const noexcept { return instance_id_; }

  // Gives the event its sequence and time. Whoever records calls notify() afterwards, when it holds
  // no lock: the order of events is then the order of the changes, and listeners run free.
  void record(SessionEvent event);
  // Calls the listeners.
  void notify() const;

  // The sequence that the next event will get.
  std::uint64_t next_sequence() const;
  // The event with this sequence; nothing where it has not happened yet. expired: no longer kept.
  Result<std::optional<SessionEvent>> at(std::uint64_t sequence) const;

  // Membership of one listener; dropping it ends it. A call that is under way may still come after
  // that, so a listener holds what it uses.
  using Subscription = std::shared_ptr<void>;
  // `listener` is called when there are new events, from any thread, also from several at once. It
  // must not wait.
  Subscription subscribe(std::function<void()> listener);

 private:
  const std::string instance_id_;
  const Clock& clock_;
  const std::size_t kept_;
  mutable std::mutex mutex_;
  std::deque<SessionEvent> events_;
  std::uint64_t next_sequence_ = 1;
  std::map<std::uint64_t, std::shared_ptr<const std::function<void()>>> listeners_;
  std::uint64_t next_listener_ = 1;
};

}  // namespace keystub::mrfc
