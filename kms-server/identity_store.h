// IdentityStore: where the KMS keeps identities, their pre-shared keys and the ticket protection
// keys (TPKs). Keys go in and come out wrapped (kms-server/kek.h); a store never sees them open.
//
// An identity has one canonical name, which never changes (its keys are bound to it), and other
// URIs beside it; a call that takes a URI takes any of them, in canonical form. No URI names two
// identities, and no owned pattern covers a URI of an identity: an owner never speaks as somebody
// who has keys of their own.
//
// What every back end promises (tests/unit/kms/identity_store_contract.h checks it):
//   - a call that changes something is durable when it returns success;
//   - each change gets the next change sequence, and changes_since() tells which subjects changed;
//   - a call ends by its deadline with unavailable, or at once with busy when a queue is full.
//     A change whose call ended with unavailable may still happen;
//   - a group that is suspended, resumed or removed is a change of each member too;
//   - the listeners hear of a change after it is committed and before it is acknowledged, also
//     when nobody waits for the acknowledgement any more;
//   - an identity that is suspended or removed, and a TPK that is revoked or taken back, is a
//     revocation (revocation.h) in the same commit.
// Other errors: not_found, conflict, internal.
//
// Threads: all calls are safe from several threads and may block; never call one on an RPC thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "kms-server/kek.h"
#include "kms-server/policy_rule.h"
#include "kms-server/revocation.h"

namespace keystub::kms {

// The values are stored and equal those of identity_admin.proto.
enum class IdentityKind : std::uint8_t { user = 1, mrfc = 2, as = 3, group = 4, kms = 5 };
enum class IdentityState : std::uint8_t { active = 1, suspended = 2 };
// The KMS's own TPKs: prepared, then active (one at a time), then retired: opens tickets and seals
// none. Revoked: opens none any more, its key is gone. A shared TPK (mode 3) is always active.
enum class TpkState : std::uint8_t { active = 1, retired = 2, prepared = 3, revoked = 4 };

// Bounds of what one identity may have; one more is a conflict.
inline constexpr std::size_t kMaxPsks = 16;  // expired ones give way
inline constexpr std::size_t kMaxAliases = 16;
inline constexpr std::size_t kMaxOwnedPatterns = 64;
inline constexpr std::size_t kMaxCertificates = 8;
inline constexpr std::size_t kMaxGroupsOfMember = 64;
inline constexpr std::size_t kMaxMembersOfGroup = 10'000;

struct WrappedKey {
  ByteVector id;  // IDRpsk
  ByteVector wrapped;
};

struct WrappedPsk {
  ByteVector id;  // IDRpsk; of a GBA key the B-TID
  ByteVector wrapped;
  std::optional<WallTime> expires;  // from then on it counts as if it were not there
};

// A certificate that is trusted for one identity, whoever issued it.
struct PinnedCertificate {
  ByteVector fingerprint;  // SHA-256 of `der`
  ByteVector der;
};

struct GroupMembership {
  std::string group;   // canonical URI
  bool active = true;  // the group is not suspended
};

struct Identity {
  std::string uri;  // the canonical name
  IdentityKind kind = IdentityKind::user;
  IdentityState state = IdentityState::active;
  // In the order of their ids or texts, all of these.
  std::vector<std::string> aliases;         // its other URIs
  std::vector<std::string> owned_patterns;  // of URIs that it may use (uri_pattern.h)
  std::vector<WrappedPsk> psks;
  std::vector<WrappedKey> shared_tpks;  // mode 3
  std::vector<GroupMembership> groups;
  std::vector<PinnedCertificate> certificates;
  WallTime created;
  WallTime updated;
  std::uint64_t change_sequence = 0;
};

struct IdentityPage {
  std::vector<Identity> identities;  // by URI
  bool more = false;
};

struct MemberPage {
  std::vector<std::string> uris;  // canonical names, in order
  bool more = false;
};

struct Tpk {
  WrappedKey key;
  // Mode 3: the identity that holds it too. None: the KMS's own.
  std::optional<std::string> owner;
  TpkState state = TpkState::active;
  WallTime created;
  WallTime state_since;
  std::uint64_t change_sequence = 0;
};

// One identity of an import, as it shall be.
struct ImportedIdentity {
  std::uint64_t line = 0;  // where it stands in the operator's file: for the error
  std::string uri;
  IdentityKind kind = IdentityKind::user;
  IdentityState state = IdentityState::active;
  std::vector<std::string> aliases;
  std::vector<std::string> owned_patterns;
  std::vector<std::string> groups;  // that exist, or come before it
  std::vector<WrappedPsk> psks;
};

// How an error names it.
inline std::string record_name(std::uint64_t line, std::string_view uri) {
  return "line " + std::to_string(line) + ", " + std::string(uri);
}

// The batches of one import are numbered from 0 and come in this order.
struct ImportBatch {
  std::string import_id;
  std::uint64_t number = 0;
  bool skip_existing = false;  // identities that exist stay as they are; else they are a conflict
  std::vector<ImportedIdentity> identities;
};

struct ImportOutcome {
  std::uint64_t next_batch = 0;  // with which the import goes on
  std::size_t created = 0;
  std::size_t skipped = 0;
  bool done_before = false;  // by an earlier call: nothing changed
};

enum class ChangeSubject : std::uint8_t { identity = 1, own_tpk = 2, policy_rule = 3 };  // stored

struct Change {
  std::uint64_t sequence = 0;
  ChangeSubject subject = ChangeSubject::identity;
  ByteVector key;  // canonical name, id of the TPK, or name of the rule; it may be gone
};

// How the store recognises its KEK.
struct KekChecks {
  ByteVector current;              // Kek::make_check_value()
  std::optional<ByteVector> next;  // while keys are moved: that of the next KEK
};

// The keys of a store, for moving them to another KEK.
enum class KeyTable : std::uint8_t { psks, tpks };
struct StoredKey {
  KeyKind kind = KeyKind::psk;
  std::string owner;  // canonical name; empty for the KMS's own TPKs
  ByteVector id;
  ByteVector wrapped;
};
struct RewrappedKey {
  KeyTable table = KeyTable::psks;
  ByteVector id;
  ByteVector was;
  ByteVector wrapped;
};

// When a call gives up.
struct Deadline {
  SteadyTime at;
  static Deadline in(std::chrono::milliseconds time) {
    return {std::chrono::steady_clock::now() + time};
  }
  bool passed() const { return std::chrono::steady_clock::now() >= at; }
};

class IdentityStore {
 public:
  virtual ~IdentityStore() = default;

