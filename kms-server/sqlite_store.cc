#include "kms-server/sqlite_store.h"

#include <fmt/format.h>

#include <limits>

#include "kms-server/files.h"
#include "kms-server/sqlite_changes.h"
#include "kms-server/sqlite_identities.h"
#include "kms-server/sqlite_imports.h"
#include "kms-server/sqlite_policy.h"
#include "kms-server/sqlite_revocations.h"
#include "kms-server/sqlite_schema.h"
#include "kms-server/sqlite_tpks.h"
#include "kms-server/sqlite_wrapped_keys.h"

namespace keystub::kms {
// One change that waits for the writer thread, shared with the call that waits for it.
struct SqliteStore::Waiting {
  Statements statements;
  Deadline deadline;
  std::condition_variable finished;
  std::optional<Result<void>> result;  // under SqliteStore::mutex_
};

Result<void> SqliteStore::create(const std::filesystem::path& path, const Kek& kek,
                                 RandomSource& random) {
  TRY(create_private_file(path, {}));
  const std::unique_ptr<SqliteDatabase> database =
      TRY(SqliteDatabase::open(path, SqliteDatabase::Mode::write));
  TRY(migrate(*database, path));
  const ByteVector check = TRY(kek.make_check_value(random));
  return sql::insert_kek_check(*database, check);
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const SqliteStoreOptions& options,
                                                       const Kek& kek, const Clock& clock) {
  std::error_code error;
  if (!std::filesystem::exists(options.path, error)) {
    return fail(Category::not_found,
                fmt::format("there is no database {}: run kms-server init", options.path.string()));
  }
  auto claim = TRY(DatabaseClaim::take(options.path));
  {
    const auto reader = TRY(SqliteDatabase::open(options.path, SqliteDatabase::Mode::read));
    const auto known = static_cast<std::int64_t>(schema_migrations().size());
    // A newer schema is for migrate() to refuse: where it keeps its check value is not known.
    if (TRY(reader->query_integer("PRAGMA user_version")) <= known) {
      TRY(sql::verify_kek(*reader, kek));
    }
  }
  auto writer = TRY(SqliteDatabase::open(options.path, SqliteDatabase::Mode::write));
  auto migration = TRY(migrate(*writer, options.path));
  const std::int64_t newest = TRY(writer->query_integer("SELECT value FROM change_counter"));
  std::unique_ptr<SqliteStore> store(
      new SqliteStore(options, clock, std::move(claim), std::move(writer), newest));
  store->migration_ = std::move(migration);
  return store;
}

SqliteStore::SqliteStore(SqliteStoreOptions options, const Clock& clock, DatabaseClaim claim,
                         std::unique_ptr<SqliteDatabase> writer, std::int64_t newest_change)
    : options_(std::move(options)),
      clock_(clock),
      claim_(std::move(claim)),
      writer_(std::move(writer)),
      newest_change_(newest_change),
      writer_thread_([this] { write_loop(); }) {}

SqliteStore::~SqliteStore() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  writer_thread_.join();
}

std::int64_t SqliteStore::now_ms() const { return sql::to_ms(clock_.now()); }

// ---------------------------------------------------------------------------------------- writing

Result<void> SqliteStore::change(Statements statements, Deadline deadline) {
  auto waiting = std::make_shared<Waiting>();
  waiting->statements = std::move(statements);
  waiting->deadline = deadline;
  std::unique_lock lock(mutex_);
  if (waiting_.size() >= options_.max_waiting_changes) {
    return fail(Category::busy, "too many changes wait for the identity database");
  }
  waiting_.push_back(waiting);
  work_.notify_one();
  if (!waiting->finished.wait_until(lock, deadline.at,
                                    [&] { return waiting->result.has_value(); })) {
    return fail(Category::unavailable,
                "the identity database did not commit in time: the change may still happen");
  }
  return std::move(*waiting->result);
}

