#include "rpc/library.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include <absl/synchronization/mutex.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include "rpc/accept.h"

namespace keystub::rpc {
namespace {

// Never freed: gRPC's threads log until the process is gone.
std::function<void(LibrarySeverity, std::string_view)>* library_sink = nullptr;

void forward(gpr_log_func_args* args) {
  const auto severity = args->severity == GPR_LOG_SEVERITY_ERROR  ? LibrarySeverity::error
                        : args->severity == GPR_LOG_SEVERITY_INFO ? LibrarySeverity::info
                                                                  : LibrarySeverity::debug;
  const std::string_view text = args->message;
  if (severity == LibrarySeverity::error && text.starts_with("assertion failed")) {
    std::fprintf(stderr, "gRPC: %s (%s:%d)\n", args->message, args->file, args->line);
  }
  (*library_sink)(severity, text);
}

// A call on a channel that leads nowhere: without credentials it fails at once, and opens no
// socket. The channel keeps what the call has asked for.
struct Keeper {
  Keeper() {
    stub.UnaryCall(&context, "/keystub/Keep", {}, &request, &response, [](const grpc::Status&) {});
  }
  grpc::GenericStub stub{grpc::CreateChannel("", nullptr)};
  grpc::ClientContext context;
  grpc::ByteBuffer request{nullptr, 0};
  grpc::ByteBuffer response;
};

}  // namespace

void prepare_library() {
  [[maybe_unused]] static const Keeper* const kept = [] {
    bound_accepted_connections();
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return new Keeper;  // never freed: that is what it is for
  }();
}

void end_process(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

void route_library_log(std::function<void(LibrarySeverity, std::string_view)> sink) {
  library_sink = new std::function<void(LibrarySeverity, std::string_view)>(std::move(sink));
  gpr_set_log_function(forward);
}

}  // namespace keystub::rpc