  // `uri` becomes its canonical name. Fails (conflict) if the URI, or the id of the key, is taken.
  virtual Result<Identity> create(std::string_view uri, IdentityKind kind,
                                  std::optional<WrappedPsk> psk, Deadline deadline) = 0;
  // By any of its URIs. One that is not there takes as long as another that is (KMS-7), and so does
  // the id of a key.
  virtual Result<Identity> find(std::string_view uri, Deadline deadline) = 0;
  // The identity whose pre-shared key has this id: ids are unique over all identities.
  virtual Result<Identity> find_by_psk_id(Bytes psk_id, Deadline deadline) = 0;
  // The identity that owns this URI by a pattern. No identity has the URI itself.
  virtual Result<Identity> find_owner(std::string_view uri, Deadline deadline) = 0;
  // Canonical names that start with `prefix` and come after `after`, at most `limit`.
  virtual Result<IdentityPage> list(std::string_view prefix, std::string_view after,
                                    std::size_t limit, Deadline deadline) = 0;
  // The same of those of kind group.
  virtual Result<IdentityPage> list_groups(std::string_view prefix, std::string_view after,
                                           std::size_t limit, Deadline deadline) = 0;
  // Setting the state that it has already is a success that changes nothing.
  virtual Result<Identity> set_state(std::string_view uri, IdentityState state,
                                     Deadline deadline) = 0;
  // Removes the identity with its keys, names and memberships, and the rule of the policy for it.
  virtual Result<void> remove(std::string_view uri, Deadline deadline) = 0;
  // Adds a pre-shared key or replaces the one of this identity with the same id. Keys of the
  // identity that have expired by now are removed.
  virtual Result<Identity> set_psk(std::string_view uri, WrappedPsk psk, Deadline deadline) = 0;
  virtual Result<Identity> remove_psk(std::string_view uri, Bytes psk_id, Deadline deadline) = 0;

  // Adding what it has already, and removing it again: conflict and not_found.
  virtual Result<Identity> add_alias(std::string_view uri, std::string_view alias,
                                     Deadline deadline) = 0;
  virtual Result<Identity> remove_alias(std::string_view uri, std::string_view alias,
                                        Deadline deadline) = 0;
  virtual Result<Identity> add_pattern(std::string_view uri, std::string_view pattern,
                                       Deadline deadline) = 0;
  virtual Result<Identity> remove_pattern(std::string_view uri, std::string_view pattern,
                                          Deadline deadline) = 0;
  virtual Result<Identity> add_certificate(std::string_view uri, PinnedCertificate certificate,
                                           Deadline deadline) = 0;
  virtual Result<Identity> remove_certificate(std::string_view uri, Bytes fingerprint,
                                              Deadline deadline) = 0;
  // `group` is of kind group, `member` is not (conflict). Both return the member.
  virtual Result<Identity> add_member(std::string_view group, std::string_view member,
                                      Deadline deadline) = 0;
  virtual Result<Identity> remove_member(std::string_view group, std::string_view member,
                                         Deadline deadline) = 0;
  virtual Result<MemberPage> list_members(std::string_view group, std::string_view after,
                                          std::size_t limit, Deadline deadline) = 0;

