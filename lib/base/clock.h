// The time, handed in: code takes a Clock and never asks the system itself.
#pragma once

#include <chrono>

namespace keystub {

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

// Threads: implementations are safe for concurrent use.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;          // UTC
  virtual SteadyTime steady_now() const = 0;  // for timeouts and rates
};

class SystemClock final : public Clock {
 public:
  WallTime now() const override {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(
        std::chrono::system_clock::now());
  }
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace keystub
