#include "tlspsk/key_ring.h"

#include <algorithm>

namespace keystub::tlspsk {

Result<void> validate_candidate(const Candidate& candidate) {
  if (candidate.identity.empty() || candidate.identity.size() > kMaxIdentityOctets) {
    return fail(Category::malformed, "a PSK identity has 1 to " +
                                         std::to_string(kMaxIdentityOctets) + " octets, this has " +
                                         std::to_string(candidate.identity.size()));
  }
  // OpenSSL hands TLS 1.2 identities on as C strings.
  if (candidate.identity.contains('\0')) {
    return fail(Category::malformed, "a PSK identity must not hold a NUL octet");
  }
  if (candidate.psk.size() < kMinPskOctets || candidate.psk.size() > kMaxPskOctets) {
    return fail(Category::malformed, "a PSK has " + std::to_string(kMinPskOctets) + " to " +
                                         std::to_string(kMaxPskOctets) +
                                         " octets, the one of identity \"" + candidate.identity +
                                         "\" has " + std::to_string(candidate.psk.size()));
  }
  return {};
}

Result<void> KeyRing::replace(std::vector<Candidate> candidates) {
  for (auto candidate = candidates.begin(); candidate != candidates.end(); ++candidate) {
    TRY(validate_candidate(*candidate));
    const bool repeated = std::any_of(candidates.begin(), candidate, [&](const Candidate& other) {
      return other.identity == candidate->identity;
    });
    if (repeated) {
      return fail(Category::malformed,
                  "two keys of one stream have the identity \"" + candidate->identity + "\"");
    }
  }
  candidates_ = std::move(candidates);
  return {};
}

const Candidate* KeyRing::find(Bytes identity) const noexcept {
  const Candidate* found = nullptr;
  for (const Candidate& candidate : candidates_) {
    if (equal_constant_time(as_bytes(candidate.identity), identity)) found = &candidate;
  }
  return found;
}

}  // namespace keystub::tlspsk