  // All of the batch with the number of the next one, or nothing: an error names the record that is
  // at fault. Again with a batch that is done: a success that changes nothing.
  virtual Result<ImportOutcome> import_batch(ImportBatch batch, Deadline deadline) = 0;
  // The batch with which an import goes on; 0 for one that is not known. Only the newest 64 are.
  virtual Result<std::uint64_t> next_import_batch(std::string_view import_id,
                                                  Deadline deadline) = 0;
  // It begins with batch 0 again. What it imported stays.
  virtual Result<void> forget_import(std::string_view import_id, Deadline deadline) = 0;

  virtual Result<Identity> share_tpk(std::string_view uri, WrappedKey tpk, Deadline deadline) = 0;
  // Removes one shared TPK, or all with an empty id; returns how many are gone.
  virtual Result<std::size_t> unshare_tpk(std::string_view uri, Bytes tpk_id,
                                          Deadline deadline) = 0;
  // The life of a TPK of the KMS (KMS-3). `state` is that of a new one: prepared, or active (then
  // the one before it is retired in the same step).
  virtual Result<Tpk> add_tpk(WrappedKey tpk, TpkState state, Deadline deadline) = 0;
  // conflict where the state it has forbids it: prepared -> active (retires the one before it),
  // prepared -> retired, and every state but active -> revoked (its key is erased).
  virtual Result<Tpk> set_tpk_state(Bytes tpk_id, TpkState state, Deadline deadline) = 0;
  // The KMS's own, oldest first; not those that are shared.
  virtual Result<std::vector<Tpk>> list_tpks(Deadline deadline) = 0;
  // Removes those that were retired or revoked before `before`; returns how many.
  virtual Result<std::size_t> purge_tpks(WallTime before, Deadline deadline) = 0;
  virtual Result<Tpk> active_tpk(Deadline deadline) = 0;
  virtual Result<Tpk> find_tpk(Bytes tpk_id, Deadline deadline) = 0;

  // The rules of the policy, the most specific first, then by subject. `rule` is a checked one; it
  // takes the place of the one for the same subject, which must exist where it is an identity or a
  // group.
  virtual Result<std::vector<PolicyRule>> list_rules(Deadline deadline) = 0;
  virtual Result<PolicyRule> set_rule(PolicyRule rule, Deadline deadline) = 0;
  virtual Result<void> remove_rule(RuleScope scope, std::string_view subject,
                                   Deadline deadline) = 0;

  // What kek_rewrap.h moves keys with. None of these is a change that a listener hears of: the keys
  // stay the same.
  virtual Result<KekChecks> kek_checks(Deadline deadline) = 0;
  // Fails (conflict) when keys are being moved already.
  virtual Result<void> begin_kek_move(ByteVector next_check, Deadline deadline) = 0;
  // The next check value takes the place of the current one.
  virtual Result<void> end_kek_move(Deadline deadline) = 0;
  // Keys that are there (a revoked TPK has none) with an id after `after`, at most `limit`.
  virtual Result<std::vector<StoredKey>> list_keys(KeyTable table, Bytes after, std::size_t limit,
                                                   Deadline deadline) = 0;
  // Replaces the wrapped form where it still is `was`; returns how many. All changes that were
  // handed in before are committed, or will not be, when it returns.
  virtual Result<std::size_t> replace_keys(std::vector<RewrappedKey> keys, Deadline deadline) = 0;

  // Revokes one ticket; one that is revoked already stays as it is. `needed_until`: from then on it
  // would be refused anyway, and the revocation goes. busy when the store keeps as many as it may.
  virtual Result<Revocation> revoke_ticket(Bytes ticket_id, WallTime needed_until,
                                           Deadline deadline) = 0;
  // Revokes all tickets of the KMS from before `time`, which never goes back: an earlier one than
  // before changes nothing. Returns what is in force.
  virtual Result<Revocation> revoke_tickets_before(WallTime time, Deadline deadline) = 0;
  // Those after `sequence`, at most `limit`.
  virtual Result<RevocationPage> revocations_since(std::uint64_t sequence, std::size_t limit,
                                                   Deadline deadline) = 0;

  // Subjects whose newest change comes after `sequence`, oldest first, each once, at most `limit`.
  virtual Result<std::vector<Change>> changes_since(std::uint64_t sequence, std::size_t limit,
                                                    Deadline deadline) = 0;

  // One listener; null: none. It must not block and must not call the store. After this returns the
  // one before it neither runs nor will run.
  using Listener = std::function<void(const Change&)>;
  virtual void on_change(Listener listener) = 0;
  // The same for revocations, in the order of their sequences.
  using RevocationListener = std::function<void(const Revocation&)>;
  virtual void on_revocation(RevocationListener listener) = 0;
};

}  // namespace keystub::kms
