#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }
std::int64_t to_ms(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

Result<std::int64_t> next_sequence(SqliteDatabase& db) {
  SqliteStatement counter =
      TRY(db.prepare("UPDATE change_counter SET value = value + 1 WHERE only_row = 1 "
                     "RETURNING value"));
  if (!TRY(counter.step())) return fail(Category::internal, "the change counter is gone");
  return counter.integer(0);
}

Result<std::int64_t> next_change(SqliteDatabase& db, ChangeSubject subject, Bytes key) {
  const std::int64_t sequence = TRY(next_sequence(db));
  SqliteStatement insert = TRY(
      db.prepare("INSERT OR REPLACE INTO changes (sequence, subject, key) VALUES (?1, ?2, ?3)"));
  TRY(insert.bind(1, sequence)
          .bind(2, std::int64_t{static_cast<std::uint8_t>(subject)})
          .bind(3, key)
          .run());
  return sequence;
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

}  // namespace keystub::kms::sql
