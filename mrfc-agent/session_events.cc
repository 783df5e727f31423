#include "mrfc-agent/session_events.h"

#include <vector>

#include <fmt/format.h>

namespace keystub::mrfc {

void EventHistory::record(SessionEvent event) {
  const std::scoped_lock lock(mutex_);
  event.sequence = next_sequence_++;
  event.time = clock_.now();
  events_.push_back(std::move(event));
  if (events_.size() > kept_) events_.pop_front();
}

void EventHistory::notify() const {
  std::vector<std::shared_ptr<const std::function<void()>>> listeners;
  {
    const std::scoped_lock lock(mutex_);
    listeners.reserve(listeners_.size());
    for (const auto& [id, listener] : listeners_) listeners.push_back(listener);
  }
  for (const auto& listener : listeners) (*listener)();
}

std::uint64_t EventHistory::next_sequence() const {
  const std::scoped_lock lock(mutex_);
  return next_sequence_;
}

Result<std::optional<SessionEvent>> EventHistory::at(std::uint64_t sequence) const {
  const std::scoped_lock lock(mutex_);
  if (sequence >= next_sequence_) return std::nullopt;
  const std::uint64_t oldest = next_sequence_ - events_.size();
  if (sequence < oldest) {
    return fail(Category::expired,
                fmt::format("event {} is no longer kept, the oldest is {}: list the sessions and "
                            "watch from {}",
                            sequence, oldest, next_sequence_));
  }
  return events_[sequence - oldest];
}

EventHistory::Subscription EventHistory::subscribe(std::function<void()> listener) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t id = next_listener_++;
  listeners_.emplace(id, std::make_shared<const std::function<void()>>(std::move(listener)));
  // The deleter is the work; the pointer itself is only there to be counted.
  return {this, [this, id](void*) {
            std::shared_ptr<const std::function<void()>> dropped;  // freed after the lock
            const std::scoped_lock leave(mutex_);
            const auto found = listeners_.find(id);
            dropped = std::move(found->second);
            listeners_.erase(found);
          }};
}

}  // namespace keystub::mrfc
