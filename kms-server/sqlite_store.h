// The identity store in one SQLite file: for one KMS process, with nothing else to install.
//
// WAL with synchronous=FULL: what is acknowledged survives a lost machine. One writer thread takes
// the changes that wait and commits them together (group commit), each under a savepoint of its
// own so that one that fails takes nothing with it. Readers have connections of their own and
// never wait for the writer. The schema and its migrations are described in sqlite_schema.h, the
// statements stand in sqlite_identities.h, sqlite_imports.h, sqlite_tpks.h, sqlite_policy.h,
// sqlite_revocations.h and
// sqlite_wrapped_keys.h.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "kms-server/database_claim.h"
#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/sqlite_database.h"
#include "kms-server/sqlite_schema.h"

namespace keystub::kms {

struct SqliteStoreOptions {
  std::filesystem::path path;
  std::size_t max_waiting_changes = 1024;  // more are refused with busy
  // Tickets that may be revoked one by one at the same time; more are refused with busy.
  std::size_t max_revoked_tickets = 100'000;
  // Revocations of identities and TPKs that are kept; the oldest go first.
  std::size_t max_revocation_log = 10'000;
};

class SqliteStore final : public IdentityStore {
 public:
  // Makes a new, empty database (0600) that belongs to this KEK. Fails (conflict) if it exists.
  static Result<void> create(const std::filesystem::path& path, const Kek& kek,
                             RandomSource& random);

  // Opens an existing one, for this store alone (conflict: another KMS has it). The KEK is checked
  // before anything is written; an older schema is copied aside (PATH.schema-N) and migrated; a
  // newer one is refused. `clock` must outlive it.
  static Result<std::unique_ptr<SqliteStore>> open(const SqliteStoreOptions& options,
                                                   const Kek& kek, const Clock& clock);
  // Commits what waits, then stops.
  ~SqliteStore() override;

  // What open() did to an older schema.
  const std::optional<Migration>& migration() const noexcept { return migration_; }

