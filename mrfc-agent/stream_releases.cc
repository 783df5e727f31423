#include "mrfc-agent/stream_releases.h"

#include <utility>

namespace keystub::mrfc {

void StreamReleases::release(const StreamKey& stream, const std::string& trace_id) {
  const auto released = media_.release(stream, trace_id);
  // Only a release that another try can mend is owed; a stream that is gone is a success already.
  if (released.has_value() || (released.error().category() != Category::unavailable &&
                               released.error().category() != Category::busy)) {
    return;
  }
  const std::scoped_lock lock(mutex_);
  owed_.emplace(stream, trace_id);
}

void StreamReleases::retry() {
  std::map<StreamKey, std::string> owed;
  {
    const std::scoped_lock lock(mutex_);
    owed = std::exchange(owed_, {});
  }
  for (const auto& [stream, trace_id] : owed) release(stream, trace_id);
}

std::size_t StreamReleases::owed() const {
  const std::scoped_lock lock(mutex_);
  return owed_.size();
}

}  // namespace keystub::mrfc
