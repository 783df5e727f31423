// Points in time in the contracts: both ways, and what a peer may put there.
#include "rpc/timestamp.h"

#include <gtest/gtest.h>

#include <limits>

namespace keystub::rpc {
namespace {

using namespace std::chrono_literals;

TEST(Timestamp, GoesThereAndBackAlsoBefore1970) {
  for (const auto since : {0ns, 1ns, 1'700'000'000'123'456'789ns, -1ns, -1'500'000'001ns}) {
    google::protobuf::Timestamp message;
    set_timestamp(message, WallTime(since));
    EXPECT_GE(message.nanos(), 0);
    EXPECT_LT(message.nanos(), 1'000'000'000);
    EXPECT_EQ(from_timestamp(message), WallTime(since));
  }
}

TEST(Timestamp, OfAnyOctetsIsATimeThatOrderHoldsFor) {
  google::protobuf::Timestamp message;
  message.set_seconds(std::numeric_limits<std::int64_t>::max());
  message.set_nanos(std::numeric_limits<std::int32_t>::max());
  const WallTime last = from_timestamp(message);
  message.set_seconds(std::numeric_limits<std::int64_t>::min());
  message.set_nanos(std::numeric_limits<std::int32_t>::min());
  EXPECT_LT(from_timestamp(message), WallTime(0ns));
  EXPECT_GT(last, WallTime(0ns));
}

}  // namespace
}  // namespace keystub::rpc
