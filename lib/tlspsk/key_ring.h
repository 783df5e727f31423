// KeyRing: the pre-shared keys of one TCP media stream (MRFP-5), and of no other.
//
// With SIP forking a stream holds a candidate per dialog until the final answer picks one; what is
// replaced is wiped.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace keystub::tlspsk {

inline constexpr std::size_t kMaxIdentityOctets = 127;
inline constexpr std::size_t kMinPskOctets = 16;
inline constexpr std::size_t kMaxPskOctets = 64;

struct Candidate {
  std::string identity;   // on the wire, 1 to 127 octets, no NUL
  Psk psk;                // 16 to 64 octets
  std::string dialog_id;  // told back when this key was used
};

// Malformed with a sentence if a field is out of bounds. Never shows the key.
Result<void> validate_candidate(const Candidate& candidate);

// Not thread-safe: belongs to the event loop of its stream.
class KeyRing {
 public:
  KeyRing() = default;
  KeyRing(KeyRing&&) = default;
  KeyRing& operator=(KeyRing&&) = default;

  // Replaces all candidates. Malformed, and nothing changes, if one of them is invalid or two
  // share an identity. An empty list is allowed: a stream may wait for its keys.
  Result<void> replace(std::vector<Candidate> candidates);

  bool empty() const noexcept { return candidates_.empty(); }
  std::size_t size() const noexcept { return candidates_.size(); }

  // Compares with every candidate in constant time, so that the time taken does not tell which
  // identities exist. Null where none matches. Valid until the next replace().
  const Candidate* find(Bytes identity) const noexcept;

  // The key that a TLS client uses: null unless there is exactly one.
  const Candidate* only() const noexcept {
    return candidates_.size() == 1 ? &candidates_.front() : nullptr;
  }

 private:
  std::vector<Candidate> candidates_;
};

}  // namespace keystub::tlspsk
