// grpc.reflection.v1alpha.ServerReflection, guarded: tells tools such as grpcurl which services a
// port has and what their messages look like. gRPC's own plugin asks no guard.
#pragma once

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "rpc/guard.h"

namespace keystub::rpc {

// Thread-safe.
class ReflectionService final
    : public grpc::reflection::v1alpha::ServerReflection::CallbackService {
 public:
  // `services`: full names of what the port serves, compiled into this program. `guard` must
  // outlive the server that this is registered with.
  ReflectionService(std::vector<std::string> services, const Guard& guard)
      : services_(std::move(services)), guard_(guard) {}

  grpc::ServerBidiReactor<grpc::reflection::v1alpha::ServerReflectionRequest,
                          grpc::reflection::v1alpha::ServerReflectionResponse>*
  ServerReflectionInfo(grpc::CallbackServerContext* context) override;

 private:
  const std::vector<std::string> services_;
  const Guard& guard_;
};

}  // namespace keystub::rpc
