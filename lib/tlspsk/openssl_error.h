// The one funnel from OpenSSL's error queue to our errors. Inside tlspsk only.
#pragma once

#include <string_view>

#include "base/error.h"

namespace keystub::tlspsk {

// Empties the calling thread's error queue and says what happened while `doing` ("handshake").
// `unknown_identity`: the peer named an identity that the stream does not hold.
Error take_openssl_error(std::string_view doing, bool unknown_identity);

}  // namespace keystub::tlspsk
