// An identity with its keys open, as messages are judged by it; and its packed form, in which very
// many of them stay in memory (packed_cache.h).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "kms-server/identity_store.h"
#include "mikey/prf.h"

namespace keystub::kms {

// Immutable once made. Keys are prepared: every message of an identity uses the same.
struct OpenIdentity {
  struct NamedPsk {
    ByteVector id;
    mikey::Prepared<Psk> key;
    std::optional<WallTime> expires;
  };

  std::string uri;  // the canonical name
  IdentityKind kind = IdentityKind::user;
  IdentityState state = IdentityState::active;
  WallTime created;
  std::vector<std::string> aliases;
  std::vector<std::string> owned_patterns;
  std::vector<NamedPsk> psks;
  std::vector<ByteVector> shared_tpk_ids;       // mode 3
  std::vector<std::string> groups;              // the active ones that it is a member of, in order
  std::vector<PinnedCertificate> certificates;  // the one that is valid longest first

  // The key with this id, unless it has expired at `now`. With an empty id: the one whose id is
  // the canonical name, or the only one that there is.
  const mikey::Prepared<Psk>* psk(Bytes id, WallTime now) const noexcept;
  // Expired or not.
  bool has_psk(Bytes id) const noexcept;
  bool holds_tpk(Bytes id) const noexcept;
  // `canonical` is one of its own URIs, or of those that it owns by a pattern.
  bool has_uri(std::string_view canonical) const noexcept;
  bool owns(std::string_view canonical) const noexcept;
  bool answers_to(std::string_view canonical) const noexcept {
    return has_uri(canonical) || owns(canonical);
  }
};

// All of an OpenIdentity but its URI. With one key, named like the identity, and nothing else:
// 12 octets and the key.
using PackedIdentity = Secret<struct PackedIdentityTag>;

PackedIdentity pack(const OpenIdentity& identity);
// Null if `packed` is not what pack() gives.
std::shared_ptr<const OpenIdentity> unpack(std::string_view uri, Bytes packed);

}  // namespace keystub::kms
