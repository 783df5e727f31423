// IdentityAdmin: the changes an operator makes, free of any transport. Checks what comes in, wraps
// keys, has the store commit (which drops what the cache held), writes the audit line; only then
// is a change acknowledged.
//
// Threads: safe from several threads; calls block, so run them on the store executor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "kms-server/admin_audit.h"
#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "mikey/keys.h"
#include "rpc/caller.h"

namespace keystub::kms {

inline constexpr std::size_t kMinPskOctets = 16;
inline constexpr std::size_t kMaxPskOctets = 64;
inline constexpr std::size_t kMaxKeyIdOctets = 255;
inline constexpr std::size_t kTpkOctets = 32;
inline constexpr std::size_t kDefaultPageSize = 100;
inline constexpr std::size_t kMaxPageSize = 1000;
// 0 is kDefaultPageSize; malformed over kMaxPageSize.
Result<std::size_t> checked_page_size(std::size_t page_size);

struct AdminParts {
  IdentityStore& store;
  const Kek& kek;
  Audit& audit;
  const Clock& clock;
  RandomSource& random;
};

struct NewPsk {
  ByteVector id;                         // empty: the canonical name
  Psk key;                               // 16 to 64 octets
  std::optional<WallTime> expires = {};  // in the future
};

struct SharedTpk {
  ByteVector id;
  mikey::Tpk key;
};

// Checks and wraps it. `uri` is the canonical name: what the wrapped key is bound to. malformed.
Result<WrappedPsk> wrap_psk(const AdminParts& parts, std::string_view uri, NewPsk psk);

class IdentityAdmin {
 public:
  // `timeout` is for each call to the store.
  IdentityAdmin(const AdminParts& parts, std::chrono::milliseconds timeout)
      : parts_(parts), audit_(parts.audit, parts.clock), timeout_(timeout) {}

  // URIs may come in any form that canonical_uri() takes. Errors: malformed, not_found, conflict,
  // unavailable, busy, internal, each with a sentence for the operator.
  Result<Identity> create(const rpc::Caller& caller, std::string_view uri, IdentityKind kind,
                          std::optional<NewPsk> psk);
  Result<Identity> get(std::string_view uri);
  // `page_size` 0: kDefaultPageSize. `after`: the last URI of the page before; empty: the first.
  Result<IdentityPage> list(std::string_view uri_prefix, std::string_view after,
                            std::size_t page_size);
  Result<IdentityPage> list_groups(std::string_view uri_prefix, std::string_view after,
                                   std::size_t page_size);
  Result<Identity> suspend(const rpc::Caller& caller, std::string_view uri);
  Result<Identity> resume(const rpc::Caller& caller, std::string_view uri);
  Result<void> remove(const rpc::Caller& caller, std::string_view uri);
  Result<Identity> set_psk(const rpc::Caller& caller, std::string_view uri, NewPsk psk);
  Result<Identity> remove_psk(const rpc::Caller& caller, std::string_view uri, Bytes psk_id);
  Result<Identity> add_alias(const rpc::Caller& caller, std::string_view uri,
                             std::string_view alias);
  Result<Identity> remove_alias(const rpc::Caller& caller, std::string_view uri,
                                std::string_view alias);
  // MRFC-I3: URIs that the identity may use beside its own (uri_pattern.h).
  Result<Identity> add_pattern(const rpc::Caller& caller, std::string_view uri,
                               std::string_view pattern);
  Result<Identity> remove_pattern(const rpc::Caller& caller, std::string_view uri,
                                  std::string_view pattern);
  // Pins a certificate (DER): it stands for the identity, whoever issued it, in the public-key
  // variants. malformed: one that no message could be authenticated with, or that names none of the
  // identity's URIs.
  Result<Identity> add_certificate(const rpc::Caller& caller, std::string_view uri, Bytes der);
  // `fingerprint`: SHA-256 of the DER form.
  Result<Identity> remove_certificate(const rpc::Caller& caller, std::string_view uri,
                                      Bytes fingerprint);
  // KMS-5. Both return the member.
  Result<Identity> add_member(const rpc::Caller& caller, std::string_view group,
                              std::string_view member);
  Result<Identity> remove_member(const rpc::Caller& caller, std::string_view group,
                                 std::string_view member);
  Result<MemberPage> list_members(std::string_view group, std::string_view after,
                                  std::size_t page_size);
  // KMS-8: gives the identity a TPK of its own.
  Result<SharedTpk> share_tpk(const rpc::Caller& caller, std::string_view uri);
  // `tpk_id` empty: all. Returns how many are gone; not_found when there was none.
  Result<std::size_t> unshare_tpk(const rpc::Caller& caller, std::string_view uri, Bytes tpk_id);

  // KMS-3: the TPKs of the KMS. A prepared one waits to be activated; activating one retires the
  // one before it, whose tickets resolve until they expire; a revoked one resolves no more, at
  // once.
  Result<Tpk> prepare_tpk(const rpc::Caller& caller);
  Result<Tpk> activate_tpk(const rpc::Caller& caller, Bytes tpk_id);
  Result<Tpk> retire_tpk(const rpc::Caller& caller, Bytes tpk_id);
  Result<Tpk> revoke_tpk(const rpc::Caller& caller, Bytes tpk_id);
  Result<std::vector<Tpk>> list_tpks();
  // prepare and activate in one step: for the schedule.
  Result<Tpk> rotate_tpk(const rpc::Caller& caller);

 private:
  Deadline deadline() const { return Deadline::in(timeout_); }
  // Of the identity that has this URI.
  Result<std::string> canonical_name(std::string_view uri);
  // A change that says in its audit line what was added or removed: `detail`.
  Result<Identity> change_part(const rpc::Caller& caller, std::string_view operation,
                               std::string_view uri, std::string_view detail,
                               Result<Identity> (IdentityStore::*change)(std::string_view,
                                                                         std::string_view,
                                                                         Deadline),
                               Result<std::string> (*canonical_detail)(std::string_view));
  Result<Identity> set_state(const rpc::Caller& caller, std::string_view uri, IdentityState state,
                             std::string_view operation);
  Result<Tpk> add_tpk(const rpc::Caller& caller, TpkState state, std::string_view operation);
  Result<Tpk> set_tpk_state(const rpc::Caller& caller, Bytes tpk_id, TpkState state,
                            std::string_view operation);

  const AdminParts parts_;
  AdminAudit audit_;
  const std::chrono::milliseconds timeout_;
};

// The first TPK of a new database, before there is a directory or an audit. For init.
Result<void> activate_new_tpk(IdentityStore& store, const Kek& kek, RandomSource& random,
                              Deadline deadline);

}  // namespace keystub::kms
