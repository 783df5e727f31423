#include "mikey/timestamp_source.h"

#include <limits>

namespace keystub::mikey {

Result<Timestamp> ClockTimestamps::next() {
  const std::uint64_t ntp = clock_->ntp_now();
  return Timestamp{type_, type_ == TsType::ntp_utc_32 ? ntp >> 32 : ntp};
}

Result<Timestamp> CounterTimestamps::next() {
  if (last_ == std::numeric_limits<std::uint32_t>::max()) {
    return fail(Category::conflict,
                "the message counter is used up: agree on new keys and start it anew");
  }
  return Timestamp{TsType::counter, ++last_};
}

}  // namespace keystub::mikey
