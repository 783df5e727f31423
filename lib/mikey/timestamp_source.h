// Where the T of the messages that we build comes from (RFC 3830 5.4 and 6.6, RFC 6043 6.3).
#pragma once

#include "base/clock.h"
#include "mikey/payload/timestamp.h"

namespace keystub::mikey {

class TimestampSource {
 public:
  virtual ~TimestampSource() = default;
  // A fresh T.
  virtual Result<Timestamp> next() = 0;
};

// T from a clock: NTP-UTC, NTP or NTP-UTC-32. The clock must outlive it. Thread-safe.
class ClockTimestamps final : public TimestampSource {
 public:
  // `type` must not be COUNTER.
  ClockTimestamps(const Clock& clock, TsType type) noexcept : clock_(&clock), type_(type) {}
  Result<Timestamp> next() override;

 private:
  const Clock* clock_;
  TsType type_;
};

// T of a sender without a clock: COUNTER, one more with each message. A value that was used before
// can repeat a key stream, so the owner keeps last() beyond a restart. Not thread-safe.
class CounterTimestamps final : public TimestampSource {
 public:
  // `last`: what was used last; the first T is one more.
  explicit CounterTimestamps(std::uint32_t last) noexcept : last_(last) {}
  // Fails (conflict) when all 2^32 values are used up: it never wraps round.
  Result<Timestamp> next() override;
  std::uint32_t last() const noexcept { return last_; }

 private:
  std::uint32_t last_;
};

}  // namespace keystub::mikey
