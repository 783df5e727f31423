// Keeps the thread's OpenSSL error queue as it was found. Internal to the library.
#pragma once

#include <openssl/err.h>

namespace keystub::mikey {

// What libcrypto notes about a refused certificate or signature says nothing that our own errors
// do not say, and must not be read by the next user of the thread (a TLS connection). Errors noted
// while one lives are dropped; those from before stay.
class OpenSslErrorsDropped {
 public:
  OpenSslErrorsDropped() noexcept { ERR_set_mark(); }
  ~OpenSslErrorsDropped() { ERR_pop_to_mark(); }
  OpenSslErrorsDropped(const OpenSslErrorsDropped&) = delete;
  OpenSslErrorsDropped& operator=(const OpenSslErrorsDropped&) = delete;
};

}  // namespace keystub::mikey
