// One row of a guard's table (rpc/guard.h). Free of gRPC.
#pragma once

#include <string>
#include <vector>

#include "rpc/caller.h"

namespace keystub::rpc {

struct MethodRule {
  // "/package.Service/Method"
  std::string method;
  CallerKinds allowed;
  // For callers that have names (a certificate's, or "uid:N" on the Unix socket): one of them must
  // be here. Empty: any.
  std::vector<std::string> names = {};
};

}  // namespace keystub::rpc
