#include "rpc/retry.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace keystub::rpc {

bool Backoff::next(RandomSource& random, std::chrono::milliseconds& delay) {
  if (made_ >= policy_.attempts) return false;
  ++made_;
  // Without randomness every client would come back at the same moment: then not at all.
  std::array<std::uint8_t, 8> octets;
  if (!random.fill(octets)) return false;
  std::uint64_t draw = 0;
  std::memcpy(&draw, octets.data(), sizeof(draw));
  const double fraction = static_cast<double>(draw >> 11) * 0x1p-53;
  const double full = static_cast<double>(delay_.count());
  delay =
      std::chrono::milliseconds(static_cast<std::int64_t>(full * (1 - policy_.jitter * fraction)));
  delay_ = std::min(delay_ * 2, policy_.max_delay);
  return true;
}

}  // namespace keystub::rpc
