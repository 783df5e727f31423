#include "mrfp-agent/event_log.h"

#include <algorithm>

namespace keystub::mrfp {

EventLog::EventLog(std::string instance_id, std::size_t history, const Clock& clock)
    : instance_id_(std::move(instance_id)),
      capacity_(std::max<std::size_t>(history, 1)),
      clock_(clock) {}

std::uint64_t EventLog::last_sequence() const {
  const std::lock_guard lock(mutex_);
  return last_sequence_;
}

void EventLog::append(StreamEvent event) {
  std::vector<std::shared_ptr<std::function<void()>>> watchers;
  {
    const std::lock_guard lock(mutex_);
    event.sequence = ++last_sequence_;
    event.time = clock_.now();
    history_.push_back(std::move(event));
    if (history_.size() > capacity_) history_.pop_front();
    std::erase_if(watchers_, [&](const auto& watcher) {
      auto alive = watcher.lock();
      if (alive) watchers.push_back(std::move(alive));
      return watcher.expired();
    });
  }
  for (const auto& notify : watchers) (*notify)();
}

Result<std::optional<StreamEvent>> EventLog::at(std::uint64_t sequence) const {
  const std::lock_guard lock(mutex_);
  if (sequence > last_sequence_) return std::nullopt;
  const std::uint64_t first = last_sequence_ - history_.size() + 1;
  if (sequence == 0 || sequence < first) {
    return fail(Category::expired, "event " + std::to_string(sequence) +
                                       " is no longer kept, the oldest is " +
                                       std::to_string(first) + ": list the streams and watch anew");
  }
  return history_[sequence - first];
}

EventLog::Subscription EventLog::watch(std::function<void()> notify) {
  auto watcher = std::make_shared<std::function<void()>>(std::move(notify));
  const std::lock_guard lock(mutex_);
  watchers_.push_back(watcher);
  return watcher;
}

}  // namespace keystub::mrfp
