#include "base/random.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>

namespace keystub {

Result<void> OpenSslRandom::fill(MutableBytes out) {
  if (RAND_priv_bytes(out.data(), static_cast<int>(out.size())) != 1) {
    return fail(Category::internal,
                "the random number generator failed; check the system's entropy source");
  }
  return {};
}

Result<void> OpenSslRandom::fill_each(std::span<const MutableBytes> outs) {
  // A call costs the same for 4 octets as for 256.
  std::array<std::uint8_t, 256> drawn;
  std::size_t total = 0;
  for (const MutableBytes out : outs) total += out.size();
  if (total > drawn.size()) return RandomSource::fill_each(outs);
  TRY(fill(MutableBytes(drawn).first(total)));
  const std::uint8_t* from = drawn.data();
  for (const MutableBytes out : outs) {
    std::copy_n(from, out.size(), out.begin());
    from += out.size();
  }
  wipe(MutableBytes(drawn).first(total));
  return {};
}

}  // namespace keystub