template <class T>
Result<T> SqliteStore::change_for(std::function<Result<T>(SqliteDatabase&)> statements,
                                  Deadline deadline) {
  auto value = std::make_shared<std::optional<T>>();
  Result<void> committed = change(
      [value, statements = std::move(statements)](SqliteDatabase& db) -> Result<void> {
        value->emplace(TRY(statements(db)));
        return {};
      },
      deadline);
  if (!committed) return std::unexpected(std::move(committed).error());
  return std::move(**value);
}

void SqliteStore::write_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    std::vector<std::shared_ptr<Waiting>> batch(waiting_.begin(), waiting_.end());
    waiting_.clear();
    lock.unlock();
    commit_together(batch);
    lock.lock();
    for (const auto& waiting : batch) waiting->finished.notify_all();
  }
}

Result<SqliteStore::Committed> SqliteStore::run_batch(std::vector<std::shared_ptr<Waiting>>& batch,
                                                      std::vector<Result<void>>& results) {
  TRY(writer_->execute("BEGIN IMMEDIATE"));
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i]->deadline.passed()) {
      results[i] = fail(Category::unavailable, "the identity database was too slow");
      continue;
    }
    TRY(writer_->execute("SAVEPOINT one"));
    results[i] = batch[i]->statements(*writer_);
    TRY(writer_->execute(results[i] ? "RELEASE one" : "ROLLBACK TO one; RELEASE one"));
  }
  constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
  Committed committed;
  committed.changes = TRY(sql::select_changes(*writer_, newest_change_, kAll));
  committed.revocations = TRY(sql::select_new_revocations(*writer_, newest_change_));
  if (!committed.revocations.empty()) {
    TRY(sql::trim_revocation_log(*writer_, options_.max_revocation_log));
  }
  committed.newest = TRY(sql::newest_sequence(*writer_));
  TRY(claim_.check_place());
  TRY(writer_->execute("COMMIT"));
  return committed;
}

void SqliteStore::commit_together(std::vector<std::shared_ptr<Waiting>>& batch) {
  std::vector<Result<void>> results(batch.size());
  const auto committed = run_batch(batch, results);
  if (committed) {
    const std::lock_guard lock(listener_mutex_);
    newest_change_ = committed->newest;
    if (listener_) {
      for (const Change& change : committed->changes) listener_(change);
    }
    if (revocation_listener_) {
      for (const Revocation& revocation : committed->revocations) revocation_listener_(revocation);
    }
  } else {
    (void)writer_->execute("ROLLBACK");
  }

  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    // Nothing of a transaction that did not commit happened.
    if (!committed && results[i]) results[i] = std::unexpected(committed.error());
    batch[i]->result = std::move(results[i]);
  }
}

void SqliteStore::on_change(Listener listener) {
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

void SqliteStore::on_revocation(RevocationListener listener) {
  const std::lock_guard lock(listener_mutex_);
  revocation_listener_ = std::move(listener);
}

// The statements run later, on the writer thread: they own what they are given.
Result<Identity> SqliteStore::create(std::string_view uri, IdentityKind kind,
                                     std::optional<WrappedPsk> psk, Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), kind, psk = std::move(psk), now = now_ms()](SqliteDatabase& db) {
        return sql::create_identity(db, uri, kind, psk, now);
      },
      deadline);
}

Result<Identity> SqliteStore::set_state(std::string_view uri, IdentityState state,
                                        Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), state, now = now_ms()](SqliteDatabase& db) {
        return sql::set_identity_state(db, uri, state, now);
      },
      deadline);
}

Result<void> SqliteStore::remove(std::string_view uri, Deadline deadline) {
  return change([uri = std::string(uri),
                 now = now_ms()](SqliteDatabase& db) { return sql::remove_identity(db, uri, now); },
                deadline);
}

Result<Identity> SqliteStore::set_psk(std::string_view uri, WrappedPsk psk, Deadline deadline) {
  return change_for<Identity>([uri = std::string(uri), psk = std::move(psk), now = now_ms()](
                                  SqliteDatabase& db) { return sql::set_psk(db, uri, psk, now); },
                              deadline);
}

