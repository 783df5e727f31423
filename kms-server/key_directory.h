// KeyDirectory: identities and ticket protection keys with their keys open, and the rules of the
// policy, from the cache or from the store.
//
// cached_…() never blocks and gives null when the cache does not hold it; find_…() asks the store
// (never on an RPC thread) and lets what it found into the cache. Errors of find_…(): not_found,
// unavailable, busy, internal.
//
// Threads: safe from several threads. Store and KEK must outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/key_cache.h"
#include "kms-server/policy_book.h"
#include "mikey/keys.h"
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

struct OpenTpk {
  ByteVector id;
  mikey::Prepared<mikey::Tpk> key;
  std::optional<std::string> owner;  // mode 3: who holds it too
};

class KeyDirectory {
 public:
  // Listens to the store: a changed subject leaves the cache before the change is acknowledged.
  KeyDirectory(IdentityStore& store, const Kek& kek, std::size_t max_cached);
  ~KeyDirectory();
  KeyDirectory(const KeyDirectory&) = delete;
  KeyDirectory& operator=(const KeyDirectory&) = delete;

  // By any of its own URIs.
  std::shared_ptr<const OpenIdentity> cached_identity(std::string_view uri);
  Result<std::shared_ptr<const OpenIdentity>> find_identity(std::string_view uri,
                                                            Deadline deadline);
  // By any URI that it may use: its own, or one that it owns by a pattern.
  std::shared_ptr<const OpenIdentity> cached_speaker(std::string_view uri);
  Result<std::shared_ptr<const OpenIdentity>> find_speaker(std::string_view uri, Deadline deadline);
  // By the id of one of its pre-shared keys.
  std::shared_ptr<const OpenIdentity> cached_identity_of_psk(Bytes psk_id);
  Result<std::shared_ptr<const OpenIdentity>> find_identity_of_psk(Bytes psk_id, Deadline deadline);

  // Entries of both caches: for metrics.
  std::size_t cached() const { return identities_.size() + tpks_.size(); }

  // A shared TPK counts only as long as its owner holds it: ask OpenIdentity::holds_tpk().
  std::shared_ptr<const OpenTpk> cached_tpk(Bytes tpk_id);
  Result<std::shared_ptr<const OpenTpk>> find_tpk(Bytes tpk_id, Deadline deadline);
  std::shared_ptr<const OpenTpk> cached_active_tpk();
  Result<std::shared_ptr<const OpenTpk>> find_active_tpk(Deadline deadline);

  std::shared_ptr<const PolicyBook> cached_policy();
  Result<std::shared_ptr<const PolicyBook>> find_policy(Deadline deadline);

 private:
  Result<std::shared_ptr<const OpenIdentity>> open(const Identity& identity) const;
  Result<std::shared_ptr<const OpenTpk>> open(const Tpk& tpk) const;

  IdentityStore& store_;
  const Kek& kek_;
  KeyCache<OpenIdentity> identities_;  // by canonical name
  // Canonical names by alias or owned URI, and by the id of a PSK. May be out of date: the identity
  // itself tells which URIs and keys it has.
  KeyCache<std::string> alias_owners_;
  KeyCache<std::string> psk_owners_;
  KeyCache<OpenTpk> tpks_;       // by id, and the active one under kActive
  KeyCache<PolicyBook> policy_;  // one entry
};

}  // namespace keystub::kms
