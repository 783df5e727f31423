#include "mikey/timestamp_memory.h"

#include <limits>

#include "mikey/exchange_rules.h"

namespace keystub::mikey {
namespace {

// The next value of the same type; false where there is none.
bool advance(Timestamp& t) noexcept {
  const bool short_type = t.type == TsType::counter || t.type == TsType::ntp_utc_32;
  const std::uint64_t last = short_type ? std::numeric_limits<std::uint32_t>::max()
                                        : std::numeric_limits<std::uint64_t>::max();
  // Times go on after the roll-over of 2036; a counter must not start again.
  if (t.value == last && t.type == TsType::counter) return false;
  t.value = t.value == last ? 0 : t.value + 1;
  return true;
}

}  // namespace

void TimestampMemory::start_with_ours(const Timestamp& t) {
  last_ours_ = t;
  used_.insert(t.as_64_bits());
}

void TimestampMemory::start_with_theirs(const Timestamp& t) {
  last_theirs_ = t;
  used_.insert(t.as_64_bits());
}

Result<void> TimestampMemory::check_room() const {
  if (used_.size() < kMaxMessages) return {};
  return fail(Category::conflict, "the crypto session bundle has seen " +
                                      std::to_string(kMaxMessages) +
                                      " messages: start a new Ticket Transfer");
}

Result<Timestamp> TimestampMemory::next_ours(const Environment& env) {
  TRY(check_room());
  Timestamp t = TRY(fresh_t(env));
  if (last_ours_) {
    const std::partial_ordering order = compare(t, *last_ours_);
    if (order == std::partial_ordering::unordered) {
      return fail(Category::internal,
                  "one bundle cannot have both times and counters as T: keep to one source");
    }
    if (std::is_lteq(order)) t = *last_ours_;
  }
  while (is_used(t)) {
    if (!advance(t)) {
      return fail(Category::conflict,
                  "the counters of this bundle are used up: start a new Ticket Transfer");
    }
  }
  start_with_ours(t);
  return t;
}

Result<void> TimestampMemory::check_theirs(const Timestamp& t, const Place& place) const {
  TRY(check_room());
  const bool later = !last_theirs_ || std::is_gt(compare(t, *last_theirs_));
  if (!later || is_used(t)) {
    return refuse(Category::expired, ErrorNo::invalid_ts,
                  "T is not new: an earlier message of this bundle has it, or a later one", place);
  }
  return {};
}

Result<void> TimestampMemory::admit_theirs(const Timestamp& t, const Place& place) {
  TRY(check_theirs(t, place));
  start_with_theirs(t);
  return {};
}

}  // namespace keystub::mikey