Result<Identity> SqliteStore::remove_psk(std::string_view uri, Bytes psk_id, Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), psk_id = to_vector(psk_id), now = now_ms()](SqliteDatabase& db) {
        return sql::remove_psk(db, uri, psk_id, now);
      },
      deadline);
}

Result<Identity> SqliteStore::add_alias(std::string_view uri, std::string_view alias,
                                        Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), alias = std::string(alias), now = now_ms()](SqliteDatabase& db) {
        return sql::add_alias(db, uri, alias, now);
      },
      deadline);
}

Result<Identity> SqliteStore::remove_alias(std::string_view uri, std::string_view alias,
                                           Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), alias = std::string(alias), now = now_ms()](SqliteDatabase& db) {
        return sql::remove_alias(db, uri, alias, now);
      },
      deadline);
}

Result<Identity> SqliteStore::add_pattern(std::string_view uri, std::string_view pattern,
                                          Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), pattern = std::string(pattern), now = now_ms()](SqliteDatabase& db) {
        return sql::add_pattern(db, uri, pattern, now);
      },
      deadline);
}

Result<Identity> SqliteStore::remove_pattern(std::string_view uri, std::string_view pattern,
                                             Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), pattern = std::string(pattern), now = now_ms()](SqliteDatabase& db) {
        return sql::remove_pattern(db, uri, pattern, now);
      },
      deadline);
}

Result<Identity> SqliteStore::add_certificate(std::string_view uri, PinnedCertificate certificate,
                                              Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), certificate = std::move(certificate), now = now_ms()](
          SqliteDatabase& db) { return sql::add_certificate(db, uri, certificate, now); },
      deadline);
}

Result<Identity> SqliteStore::remove_certificate(std::string_view uri, Bytes fingerprint,
                                                 Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), fingerprint = to_vector(fingerprint), now = now_ms()](
          SqliteDatabase& db) { return sql::remove_certificate(db, uri, fingerprint, now); },
      deadline);
}

Result<Identity> SqliteStore::add_member(std::string_view group, std::string_view member,
                                         Deadline deadline) {
  return change_for<Identity>(
      [group = std::string(group), member = std::string(member),
       now = now_ms()](SqliteDatabase& db) { return sql::add_member(db, group, member, now); },
      deadline);
}

Result<Identity> SqliteStore::remove_member(std::string_view group, std::string_view member,
                                            Deadline deadline) {
  return change_for<Identity>(
      [group = std::string(group), member = std::string(member),
       now = now_ms()](SqliteDatabase& db) { return sql::remove_member(db, group, member, now); },
      deadline);
}

Result<ImportOutcome> SqliteStore::import_batch(ImportBatch batch, Deadline deadline) {
  return change_for<ImportOutcome>(
      [batch = std::move(batch), now = now_ms()](SqliteDatabase& db) {
        return sql::import_batch(db, batch, now);
      },
      deadline);
}

Result<void> SqliteStore::forget_import(std::string_view import_id, Deadline deadline) {
  return change(
      [id = std::string(import_id)](SqliteDatabase& db) { return sql::forget_import(db, id); },
      deadline);
}

Result<Identity> SqliteStore::share_tpk(std::string_view uri, WrappedKey tpk, Deadline deadline) {
  return change_for<Identity>([uri = std::string(uri), tpk = std::move(tpk), now = now_ms()](
                                  SqliteDatabase& db) { return sql::share_tpk(db, uri, tpk, now); },
                              deadline);
}

Result<std::size_t> SqliteStore::unshare_tpk(std::string_view uri, Bytes tpk_id,
                                             Deadline deadline) {
  return change_for<std::size_t>(
      [uri = std::string(uri), tpk_id = to_vector(tpk_id), now = now_ms()](SqliteDatabase& db) {
        return sql::unshare_tpk(db, uri, tpk_id, now);
      },
      deadline);
}

