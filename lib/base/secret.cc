#include "base/secret.h"

#include <openssl/crypto.h>

namespace keystub {

void wipe(MutableBytes memory) noexcept { OPENSSL_cleanse(memory.data(), memory.size()); }

}  // namespace keystub
