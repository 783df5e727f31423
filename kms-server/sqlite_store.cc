#include "kms-server/sqlite_store.h"

#include <fmt/format.h>

#include <limits>

#include "kms-server/files.h"
#include "kms-server/sqlite_schema.h"

namespace keystub::kms {
namespace {

constexpr const char* kKekCheck = "kek_check";

WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
std::int64_t to_ms(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::unexpected<Error> no_identity(std::string_view uri) {
  return fail(Category::not_found, fmt::format("there is no identity {}", uri));
}

// The next change sequence, entered as the newest change of `key`.
Result<std::int64_t> next_change(SqliteDatabase& db, ChangeSubject subject, Bytes key) {
  std::int64_t sequence = 0;
  {
    SqliteStatement counter =
        TRY(db.prepare("UPDATE change_counter SET value = value + 1 WHERE only_row = 1 "
                       "RETURNING value"));
    if (!TRY(counter.step())) return fail(Category::internal, "the change counter is gone");
    sequence = counter.integer(0);
  }
  SqliteStatement insert = TRY(
      db.prepare("INSERT OR REPLACE INTO changes (sequence, subject, key) VALUES (?1, ?2, ?3)"));
  TRY(insert.bind(1, sequence)
          .bind(2, std::int64_t{static_cast<std::uint8_t>(subject)})
          .bind(3, key)
          .run());
  return sequence;
}

Result<std::int64_t> identity_id(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select = TRY(db.prepare("SELECT id FROM identities WHERE uri = ?1"));
  if (!TRY(select.bind(1, uri).step())) return no_identity(uri);
  return select.integer(0);
}

Result<std::int64_t> touch_identity(SqliteDatabase& db, std::string_view uri, std::int64_t now) {
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(uri)));
  SqliteStatement update =
      TRY(db.prepare("UPDATE identities SET updated_ms = ?2, change_sequence = ?3 WHERE uri = ?1"));
  TRY(update.bind(1, uri).bind(2, now).bind(3, sequence).run());
  return sequence;
}

Result<void> insert_psk(SqliteDatabase& db, std::int64_t identity, const WrappedKey& psk,
                        std::int64_t now, std::int64_t sequence) {
  SqliteStatement upsert = TRY(db.prepare(
      "INSERT INTO psks (psk_id, identity_id, wrapped, created_ms, change_sequence) "
      "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (psk_id) DO UPDATE SET wrapped = excluded.wrapped, "
      "created_ms = excluded.created_ms, change_sequence = excluded.change_sequence "
      "WHERE identity_id = excluded.identity_id"));
  TRY(upsert.bind(1, Bytes(psk.id))
          .bind(2, identity)
          .bind(3, Bytes(psk.wrapped))
          .bind(4, now)
          .bind(5, sequence)
          .run());
  if (db.changed_rows() == 0) {
    return fail(Category::conflict, "another identity has a pre-shared key with this id");
  }
  return {};
}

Result<void> insert_tpk(SqliteDatabase& db, std::optional<std::int64_t> owner,
                        const WrappedKey& tpk, TpkState state, std::int64_t now,
                        std::int64_t sequence) {
  {
    SqliteStatement taken = TRY(db.prepare("SELECT 1 FROM tpks WHERE tpk_id = ?1"));
    if (TRY(taken.bind(1, Bytes(tpk.id)).step())) {
      return fail(Category::conflict, "there is a ticket protection key with this id");
    }
  }
  SqliteStatement insert =
      TRY(db.prepare("INSERT INTO tpks "
                     "(tpk_id, owner_id, state, wrapped, created_ms, state_ms, change_sequence) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)"));
  insert.bind(1, Bytes(tpk.id))
      .bind(3, std::int64_t{static_cast<std::uint8_t>(state)})
      .bind(4, Bytes(tpk.wrapped))
      .bind(5, now)
      .bind(6, sequence);
  if (owner) insert.bind(2, *owner);
  return insert.run();
}

// `sql` selects id and wrapped key of one identity's keys.
Result<std::vector<WrappedKey>> read_keys(SqliteDatabase& db, SqlLiteral sql,
                                          std::int64_t identity) {
  std::vector<WrappedKey> keys;
  SqliteStatement select = TRY(db.prepare(sql));
  select.bind(1, identity);
  while (TRY(select.step())) keys.push_back({to_vector(select.blob(0)), to_vector(select.blob(1))});
  return keys;
}

// `row`: id, uri, kind, state, created_ms, updated_ms, change_sequence.
Result<Identity> read_identity(SqliteDatabase& db, const SqliteStatement& row) {
  Identity identity;
  const std::int64_t id = row.integer(0);
  identity.uri = row.text(1);
  identity.kind = static_cast<IdentityKind>(row.integer(2));
  identity.state = static_cast<IdentityState>(row.integer(3));
  identity.created = from_ms(row.integer(4));
  identity.updated = from_ms(row.integer(5));
  identity.change_sequence = static_cast<std::uint64_t>(row.integer(6));
  identity.psks = TRY(
      read_keys(db, "SELECT psk_id, wrapped FROM psks WHERE identity_id = ?1 ORDER BY psk_id", id));
  identity.shared_tpks = TRY(
      read_keys(db, "SELECT tpk_id, wrapped FROM tpks WHERE owner_id = ?1 ORDER BY tpk_id", id));
  return identity;
}

Result<Identity> select_identity(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE uri = ?1"));
  if (!TRY(select.bind(1, uri).step())) return no_identity(uri);
  return read_identity(db, select);
}

// Columns of a TPK with its owner, if it has one; to be followed by a WHERE.
#define SELECT_TPK                                                                           \
  "SELECT t.tpk_id, t.wrapped, i.uri, t.state, t.created_ms, t.state_ms, t.change_sequence " \
  "FROM tpks AS t LEFT JOIN identities AS i ON i.id = t.owner_id "

// `row`: of SELECT_TPK.
Tpk read_tpk(const SqliteStatement& row) {
  Tpk tpk;
  tpk.key = {to_vector(row.blob(0)), to_vector(row.blob(1))};
  if (!row.is_null(2)) tpk.owner = std::string(row.text(2));
  tpk.state = static_cast<TpkState>(row.integer(3));
  tpk.created = from_ms(row.integer(4));
  tpk.state_since = from_ms(row.integer(5));
  tpk.change_sequence = static_cast<std::uint64_t>(row.integer(6));
  return tpk;
}

Result<Tpk> select_tpk(SqliteDatabase& db, Bytes tpk_id) {
  SqliteStatement select = TRY(db.prepare(SELECT_TPK "WHERE t.tpk_id = ?1"));
  if (!TRY(select.bind(1, tpk_id).step())) {
    return fail(Category::not_found, "there is no ticket protection key with this id");
  }
  return read_tpk(select);
}

// With an entry in the changes: a state of a TPK of the KMS that others may have cached.
Result<void> update_tpk_state(SqliteDatabase& db, Bytes tpk_id, TpkState state, std::int64_t now) {
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::own_tpk, tpk_id));
  SqliteStatement update =
      TRY(db.prepare("UPDATE tpks SET state = ?2, state_ms = ?3, change_sequence = ?4, "
                     "wrapped = iif(?2 = 4, zeroblob(0), wrapped) WHERE tpk_id = ?1"));
  return update.bind(1, tpk_id)
      .bind(2, std::int64_t{static_cast<std::uint8_t>(state)})
      .bind(3, now)
      .bind(4, sequence)
      .run();
}

