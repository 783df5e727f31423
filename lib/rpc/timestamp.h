// Points in time as the contracts have them.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include "base/clock.h"

namespace keystub::rpc {

void set_timestamp(google::protobuf::Timestamp& out, WallTime time);

// What lies outside the years 1678 to 2261, which WallTime can hold, becomes the nearest that it
// can.
WallTime from_timestamp(const google::protobuf::Timestamp& time);

}  // namespace keystub::rpc
