// A unary call of the admin port: the guard admits the caller, the work is done on the store
// executor, and its result is the status.
#pragma once

#include <functional>
#include <string>

#include "kms-server/store_executor.h"
#include "rpc/guard.h"

namespace keystub::kms {

using AdminWork = std::function<Result<void>(const rpc::Caller&)>;

// `method`: "/package.Service/Method". `on_done` runs when gRPC is through with the call, the
// request included; it may be empty. Guard and executor must outlive the call.
grpc::ServerUnaryReactor* run_admin_call(grpc::CallbackServerContext& context,
                                         const rpc::Guard& guard, StoreExecutor& executor,
                                         const std::string& method, AdminWork work,
                                         std::function<void()> on_done = {});

}  // namespace keystub::kms