Result<void> retire_active_tpk(SqliteDatabase& db, std::int64_t now) {
  ByteVector id;
  {
    SqliteStatement select =
        TRY(db.prepare("SELECT tpk_id FROM tpks WHERE owner_id IS NULL AND state = 1"));
    if (!TRY(select.step())) return {};
    id = to_vector(select.blob(0));
  }
  return update_tpk_state(db, id, TpkState::retired, now);
}

// What may become of a TPK of the KMS (identity_store.h).
Result<void> check_tpk_step(TpkState from, TpkState to) {
  if (from == TpkState::active && to != TpkState::active) {
    return fail(Category::conflict,
                "this is the active ticket protection key: activate another one first");
  }
  if (from == TpkState::prepared || to == TpkState::revoked) return {};
  return fail(Category::conflict,
              from == TpkState::revoked
                  ? "this ticket protection key is revoked: its key is gone"
                  : "only a prepared ticket protection key can be activated or retired");
}

Result<std::vector<Change>> select_changes(SqliteDatabase& db, std::int64_t after,
                                           std::int64_t limit) {
  SqliteStatement select = TRY(
      db.prepare("SELECT sequence, subject, key FROM changes WHERE sequence > ?1 ORDER BY sequence "
                 "LIMIT ?2"));
  select.bind(1, after).bind(2, limit);
  std::vector<Change> changes;
  while (TRY(select.step())) {
    changes.push_back({static_cast<std::uint64_t>(select.integer(0)),
                       static_cast<ChangeSubject>(select.integer(1)), to_vector(select.blob(2))});
  }
  return changes;
}

