// The client's side of grpc.health.v1.Health: what the healthcheck verb of each daemon asks.
#pragma once

#include <chrono>

#include <grpcpp/channel.h>

#include "base/error.h"

namespace keystub::rpc {

// Trailing metadata of Check: why the server is NOT_SERVING, for callers that proved who they are.
inline constexpr const char* kHealthReasonKey = "keystub-health-reason";

// Success when the server answers SERVING; unavailable otherwise, with what it said.
Result<void> check_health(const std::shared_ptr<grpc::Channel>& channel,
                          std::chrono::milliseconds timeout);

}  // namespace keystub::rpc