Result<Tpk> SqliteStore::add_tpk(WrappedKey tpk, TpkState state, Deadline deadline) {
  return change_for<Tpk>([tpk = std::move(tpk), state, now = now_ms()](
                             SqliteDatabase& db) { return sql::add_tpk(db, tpk, state, now); },
                         deadline);
}

Result<Tpk> SqliteStore::set_tpk_state(Bytes tpk_id, TpkState state, Deadline deadline) {
  return change_for<Tpk>([id = to_vector(tpk_id), state, now = now_ms()](
                             SqliteDatabase& db) { return sql::set_tpk_state(db, id, state, now); },
                         deadline);
}

Result<std::size_t> SqliteStore::purge_tpks(WallTime before, Deadline deadline) {
  return change_for<std::size_t>(
      [before = sql::to_ms(before)](SqliteDatabase& db) { return sql::purge_tpks(db, before); },
      deadline);
}

Result<PolicyRule> SqliteStore::set_rule(PolicyRule rule, Deadline deadline) {
  return change_for<PolicyRule>([rule = std::move(rule), now = now_ms()](
                                    SqliteDatabase& db) { return sql::set_rule(db, rule, now); },
                                deadline);
}

Result<void> SqliteStore::remove_rule(RuleScope scope, std::string_view subject,
                                      Deadline deadline) {
  return change([scope, subject = std::string(subject)](
                    SqliteDatabase& db) { return sql::remove_rule(db, scope, subject); },
                deadline);
}

Result<void> SqliteStore::begin_kek_move(ByteVector next_check, Deadline deadline) {
  return change([check = std::move(next_check)](
                    SqliteDatabase& db) { return sql::begin_kek_move(db, check); },
                deadline);
}

Result<void> SqliteStore::end_kek_move(Deadline deadline) {
  return change(&sql::end_kek_move, deadline);
}

Result<std::size_t> SqliteStore::replace_keys(std::vector<RewrappedKey> keys, Deadline deadline) {
  return change_for<std::size_t>(
      [keys = std::move(keys)](SqliteDatabase& db) { return sql::replace_keys(db, keys); },
      deadline);
}

Result<Revocation> SqliteStore::revoke_ticket(Bytes ticket_id, WallTime needed_until,
                                              Deadline deadline) {
  return change_for<Revocation>(
      [id = to_vector(ticket_id), until = sql::to_ms(needed_until),
       most = options_.max_revoked_tickets,
       now = now_ms()](SqliteDatabase& db) { return sql::revoke_ticket(db, id, until, most, now); },
      deadline);
}

Result<Revocation> SqliteStore::revoke_tickets_before(WallTime time, Deadline deadline) {
  return change_for<Revocation>(
      [before = sql::to_ms(time), now = now_ms()](SqliteDatabase& db) {
        return sql::revoke_tickets_before(db, before, now);
      },
      deadline);
}

// ---------------------------------------------------------------------------------------- reading

template <class T>
Result<T> SqliteStore::read(Deadline deadline,
                            const std::function<Result<T>(SqliteDatabase&)>& query) {
  if (deadline.passed()) {
    return fail(Category::unavailable, "the identity database was not reached in time");
  }
  TRY(claim_.check_place());
  std::unique_ptr<SqliteDatabase> reader;
  {
    const std::lock_guard lock(readers_mutex_);
    if (!idle_readers_.empty()) {
      reader = std::move(idle_readers_.back());
      idle_readers_.pop_back();
    }
  }
  if (reader == nullptr) {
    reader = TRY(SqliteDatabase::open(options_.path, SqliteDatabase::Mode::read));
  }
  reader->set_deadline(deadline.at);
  Result<T> result = fail(Category::internal, "not read");
  // One transaction: an identity and its keys come from the same state of the database.
  if (auto begun = reader->run("BEGIN"); begun) {
    result = query(*reader);
    reader->set_deadline(std::nullopt);
    (void)reader->run("ROLLBACK");
  } else {
    result = std::unexpected(std::move(begun).error());
  }
  const std::lock_guard lock(readers_mutex_);
  idle_readers_.push_back(std::move(reader));
  return result;
}

