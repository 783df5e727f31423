// The lowest version of TLS that this process speaks. gRPC 1.51 has no setting for it (it offers
// 1.2 and 1.3), so OpenSSL's own default for every TLS context of the process is used. Free of
// gRPC.
#pragma once

#include "base/error.h"

namespace keystub::rpc {

// From now on servers and channels made in this process refuse TLS below 1.3. Call once in main,
// before the first of them. internal when OpenSSL does not take it.
Result<void> require_tls_1_3();

}  // namespace keystub::rpc
