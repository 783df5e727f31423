// Records which cryptography the library asks of OpenSSL on this thread, between construction and
// stop(). Link openssl_recorder.cc and wrap the functions that it names (--wrap).
#pragma once

#include <cstddef>
#include <vector>

namespace keystub::testing {

class OpenSslRecorder {
 public:
  struct Calls {
    std::vector<std::size_t> digests;  // octets of each, since its state was copied or begun
    std::vector<std::size_t> ciphers;  // octets
    std::vector<std::size_t> random;   // octets of each draw
  };

  OpenSslRecorder();
  Calls stop();
};

}  // namespace keystub::testing
