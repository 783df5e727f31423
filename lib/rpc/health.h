// The client's side of grpc.health.v1.Health: what the healthcheck verb of each daemon asks.
#pragma once

#include <chrono>

#include <grpcpp/channel.h>

#include "base/error.h"

namespace keystub::rpc {

// Success when the server answers SERVING; unavailable otherwise, with what it said.
Result<void> check_health(const std::shared_ptr<grpc::Channel>& channel,
                          std::chrono::milliseconds timeout);

}  // namespace keystub::rpc
