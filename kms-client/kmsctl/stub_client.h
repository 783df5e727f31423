// What kmsctl's clients of the admin port share: a stub, and a unary call of it with a deadline and
// its status as an Error.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "rpc/call.h"
#include "rpc/status.h"

namespace keystub::kmsctl {

template <class Stub>
class StubClient {
 public:
  StubClient(std::unique_ptr<Stub> stub, std::chrono::milliseconds timeout)
      : stub_(std::move(stub)), timeout_(timeout) {}

  template <class Request, class Response>
  Result<Response> call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request, std::string_view what) {
    grpc::ClientContext context;
    rpc::prepare(context, timeout_);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return std::unexpected(rpc::to_error(status, what));
    return response;
  }

 private:
  std::unique_ptr<Stub> stub_;
  std::chrono::milliseconds timeout_;
};

}  // namespace keystub::kmsctl
