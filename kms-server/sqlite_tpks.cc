#include "kms-server/sqlite_tpks.h"

#include "kms-server/sqlite_revocations.h"

namespace keystub::kms::sql {
namespace {

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

}  // namespace

Result<Tpk> select_tpk(SqliteDatabase& db, Bytes tpk_id) {
  SqliteStatement select = TRY(db.prepare(SELECT_TPK "WHERE t.tpk_id = ?1"));
  if (!TRY(select.bind(1, tpk_id).step())) {
    return fail(Category::not_found, "there is no ticket protection key with this id");
  }
  return read_tpk(select);
}

Result<Tpk> select_active_tpk(SqliteDatabase& db) {
  SqliteStatement select = TRY(db.prepare(SELECT_TPK "WHERE t.owner_id IS NULL AND t.state = 1"));
  if (!TRY(select.step())) {
    return fail(Category::not_found, "the KMS has no active ticket protection key");
  }
  return read_tpk(select);
}

Result<std::vector<Tpk>> select_own_tpks(SqliteDatabase& db) {
  SqliteStatement select =
      TRY(db.prepare(SELECT_TPK "WHERE t.owner_id IS NULL ORDER BY t.created_ms, t.tpk_id"));
  std::vector<Tpk> tpks;
  while (TRY(select.step())) tpks.push_back(read_tpk(select));
  return tpks;
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

Result<Tpk> add_tpk(SqliteDatabase& db, const WrappedKey& tpk, TpkState state, std::int64_t now) {
  if (state == TpkState::active) TRY(retire_active_tpk(db, now));
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::own_tpk, tpk.id));
  TRY(insert_tpk(db, std::nullopt, tpk, state, now, sequence));
  return select_tpk(db, tpk.id);
}

Result<Tpk> set_tpk_state(SqliteDatabase& db, Bytes tpk_id, TpkState state, std::int64_t now) {
  Tpk before = TRY(select_tpk(db, tpk_id));
  if (before.owner) {
    return fail(Category::conflict, "this ticket protection key is shared: unshare it");
  }
  if (before.state == state) return before;
  TRY(check_tpk_step(before.state, state));
  if (state == TpkState::active) TRY(retire_active_tpk(db, now));
  TRY(update_tpk_state(db, tpk_id, state, now));
  if (state == TpkState::revoked) TRY(enter_revoked_tpk(db, tpk_id, now));
  return select_tpk(db, tpk_id);
}

Result<std::size_t> purge_tpks(SqliteDatabase& db, std::int64_t before) {
  std::vector<ByteVector> ids;
  {
    SqliteStatement select =
        TRY(db.prepare("SELECT tpk_id FROM tpks WHERE owner_id IS NULL AND state IN (2, 4) "
                       "AND state_ms < ?1"));
    select.bind(1, before);
    while (TRY(select.step())) ids.push_back(to_vector(select.blob(0)));
  }
  for (const ByteVector& id : ids) {
    TRY(next_change(db, ChangeSubject::own_tpk, id));
    SqliteStatement erase = TRY(db.prepare("DELETE FROM tpks WHERE tpk_id = ?1"));
    TRY(erase.bind(1, Bytes(id)).run());
  }
  return ids.size();
}

}  // namespace keystub::kms::sql
