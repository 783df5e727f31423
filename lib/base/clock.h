// The time, handed in: code takes a Clock and never asks the system itself.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace keystub {

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

// NTP time: seconds since 1900 in the upper 32 bits, which overflow in 2036, and a fraction in
// units of 2^-32 s. Read as 1968 to 2104 (RFC 4330 section 3).
std::uint64_t to_ntp(WallTime time) noexcept;
WallTime from_ntp(std::uint64_t ntp) noexcept;

// Threads: implementations are safe for concurrent use.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;           // UTC
  virtual SteadyTime steady_now() const = 0;  // for timeouts and rates
  // now() as NTP; finer than a nanosecond, so a clock that replays a recorded exchange sets it.
  virtual std::uint64_t ntp_now() const { return to_ntp(now()); }
};

// NTP times of which no two are equal, even for two threads in the same nanosecond: the messages of
// an initiator have different timestamps (RFC 3830 5.2). When time is stepped back by more than a
// second, only what follows is told apart.
class DistinctNtpTimes {
 public:
  std::uint64_t next(WallTime now) noexcept;  // [3830-5.2-02]

 private:
  std::atomic<std::uint64_t> last_{0};
};

class SystemClock final : public Clock {
 public:
  WallTime now() const override {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
  }
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
  std::uint64_t ntp_now() const override { return ntp_times_.next(now()); }

 private:
  mutable DistinctNtpTimes ntp_times_;
};

}  // namespace keystub
