// The salt of a PSS signature is the one random value that OpenSSL draws for the library
// (mikey/public_key/signature.h). Here it is handed in, so that a signature can be made again.
#pragma once

#include "base/bytes.h"

namespace keystub::vectors {

// While it lives, what OpenSSL draws in this process is `salt` where it has its length, and no
// secret elsewhere; an empty salt leaves OpenSSL as it is. Not thread-safe.
class OpenSslSalt {
 public:
  explicit OpenSslSalt(ByteVector salt);
  ~OpenSslSalt();
  OpenSslSalt(const OpenSslSalt&) = delete;
  OpenSslSalt& operator=(const OpenSslSalt&) = delete;
};

}  // namespace keystub::vectors
