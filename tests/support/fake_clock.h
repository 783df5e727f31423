// FakeClock: a Clock that stands still until the test moves it.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace keystub::testing {

// 2026-01-02 03:04:05 UTC.
inline constexpr WallTime kTestTime{std::chrono::seconds{1767323045}};

// Thread-safe. Wall and steady time move apart only through set_now(): a stepped system clock.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime now = kTestTime) : wall_(now.time_since_epoch().count()) {}

  WallTime now() const override { return WallTime(std::chrono::nanoseconds(wall_.load())); }
  SteadyTime steady_now() const override {
    return SteadyTime(
        std::chrono::duration_cast<SteadyTime::duration>(std::chrono::nanoseconds(steady_.load())));
  }

  // Time passes: both clocks move.
  void advance(std::chrono::nanoseconds by) {
    wall_ += by.count();
    steady_ += by.count();
  }
  // The system clock is stepped: wall time alone, in either direction.
  void set_now(WallTime now) { wall_ = now.time_since_epoch().count(); }
  void set_steady(SteadyTime now) {
    steady_ = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  }

 private:
  std::atomic<std::int64_t> wall_;
  std::atomic<std::int64_t> steady_{std::int64_t{1'000'000'000'000}};
};

}  // namespace keystub::testing