  Result<Identity> create(std::string_view uri, IdentityKind kind, std::optional<WrappedPsk> psk,
                          Deadline deadline) override;
  Result<Identity> find(std::string_view uri, Deadline deadline) override;
  Result<Identity> find_by_psk_id(Bytes psk_id, Deadline deadline) override;
  Result<Identity> find_owner(std::string_view uri, Deadline deadline) override;
  Result<IdentityPage> list(std::string_view prefix, std::string_view after, std::size_t limit,
                            Deadline deadline) override;
  Result<IdentityPage> list_groups(std::string_view prefix, std::string_view after,
                                   std::size_t limit, Deadline deadline) override;
  Result<Identity> set_state(std::string_view uri, IdentityState state, Deadline deadline) override;
  Result<void> remove(std::string_view uri, Deadline deadline) override;
  Result<Identity> set_psk(std::string_view uri, WrappedPsk psk, Deadline deadline) override;
  Result<Identity> remove_psk(std::string_view uri, Bytes psk_id, Deadline deadline) override;
  Result<Identity> add_alias(std::string_view uri, std::string_view alias,
                             Deadline deadline) override;
  Result<Identity> remove_alias(std::string_view uri, std::string_view alias,
                                Deadline deadline) override;
  Result<Identity> add_pattern(std::string_view uri, std::string_view pattern,
                               Deadline deadline) override;
  Result<Identity> remove_pattern(std::string_view uri, std::string_view pattern,
                                  Deadline deadline) override;
  Result<Identity> add_certificate(std::string_view uri, PinnedCertificate certificate,
                                   Deadline deadline) override;
  Result<Identity> remove_certificate(std::string_view uri, Bytes fingerprint,
                                      Deadline deadline) override;
  Result<Identity> add_member(std::string_view group, std::string_view member,
                              Deadline deadline) override;
  Result<Identity> remove_member(std::string_view group, std::string_view member,
                                 Deadline deadline) override;
  Result<MemberPage> list_members(std::string_view group, std::string_view after, std::size_t limit,
                                  Deadline deadline) override;
  Result<ImportOutcome> import_batch(ImportBatch batch, Deadline deadline) override;
  Result<std::uint64_t> next_import_batch(std::string_view import_id, Deadline deadline) override;
  Result<void> forget_import(std::string_view import_id, Deadline deadline) override;
  Result<Identity> share_tpk(std::string_view uri, WrappedKey tpk, Deadline deadline) override;
  Result<std::size_t> unshare_tpk(std::string_view uri, Bytes tpk_id, Deadline deadline) override;
  Result<Tpk> add_tpk(WrappedKey tpk, TpkState state, Deadline deadline) override;
  Result<Tpk> set_tpk_state(Bytes tpk_id, TpkState state, Deadline deadline) override;
  Result<std::vector<Tpk>> list_tpks(Deadline deadline) override;
  Result<std::size_t> purge_tpks(WallTime before, Deadline deadline) override;
  Result<Tpk> active_tpk(Deadline deadline) override;
  Result<Tpk> find_tpk(Bytes tpk_id, Deadline deadline) override;
  Result<std::vector<PolicyRule>> list_rules(Deadline deadline) override;
  Result<PolicyRule> set_rule(PolicyRule rule, Deadline deadline) override;
  Result<void> remove_rule(RuleScope scope, std::string_view subject, Deadline deadline) override;
  Result<KekChecks> kek_checks(Deadline deadline) override;
  Result<void> begin_kek_move(ByteVector next_check, Deadline deadline) override;
  Result<void> end_kek_move(Deadline deadline) override;
  Result<std::vector<StoredKey>> list_keys(KeyTable table, Bytes after, std::size_t limit,
                                           Deadline deadline) override;
  Result<std::size_t> replace_keys(std::vector<RewrappedKey> keys, Deadline deadline) override;
  Result<Revocation> revoke_ticket(Bytes ticket_id, WallTime needed_until,
                                   Deadline deadline) override;
  Result<Revocation> revoke_tickets_before(WallTime time, Deadline deadline) override;
  Result<RevocationPage> revocations_since(std::uint64_t sequence, std::size_t limit,
                                           Deadline deadline) override;
  Result<std::vector<Change>> changes_since(std::uint64_t sequence, std::size_t limit,
                                            Deadline deadline) override;
  void on_change(Listener listener) override;
  void on_revocation(RevocationListener listener) override;

 private:
  struct Waiting;
  // What a transaction that is committed has to tell.
  struct Committed {
    std::vector<Change> changes;
    std::vector<Revocation> revocations;
    std::int64_t newest = 0;
  };
  using Statements = std::function<Result<void>(SqliteDatabase&)>;

  SqliteStore(SqliteStoreOptions options, const Clock& clock, DatabaseClaim claim,
              std::unique_ptr<SqliteDatabase> writer, std::int64_t newest_change);

  // Runs `statements` on the writer thread and returns once they are committed. They own what they
  // capture: they may run after a call that gave up.
  Result<void> change(Statements statements, Deadline deadline);
  // The same for statements that have a value to return.
  template <class T>
  Result<T> change_for(std::function<Result<T>(SqliteDatabase&)> statements, Deadline deadline);
  void write_loop();
  void commit_together(std::vector<std::shared_ptr<Waiting>>& batch);
  Result<Committed> run_batch(std::vector<std::shared_ptr<Waiting>>& batch,
                              std::vector<Result<void>>& results);

  // Runs `query` in one read transaction of a connection that is this thread's for the time.
  template <class T>
  Result<T> read(Deadline deadline, const std::function<Result<T>(SqliteDatabase&)>& query);

  std::int64_t now_ms() const;

  const SqliteStoreOptions options_;
  const Clock& clock_;
  const DatabaseClaim claim_;  // before the connections: it ends after them
  std::optional<Migration> migration_;

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<SqliteDatabase>> idle_readers_;

  std::mutex listener_mutex_;
  Listener listener_;
  RevocationListener revocation_listener_;

  std::unique_ptr<SqliteDatabase> writer_;  // the writer thread's alone, as is newest_change_
  std::int64_t newest_change_;              // that the listeners have heard of
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Waiting>> waiting_;
  bool stopping_ = false;
  std::thread writer_thread_;
};

}  // namespace keystub::kms
