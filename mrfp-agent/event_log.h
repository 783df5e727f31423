// EventLog: what happened to the streams, numbered, with a bounded history, for controllers that
// watch (WatchEvents of the Mp).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "tlspsk/engine.h"

namespace keystub::mrfp {

struct TcpFailed {
  std::string reason;
  bool final;
};
struct TlsFailed {
  std::string reason;
  bool final;
};
struct Released {
  std::string reason;
  std::uint64_t octets_received;
  std::uint64_t octets_sent;
};

struct StreamEvent {
  std::uint64_t sequence = 0;  // from 1
  WallTime time{};
  std::string context_id;
  std::string stream_id;
  std::string trace_id;
  std::variant<tlspsk::SessionInfo, TcpFailed, TlsFailed, Released> what;
};

// Thread-safe.
class EventLog {
 public:
  // `instance_id` names this run: sequences of another instance mean nothing here.
  EventLog(std::string instance_id, std::size_t history, const Clock& clock);

  const std::string& instance_id() const noexcept { return instance_id_; }
  // Of the newest event; 0: none yet.
  std::uint64_t last_sequence() const;

  // Gives it a sequence and a time, and calls the watchers.
  void append(StreamEvent event);

  // The event of that sequence; nothing if it has not happened yet. Expired: no longer kept, or
  // sequence 0.
  Result<std::optional<StreamEvent>> at(std::uint64_t sequence) const;

  // `notify` is called after every append, on the appending thread and without a lock held; it
  // must not wait. Dropping the subscription ends it; a call that is under way on another thread
  // may still come after that, so `notify` holds what it uses.
  using Subscription = std::shared_ptr<void>;
  Subscription watch(std::function<void()> notify);

 private:
  const std::string instance_id_;
  const std::size_t capacity_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::deque<StreamEvent> history_;
  std::uint64_t last_sequence_ = 0;
  std::vector<std::weak_ptr<std::function<void()>>> watchers_;
};

}  // namespace keystub::mrfp
