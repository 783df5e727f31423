// ScriptedRandom: a RandomSource whose octets the test chooses.
#pragma once

#include <algorithm>
#include <deque>
#include <mutex>

#include "base/random.h"

namespace keystub::testing {

// Hands out queued octet strings in order, then deterministic octets that count up from a seed.
// A request that is longer or shorter than the string at the front of the queue is an error: the
// code under test asked for something else than the test thought. Thread-safe.
class ScriptedRandom final : public RandomSource {
 public:
  explicit ScriptedRandom(std::uint8_t seed = 1) : next_(seed) {}

  void push(Bytes octets) {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(to_vector(octets));
  }
  void push_hex(std::string_view hex) { push(from_hex(hex).value()); }
  // Every request from now on fails with this error; for tests of the failure path.
  void fail_from_now_on() {
    const std::scoped_lock lock(mutex_);
    failing_ = true;
  }
  std::size_t queued() const {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
  }

  Result<void> fill(MutableBytes out) override {
    const std::scoped_lock lock(mutex_);
    if (failing_) return fail(Category::internal, "scripted randomness is set to fail");
    if (queue_.empty()) {
      std::ranges::generate(out, [this] { return next_++; });
      return {};
    }
    if (queue_.front().size() != out.size()) {
      return fail(Category::internal, "scripted randomness: " + std::to_string(out.size()) +
                                          " octets are asked for, the next in the queue are " +
                                          std::to_string(queue_.front().size()));
    }
    std::ranges::copy(queue_.front(), out.begin());
    queue_.pop_front();
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<ByteVector> queue_;
  std::uint8_t next_;
  bool failing_ = false;
};

}  // namespace keystub::testing