Result<ByteVector> read_kek_check(SqliteDatabase& db) {
  SqliteStatement select = TRY(db.prepare("SELECT value FROM meta WHERE name = ?1"));
  if (!TRY(select.bind(1, std::string_view(kKekCheck)).step())) {
    return fail(Category::internal, "the database holds no KEK check value");
  }
  return to_vector(select.blob(0));
}

// What a prefix search ends before: the prefix with its last octet that can grow, grown.
std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

}  // namespace

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
  SqliteStatement insert = TRY(database->prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)"));
  return insert.bind(1, std::string_view(kKekCheck)).bind(2, Bytes(check)).run();
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const SqliteStoreOptions& options,
                                                       const Kek& kek, const Clock& clock) {
  std::error_code error;
  if (!std::filesystem::exists(options.path, error)) {
    return fail(Category::not_found,
                fmt::format("there is no database {}: run kms-server init", options.path.string()));
  }
  {
    const auto reader = TRY(SqliteDatabase::open(options.path, SqliteDatabase::Mode::read));
    const auto known = static_cast<std::int64_t>(schema_migrations().size());
    // A newer schema is for migrate() to refuse: where it keeps its check value is not known.
    if (TRY(reader->query_integer("PRAGMA user_version")) <= known) {
      const ByteVector check = TRY(read_kek_check(*reader));
      TRY(kek.verify_check_value(check));
    }
  }
  auto writer = TRY(SqliteDatabase::open(options.path, SqliteDatabase::Mode::write));
  TRY(migrate(*writer, options.path));
  const std::int64_t newest = TRY(writer->query_integer("SELECT value FROM change_counter"));
  return std::unique_ptr<SqliteStore>(new SqliteStore(options, clock, std::move(writer), newest));
}

SqliteStore::SqliteStore(SqliteStoreOptions options, const Clock& clock,
                         std::unique_ptr<SqliteDatabase> writer, std::int64_t newest_change)
    : options_(std::move(options)),
      clock_(clock),
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

std::int64_t SqliteStore::now_ms() const { return to_ms(clock_.now()); }

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

Result<std::vector<Change>> SqliteStore::run_batch(std::vector<std::shared_ptr<Waiting>>& batch,
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
  std::vector<Change> changes =
      TRY(select_changes(*writer_, newest_change_, std::numeric_limits<std::int64_t>::max()));
  TRY(writer_->execute("COMMIT"));
  return changes;
}

void SqliteStore::commit_together(std::vector<std::shared_ptr<Waiting>>& batch) {
  std::vector<Result<void>> results(batch.size());
  const auto changes = run_batch(batch, results);
  if (changes) {
    const std::lock_guard lock(listener_mutex_);
    for (const Change& change : *changes) {
      newest_change_ = static_cast<std::int64_t>(change.sequence);
      if (listener_) listener_(change);
    }
  } else {
    (void)writer_->execute("ROLLBACK");
  }

  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    // Nothing of a transaction that did not commit happened.
    if (!changes && results[i]) results[i] = std::unexpected(changes.error());
    batch[i]->result = std::move(results[i]);
  }
}

void SqliteStore::on_change(Listener listener) {
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

Result<Identity> SqliteStore::create(std::string_view uri, IdentityKind kind,
                                     std::optional<WrappedKey> psk, Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), kind, psk = std::move(psk),
       now = now_ms()](SqliteDatabase& db) -> Result<Identity> {
        if (const auto existing = identity_id(db, uri)) {
          return fail(Category::conflict, fmt::format("there is an identity {} already", uri));
        }
        const std::int64_t sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(uri)));
        {
          SqliteStatement insert = TRY(db.prepare(
              "INSERT INTO identities (uri, kind, state, created_ms, updated_ms, change_sequence) "
              "VALUES (?1, ?2, 1, ?3, ?3, ?4)"));
          TRY(insert.bind(1, std::string_view(uri))
                  .bind(2, std::int64_t{static_cast<std::uint8_t>(kind)})
                  .bind(3, now)
                  .bind(4, sequence)
                  .run());
        }
        const std::int64_t id = TRY(identity_id(db, uri));
        if (psk) TRY(insert_psk(db, id, *psk, now, sequence));
        return select_identity(db, uri);
      },
      deadline);
}

