#include "rpc/library_log.h"

#include <utility>

#include <grpc/support/log.h>

namespace keystub::rpc {
namespace {

// Never freed: gRPC's threads log until the process is gone.
std::function<void(LibrarySeverity, std::string_view)>* library_sink = nullptr;

void forward(gpr_log_func_args* args) {
  const auto severity = args->severity == GPR_LOG_SEVERITY_ERROR  ? LibrarySeverity::error
                        : args->severity == GPR_LOG_SEVERITY_INFO ? LibrarySeverity::info
                                                                  : LibrarySeverity::debug;
  (*library_sink)(severity, args->message);
}

}  // namespace

void route_library_log(std::function<void(LibrarySeverity, std::string_view)> sink) {
  library_sink = new std::function<void(LibrarySeverity, std::string_view)>(std::move(sink));
  gpr_set_log_function(forward);
}

}  // namespace keystub::rpc
