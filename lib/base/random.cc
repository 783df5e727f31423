#include "base/random.h"

#include <openssl/rand.h>

namespace keystub {

Result<void> OpenSslRandom::fill(MutableBytes out) {
  if (RAND_priv_bytes(out.data(), static_cast<int>(out.size())) != 1) {
    return fail(Category::internal,
                "the random number generator failed; check the system's entropy source");
  }
  return {};
}

}  // namespace keystub