Result<Identity> SqliteStore::set_state(std::string_view uri, IdentityState state,
                                        Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), state, now = now_ms()](SqliteDatabase& db) -> Result<Identity> {
        Identity before = TRY(select_identity(db, uri));
        if (before.state == state) return before;
        TRY(touch_identity(db, uri, now));
        {
          SqliteStatement update =
              TRY(db.prepare("UPDATE identities SET state = ?2 WHERE uri = ?1"));
          TRY(update.bind(1, std::string_view(uri))
                  .bind(2, std::int64_t{static_cast<std::uint8_t>(state)})
                  .run());
        }
        return select_identity(db, uri);
      },
      deadline);
}

Result<void> SqliteStore::remove(std::string_view uri, Deadline deadline) {
  return change(
      [uri = std::string(uri)](SqliteDatabase& db) -> Result<void> {
        const std::int64_t id = TRY(identity_id(db, uri));
        TRY(next_change(db, ChangeSubject::identity, as_bytes(uri)));
        SqliteStatement erase = TRY(db.prepare("DELETE FROM identities WHERE id = ?1"));
        return erase.bind(1, id).run();
      },
      deadline);
}

Result<Identity> SqliteStore::set_psk(std::string_view uri, WrappedKey psk, Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), psk = std::move(psk),
       now = now_ms()](SqliteDatabase& db) -> Result<Identity> {
        const std::int64_t id = TRY(identity_id(db, uri));
        const std::int64_t sequence = TRY(touch_identity(db, uri, now));
        TRY(insert_psk(db, id, psk, now, sequence));
        return select_identity(db, uri);
      },
      deadline);
}

Result<Identity> SqliteStore::share_tpk(std::string_view uri, WrappedKey tpk, Deadline deadline) {
  return change_for<Identity>(
      [uri = std::string(uri), tpk = std::move(tpk),
       now = now_ms()](SqliteDatabase& db) -> Result<Identity> {
        const std::int64_t id = TRY(identity_id(db, uri));
        const std::int64_t sequence = TRY(touch_identity(db, uri, now));
        TRY(insert_tpk(db, id, tpk, TpkState::active, now, sequence));
        return select_identity(db, uri);
      },
      deadline);
}

Result<std::size_t> SqliteStore::unshare_tpk(std::string_view uri, Bytes tpk_id,
                                             Deadline deadline) {
  return change_for<std::size_t>(
      [uri = std::string(uri), tpk_id = to_vector(tpk_id),
       now = now_ms()](SqliteDatabase& db) -> Result<std::size_t> {
        const std::int64_t id = TRY(identity_id(db, uri));
        std::size_t removed = 0;
        {
          SqliteStatement erase = TRY(db.prepare(
              "DELETE FROM tpks WHERE owner_id = ?1 AND (length(?2) = 0 OR tpk_id = ?2)"));
          TRY(erase.bind(1, id).bind(2, Bytes(tpk_id)).run());
          removed = static_cast<std::size_t>(db.changed_rows());
        }
        if (removed != 0) TRY(touch_identity(db, uri, now));
        return removed;
      },
      deadline);
}

Result<Tpk> SqliteStore::add_tpk(WrappedKey tpk, TpkState state, Deadline deadline) {
  return change_for<Tpk>(
      [tpk = std::move(tpk), state, now = now_ms()](SqliteDatabase& db) -> Result<Tpk> {
        if (state == TpkState::active) TRY(retire_active_tpk(db, now));
        const std::int64_t sequence = TRY(next_change(db, ChangeSubject::own_tpk, tpk.id));
        TRY(insert_tpk(db, std::nullopt, tpk, state, now, sequence));
        return select_tpk(db, tpk.id);
      },
      deadline);
}

Result<Tpk> SqliteStore::set_tpk_state(Bytes tpk_id, TpkState state, Deadline deadline) {
  return change_for<Tpk>(
      [id = to_vector(tpk_id), state, now = now_ms()](SqliteDatabase& db) -> Result<Tpk> {
        Tpk before = TRY(select_tpk(db, id));
        if (before.owner) {
          return fail(Category::conflict, "this ticket protection key is shared: unshare it");
        }
        if (before.state == state) return before;
        TRY(check_tpk_step(before.state, state));
        if (state == TpkState::active) TRY(retire_active_tpk(db, now));
        TRY(update_tpk_state(db, id, state, now));
        return select_tpk(db, id);
      },
      deadline);
}

