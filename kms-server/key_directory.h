// KeyDirectory: identities and ticket protection keys with their keys open, and the rules of the
// policy, from the cache or from the store.
//
// Identities are cached in two rooms: those that are wanted often, ready for use (KeyCache), and
// very many of them packed (PackedCache), to be made ready without the store.
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
#include "kms-server/open_identity.h"
#include "kms-server/packed_cache.h"
#include "kms-server/policy_book.h"
#include "mikey/keys.h"
#include "mikey/prf.h"

namespace keystub::kms {

struct OpenTpk {
  ByteVector id;
  mikey::Prepared<mikey::Tpk> key;
  std::optional<std::string> owner;  // mode 3: who holds it too
};

struct CacheLimits {
  std::size_t keys = 4096;  // identities that are ready for use; TPKs: the same again
  // Of the packed identities. Their other names may take a quarter of it more.
  std::size_t packed_octets = std::size_t{80} << 20;
};

class KeyDirectory {
 public:
  // Listens to the store: a changed subject leaves the cache before the change is acknowledged.
  KeyDirectory(IdentityStore& store, const Kek& kek, const CacheLimits& limits);
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

  // Identities and TPKs that are ready for use, and identities that are packed: for metrics.
  std::size_t cached() const { return identities_.size() + tpks_.size(); }
  std::size_t packed() const { return packed_identities_.size(); }

  // A shared TPK counts only as long as its owner holds it: ask OpenIdentity::holds_tpk().
  std::shared_ptr<const OpenTpk> cached_tpk(Bytes tpk_id);
  Result<std::shared_ptr<const OpenTpk>> find_tpk(Bytes tpk_id, Deadline deadline);
  std::shared_ptr<const OpenTpk> cached_active_tpk();
  Result<std::shared_ptr<const OpenTpk>> find_active_tpk(Deadline deadline);

  std::shared_ptr<const PolicyBook> cached_policy();
  Result<std::shared_ptr<const PolicyBook>> find_policy(Deadline deadline);

 private:
  std::shared_ptr<const OpenIdentity> cached_by_name(std::string_view canonical);
  // By the canonical name or an alias.
  Result<std::shared_ptr<const OpenIdentity>> find_by_name(std::string_view name,
                                                           Deadline deadline);
  void spend_an_opening(std::string_view uri) const;
  Result<std::shared_ptr<const OpenIdentity>> open(const Identity& identity) const;
  Result<std::shared_ptr<const OpenTpk>> open(const Tpk& tpk) const;

  IdentityStore& store_;
  const Kek& kek_;
  KeyCache<OpenIdentity> identities_;  // by canonical name
  PackedCache packed_identities_;      // the same, and more of them
  // Canonical names by alias or owned URI, and by the id of a PSK. May be out of date: the identity
  // itself tells which URIs and keys it has.
  PackedCache alias_owners_;
  PackedCache psk_owners_;
  KeyCache<OpenTpk> tpks_;       // by id, and the active one under kActive
  KeyCache<PolicyBook> policy_;  // one entry
};

}  // namespace keystub::kms
