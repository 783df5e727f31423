// The floor under an exchange: its cryptographic calls and nothing else, with EVP contexts that
// were prepared before.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "tests/support/kms_calls.h"

namespace keystub::bench {

// Not copied; not thread-safe. Ends the program when OpenSSL fails.
class CryptoFloor {
 public:
  explicit CryptoFloor(const testing::KmsCalls& calls);
  void operator()();

 private:
  using MacContext = std::shared_ptr<EVP_MAC_CTX>;
  struct Hmac {
    MacContext context;  // keyed
    ByteVector input;
  };

  std::vector<Hmac> hmacs_;
  std::vector<ByteVector> ciphers_;
  std::shared_ptr<EVP_CIPHER_CTX> cipher_;
  ByteVector random_;
};

}  // namespace keystub::bench
