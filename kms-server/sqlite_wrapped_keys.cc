#include "kms-server/sqlite_wrapped_keys.h"

namespace keystub::kms::sql {
namespace {

constexpr std::string_view kCheck = "kek_check";
constexpr std::string_view kNextCheck = "kek_check_next";

Result<std::optional<ByteVector>> select_meta(SqliteDatabase& db, std::string_view name) {
  SqliteStatement select = TRY(db.prepare("SELECT value FROM meta WHERE name = ?1"));
  if (!TRY(select.bind(1, name).step())) return std::optional<ByteVector>();
  return std::optional(to_vector(select.blob(0)));
}

Result<void> insert_meta(SqliteDatabase& db, std::string_view name, Bytes value) {
  SqliteStatement insert = TRY(db.prepare("INSERT INTO meta (name, value) VALUES (?1, ?2)"));
  return insert.bind(1, name).bind(2, value).run();
}

// A revoked TPK has no key any more.
SqlLiteral select_of(KeyTable table) {
  switch (table) {
    case KeyTable::psks:
      return "SELECT p.psk_id, p.wrapped, i.uri FROM psks AS p "
             "JOIN identities AS i ON i.id = p.identity_id "
             "WHERE p.psk_id > ?1 ORDER BY p.psk_id LIMIT ?2";
    case KeyTable::tpks:
      return "SELECT t.tpk_id, t.wrapped, i.uri FROM tpks AS t "
             "LEFT JOIN identities AS i ON i.id = t.owner_id "
             "WHERE t.tpk_id > ?1 AND length(t.wrapped) > 0 ORDER BY t.tpk_id LIMIT ?2";
  }
  return "";
}

SqlLiteral update_of(KeyTable table) {
  switch (table) {
    case KeyTable::psks: return "UPDATE psks SET wrapped = ?3 WHERE psk_id = ?1 AND wrapped = ?2";
    case KeyTable::tpks: return "UPDATE tpks SET wrapped = ?3 WHERE tpk_id = ?1 AND wrapped = ?2";
  }
  return "";
}

KeyKind kind_of(KeyTable table, bool has_owner) {
  if (table == KeyTable::psks) return KeyKind::psk;
  return has_owner ? KeyKind::shared_tpk : KeyKind::own_tpk;
}

}  // namespace

Result<KekChecks> select_kek_checks(SqliteDatabase& db) {
  auto check = TRY(select_meta(db, kCheck));
  if (!check) return fail(Category::internal, "the database holds no KEK check value");
  auto next = TRY(select_meta(db, kNextCheck));
  return KekChecks{std::move(*check), std::move(next)};
}

Result<void> insert_kek_check(SqliteDatabase& db, Bytes check) {
  return insert_meta(db, kCheck, check);
}

Result<void> verify_kek(SqliteDatabase& db, const Kek& kek) {
  const KekChecks checks = TRY(select_kek_checks(db));
  TRY(kek.verify_check_value(checks.current));
  if (checks.next && !kek.opener_of_check_value(*checks.next)) {
    return fail(
        Category::denied,
        "keys of this database were being moved to another KEK, and are wrapped under both: "
        "put that one into the table [kek_next] of the configuration; nothing was written");
  }
  return {};
}

Result<void> begin_kek_move(SqliteDatabase& db, Bytes next_check) {
  return insert_meta(db, kNextCheck, next_check);
}

Result<void> end_kek_move(SqliteDatabase& db) {
  const KekChecks checks = TRY(select_kek_checks(db));
  if (!checks.next) return fail(Category::conflict, "no keys are being moved to another KEK");
  SqliteStatement remove = TRY(db.prepare("DELETE FROM meta WHERE name IN (?1, ?2)"));
  TRY(remove.bind(1, kCheck).bind(2, kNextCheck).run());
  return insert_kek_check(db, *checks.next);
}

Result<std::vector<StoredKey>> select_keys(SqliteDatabase& db, KeyTable table, Bytes after,
                                           std::int64_t limit) {
  SqliteStatement rows = TRY(db.prepare(select_of(table)));
  rows.bind(1, after).bind(2, limit);
  std::vector<StoredKey> keys;
  while (TRY(rows.step())) {
    const bool has_owner = !rows.is_null(2);
    keys.push_back({kind_of(table, has_owner), has_owner ? std::string(rows.text(2)) : "",
                    to_vector(rows.blob(0)), to_vector(rows.blob(1))});
  }
  return keys;
}

Result<std::size_t> replace_keys(SqliteDatabase& db, const std::vector<RewrappedKey>& keys) {
  std::size_t replaced = 0;
  for (const RewrappedKey& key : keys) {
    SqliteStatement update = TRY(db.prepare(update_of(key.table)));
    TRY(update.bind(1, Bytes(key.id)).bind(2, Bytes(key.was)).bind(3, Bytes(key.wrapped)).run());
    replaced += static_cast<std::size_t>(db.changed_rows());
  }
  return replaced;
}

}  // namespace keystub::kms::sql
