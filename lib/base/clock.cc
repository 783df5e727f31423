#include "base/clock.h"

namespace keystub {
namespace {

constexpr std::int64_t kNtpToUnixSeconds = 2'208'988'800;  // 1900 to 1970
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::int64_t kEraSeconds = std::int64_t{1} << 32;

}  // namespace

std::uint64_t to_ntp(WallTime time) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto nanos = static_cast<std::uint64_t>((time - seconds).count());
  const auto ntp_seconds =
      static_cast<std::uint32_t>(seconds.time_since_epoch().count() + kNtpToUnixSeconds);
  // Rounded up, so that from_ntp(to_ntp(t)) == t for every whole nanosecond.
  const std::uint64_t fraction = ((nanos << 32) + static_cast<std::uint64_t>(kNanosPerSecond) - 1) /
                                 static_cast<std::uint64_t>(kNanosPerSecond);
  return static_cast<std::uint64_t>(ntp_seconds) << 32 | fraction;
}

WallTime from_ntp(std::uint64_t ntp) noexcept {
  std::int64_t seconds = static_cast<std::int64_t>(ntp >> 32);
  // Bit 0 set: 1968 to 2036. Bit 0 clear: 2036 to 2104.
  if ((ntp >> 63) == 0) seconds += kEraSeconds;
  const auto nanos = static_cast<std::int64_t>(
      ((ntp & 0xFFFFFFFF) * static_cast<std::uint64_t>(kNanosPerSecond)) >> 32);
  return WallTime(std::chrono::seconds(seconds - kNtpToUnixSeconds) +
                  std::chrono::nanoseconds(nanos));
}

std::uint64_t DistinctNtpTimes::next(WallTime now) noexcept {
  constexpr std::uint64_t kSecond = std::uint64_t{1} << 32;
  const std::uint64_t ntp = to_ntp(now);
  std::uint64_t last = last_.load();
  std::uint64_t next = 0;
  do {
    next = last - ntp < kSecond ? last + 1 : ntp;  // the difference wraps as the era does
  } while (!last_.compare_exchange_weak(last, next));
  return next;
}

}  // namespace keystub
