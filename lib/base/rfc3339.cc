#include "base/rfc3339.h"

#include <cstdint>

namespace keystub {
namespace {

// The last digits of `value`, in front of `end`; returns where they begin.
char* put(char* end, std::int64_t value, std::size_t digits) noexcept {
  for (; digits > 0; --digits, value /= 10) *--end = static_cast<char>('0' + value % 10);
  return end;
}

}  // namespace

Rfc3339::Rfc3339(WallTime time) noexcept {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<microseconds>(time - day));
  char* at = text_.data() + text_.size();
  *--at = 'Z';
  at = put(at, clock.subseconds().count(), 6);
  *--at = '.';
  at = put(at, clock.seconds().count(), 2);
  *--at = ':';
  at = put(at, clock.minutes().count(), 2);
  *--at = ':';
  at = put(at, clock.hours().count(), 2);
  *--at = 'T';
  at = put(at, static_cast<unsigned>(date.day()), 2);
  *--at = '-';
  at = put(at, static_cast<unsigned>(date.month()), 2);
  *--at = '-';
  put(at, static_cast<int>(date.year()), 4);
}

}  // namespace keystub
