#include "rpc/timestamp.h"

#include <algorithm>

namespace keystub::rpc {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// Whole seconds with room for the nanoseconds of another one, whatever a peer says they are.
constexpr std::int64_t kMost = std::chrono::duration_cast<seconds>(nanoseconds::max()).count() - 4;

}  // namespace

void set_timestamp(google::protobuf::Timestamp& out, WallTime time) {
  const auto whole = std::chrono::floor<seconds>(time.time_since_epoch());
  out.set_seconds(whole.count());
  out.set_nanos(static_cast<std::int32_t>((time.time_since_epoch() - whole).count()));
}

WallTime from_timestamp(const google::protobuf::Timestamp& time) {
  const std::int64_t whole = std::clamp<std::int64_t>(time.seconds(), -kMost, kMost);
  return WallTime(seconds(whole) + nanoseconds(time.nanos()));
}

}  // namespace keystub::rpc