Result<std::size_t> SqliteStore::purge_tpks(WallTime before, Deadline deadline) {
  return change_for<std::size_t>(
      [before_ms = to_ms(before)](SqliteDatabase& db) -> Result<std::size_t> {
        std::vector<ByteVector> ids;
        {
          SqliteStatement select =
              TRY(db.prepare("SELECT tpk_id FROM tpks WHERE owner_id IS NULL AND state IN (2, 4) "
                             "AND state_ms < ?1"));
          select.bind(1, before_ms);
          while (TRY(select.step())) ids.push_back(to_vector(select.blob(0)));
        }
        for (const ByteVector& id : ids) {
          TRY(next_change(db, ChangeSubject::own_tpk, id));
          SqliteStatement erase = TRY(db.prepare("DELETE FROM tpks WHERE tpk_id = ?1"));
          TRY(erase.bind(1, Bytes(id)).run());
        }
        return ids.size();
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
  if (auto begun = reader->execute("BEGIN"); begun) {
    result = query(*reader);
    reader->set_deadline(std::nullopt);
    (void)reader->execute("ROLLBACK");
  } else {
    result = std::unexpected(std::move(begun).error());
  }
  const std::lock_guard lock(readers_mutex_);
  idle_readers_.push_back(std::move(reader));
  return result;
}

Result<Identity> SqliteStore::find(std::string_view uri, Deadline deadline) {
  return read<Identity>(deadline, [&](SqliteDatabase& db) { return select_identity(db, uri); });
}

Result<Identity> SqliteStore::find_by_psk_id(Bytes psk_id, Deadline deadline) {
  return read<Identity>(deadline, [&](SqliteDatabase& db) -> Result<Identity> {
    SqliteStatement select = TRY(db.prepare(
        "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, i.change_sequence "
        "FROM psks AS p JOIN identities AS i ON i.id = p.identity_id WHERE p.psk_id = ?1"));
    if (!TRY(select.bind(1, psk_id).step())) {
      return fail(Category::not_found, "there is no pre-shared key with this id");
    }
    return read_identity(db, select);
  });
}

Result<IdentityPage> SqliteStore::list(std::string_view prefix, std::string_view after,
                                       std::size_t limit, Deadline deadline) {
  return read<IdentityPage>(deadline, [&](SqliteDatabase& db) -> Result<IdentityPage> {
    const std::string end = end_of_prefix(prefix);
    SqliteStatement select = TRY(db.prepare(
        "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
        "WHERE uri >= ?1 AND (?2 = '' OR uri < ?2) AND uri > ?3 ORDER BY uri LIMIT ?4"));
    select.bind(1, prefix)
        .bind(2, std::string_view(end))
        .bind(3, after)
        .bind(4, static_cast<std::int64_t>(limit) + 1);
    IdentityPage page;
    while (TRY(select.step())) {
      if (page.identities.size() == limit) {
        page.more = true;
        break;
      }
      page.identities.push_back(TRY(read_identity(db, select)));
    }
    return page;
  });
}

Result<Tpk> SqliteStore::active_tpk(Deadline deadline) {
  return read<Tpk>(deadline, [](SqliteDatabase& db) -> Result<Tpk> {
    SqliteStatement select = TRY(db.prepare(SELECT_TPK "WHERE t.owner_id IS NULL AND t.state = 1"));
    if (!TRY(select.step())) {
      return fail(Category::not_found, "the KMS has no active ticket protection key");
    }
    return read_tpk(select);
  });
}

Result<Tpk> SqliteStore::find_tpk(Bytes tpk_id, Deadline deadline) {
  return read<Tpk>(deadline, [&](SqliteDatabase& db) { return select_tpk(db, tpk_id); });
}

Result<std::vector<Tpk>> SqliteStore::list_tpks(Deadline deadline) {
  return read<std::vector<Tpk>>(deadline, [](SqliteDatabase& db) -> Result<std::vector<Tpk>> {
    SqliteStatement select =
        TRY(db.prepare(SELECT_TPK "WHERE t.owner_id IS NULL ORDER BY t.created_ms, t.tpk_id"));
    std::vector<Tpk> tpks;
    while (TRY(select.step())) tpks.push_back(read_tpk(select));
    return tpks;
  });
}

Result<std::vector<Change>> SqliteStore::changes_since(std::uint64_t sequence, std::size_t limit,
                                                       Deadline deadline) {
  return read<std::vector<Change>>(deadline, [&](SqliteDatabase& db) {
    return select_changes(db, static_cast<std::int64_t>(sequence),
                          static_cast<std::int64_t>(limit));
  });
}

}  // namespace keystub::kms
