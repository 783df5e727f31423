// grpc.health.v1.Health/Check by hand: the request is empty (the whole server), the answer is one
// enum. Not worth a contract of its own.
#include "rpc/health.h"

#include <future>

#include <grpcpp/generic/generic_stub.h>

#include "rpc/call.h"

namespace keystub::rpc {

Result<void> check_health(const std::shared_ptr<grpc::Channel>& channel,
                          std::chrono::milliseconds timeout) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  prepare(context, timeout);
  const grpc::Slice empty(std::string{});
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  // Shared with the callback, which may still be inside set_value when get() returns.
  const auto done = std::make_shared<std::promise<grpc::Status>>();
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [done](grpc::Status status) { done->set_value(std::move(status)); });
  const grpc::Status status = done->get_future().get();
  if (!status.ok()) {
    return fail(Category::unavailable, "health check: " + status.error_message());
  }
  std::vector<grpc::Slice> slices;
  std::string octets;
  if (response.Dump(&slices).ok()) {
    for (const auto& slice : slices) {
      octets.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  // Field 1 (status), varint 1 (SERVING).
  if (octets != std::string_view("\x08\x01", 2)) {
    std::string text = "health check: the server is up and not serving";
    const auto& trailing = context.GetServerTrailingMetadata();
    if (const auto reason = trailing.find(kHealthReasonKey); reason != trailing.end()) {
      text += ": ";
      text.append(reason->second.data(), reason->second.size());
    }
    return fail(Category::unavailable, std::move(text));
  }
  return {};
}

}  // namespace keystub::rpc