Result<Identity> SqliteStore::find(std::string_view uri, Deadline deadline) {
  return read<Identity>(deadline,
                        [&](SqliteDatabase& db) { return sql::select_identity(db, uri); });
}

Result<Identity> SqliteStore::find_by_psk_id(Bytes psk_id, Deadline deadline) {
  return read<Identity>(
      deadline, [&](SqliteDatabase& db) { return sql::select_identity_of_psk(db, psk_id); });
}

Result<Identity> SqliteStore::find_owner(std::string_view uri, Deadline deadline) {
  return read<Identity>(deadline, [&](SqliteDatabase& db) { return sql::select_owner(db, uri); });
}

Result<IdentityPage> SqliteStore::list(std::string_view prefix, std::string_view after,
                                       std::size_t limit, Deadline deadline) {
  return read<IdentityPage>(deadline, [&](SqliteDatabase& db) {
    return sql::select_identities(db, prefix, after, limit);
  });
}

Result<IdentityPage> SqliteStore::list_groups(std::string_view prefix, std::string_view after,
                                              std::size_t limit, Deadline deadline) {
  return read<IdentityPage>(
      deadline, [&](SqliteDatabase& db) { return sql::select_groups(db, prefix, after, limit); });
}

Result<std::uint64_t> SqliteStore::next_import_batch(std::string_view import_id,
                                                     Deadline deadline) {
  return read<std::uint64_t>(
      deadline, [&](SqliteDatabase& db) { return sql::select_next_batch(db, import_id); });
}

Result<MemberPage> SqliteStore::list_members(std::string_view group, std::string_view after,
                                             std::size_t limit, Deadline deadline) {
  return read<MemberPage>(
      deadline, [&](SqliteDatabase& db) { return sql::select_members(db, group, after, limit); });
}

Result<Tpk> SqliteStore::active_tpk(Deadline deadline) {
  return read<Tpk>(deadline, &sql::select_active_tpk);
}

Result<Tpk> SqliteStore::find_tpk(Bytes tpk_id, Deadline deadline) {
  return read<Tpk>(deadline, [&](SqliteDatabase& db) { return sql::select_tpk(db, tpk_id); });
}

Result<std::vector<Tpk>> SqliteStore::list_tpks(Deadline deadline) {
  return read<std::vector<Tpk>>(deadline, &sql::select_own_tpks);
}

Result<std::vector<PolicyRule>> SqliteStore::list_rules(Deadline deadline) {
  return read<std::vector<PolicyRule>>(deadline, &sql::select_rules);
}

Result<KekChecks> SqliteStore::kek_checks(Deadline deadline) {
  return read<KekChecks>(deadline, &sql::select_kek_checks);
}

Result<std::vector<StoredKey>> SqliteStore::list_keys(KeyTable table, Bytes after,
                                                      std::size_t limit, Deadline deadline) {
  return read<std::vector<StoredKey>>(deadline, [&](SqliteDatabase& db) {
    return sql::select_keys(db, table, after, static_cast<std::int64_t>(limit));
  });
}

Result<RevocationPage> SqliteStore::revocations_since(std::uint64_t sequence, std::size_t limit,
                                                      Deadline deadline) {
  return read<RevocationPage>(deadline, [&](SqliteDatabase& db) {
    return sql::select_revocations(db, static_cast<std::int64_t>(sequence), limit);
  });
}

Result<std::vector<Change>> SqliteStore::changes_since(std::uint64_t sequence, std::size_t limit,
                                                       Deadline deadline) {
  return read<std::vector<Change>>(deadline, [&](SqliteDatabase& db) {
    return sql::select_changes(db, static_cast<std::int64_t>(sequence),
                               static_cast<std::int64_t>(limit));
  });
}

}  // namespace keystub::kms
