#include "kms-server/sqlite_imports.h"

#include <fmt/format.h>

#include "kms-server/sqlite_identity_rows.h"

namespace keystub::kms::sql {
namespace {

template <class T>
Result<T> in_field(std::string_view field, std::string_view value, Result<T> result) {
  if (result) return result;
  return std::unexpected(
      std::move(result).error().with_context(fmt::format("{} {}", field, value)));
}

Result<void> join(SqliteDatabase& db, const std::string& group, const IdentityRow& member) {
  auto row = find_row(db, group);
  if (!row && row.error().category() == Category::not_found) {
    return fail(Category::not_found, "there is no such group: put it in front of its members");
  }
  if (!row) return std::unexpected(std::move(row).error());
  return insert_membership(db, *row, member);
}

Result<void> insert(SqliteDatabase& db, const ImportedIdentity& one, std::int64_t now) {
  const IdentityRow row = TRY(insert_identity(db, one.uri, one.kind, one.state, now));
  for (const WrappedPsk& psk : one.psks) {
    TRY(in_field("PSK", to_hex(psk.id), upsert_psk(db, row, psk, now)));
  }
  for (const std::string& alias : one.aliases) {
    TRY(in_field("alias", alias, insert_alias(db, row, alias)));
  }
  for (const std::string& pattern : one.owned_patterns) {
    TRY(in_field("owned pattern", pattern, insert_pattern(db, row, pattern)));
  }
  for (const std::string& group : one.groups) {
    TRY(in_field("group", group, join(db, group, row)));
  }
  return {};
}

Result<void> set_next_batch(SqliteDatabase& db, const ImportBatch& batch, std::int64_t now) {
  {
    SqliteStatement upsert = TRY(
        db.prepare("INSERT INTO imports (import_id, next_batch, updated_ms) VALUES (?1, ?2, ?3) "
                   "ON CONFLICT (import_id) DO UPDATE SET next_batch = excluded.next_batch, "
                   "updated_ms = excluded.updated_ms"));
    TRY(upsert.bind(1, std::string_view(batch.import_id))
            .bind(2, static_cast<std::int64_t>(batch.number) + 1)
            .bind(3, now)
            .run());
  }
  if (batch.number != 0) return {};
  SqliteStatement prune =
      TRY(db.prepare("DELETE FROM imports WHERE import_id NOT IN (SELECT import_id FROM imports "
                     "ORDER BY import_id = ?1 DESC, updated_ms DESC LIMIT ?2)"));
  return prune.bind(1, std::string_view(batch.import_id)).bind(2, kKeptImports).run();
}

}  // namespace

Result<std::uint64_t> select_next_batch(SqliteDatabase& db, std::string_view import_id) {
  SqliteStatement select = TRY(db.prepare("SELECT next_batch FROM imports WHERE import_id = ?1"));
  if (!TRY(select.bind(1, import_id).step())) return 0;
  return static_cast<std::uint64_t>(select.integer(0));
}

Result<void> forget_import(SqliteDatabase& db, std::string_view import_id) {
  SqliteStatement erase = TRY(db.prepare("DELETE FROM imports WHERE import_id = ?1"));
  return erase.bind(1, import_id).run();
}

Result<ImportOutcome> import_batch(SqliteDatabase& db, const ImportBatch& batch, std::int64_t now) {
  ImportOutcome outcome;
  outcome.next_batch = TRY(select_next_batch(db, batch.import_id));
  if (batch.number < outcome.next_batch) {
    outcome.done_before = true;
    return outcome;
  }
  if (batch.number > outcome.next_batch) {
    return fail(Category::conflict,
                fmt::format("batch {} of this import is not the next one: go on with batch {}",
                            batch.number, outcome.next_batch));
  }
  for (const ImportedIdentity& one : batch.identities) {
    if (batch.skip_existing && TRY(look_up(db, one.uri))) {
      ++outcome.skipped;
      continue;
    }
    if (auto inserted = insert(db, one, now); !inserted) {
      return std::unexpected(
          std::move(inserted).error().with_context(record_name(one.line, one.uri)));
    }
    ++outcome.created;
  }
  TRY(set_next_batch(db, batch, now));
  outcome.next_batch = batch.number + 1;
  return outcome;
}

}  // namespace keystub::kms::sql
