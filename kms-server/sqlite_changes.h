// What the statements of all tables share: the change sequence, and times as they are stored.
#pragma once

#include "kms-server/identity_store.h"
#include "kms-server/sqlite_database.h"

namespace keystub::kms::sql {

WallTime from_ms(std::int64_t ms);
std::int64_t to_ms(WallTime time);

// The next change sequence.
Result<std::int64_t> next_sequence(SqliteDatabase& db);
// The same, entered as the newest change of `key`.
Result<std::int64_t> next_change(SqliteDatabase& db, ChangeSubject subject, Bytes key);

// Those after `after`, oldest first.
Result<std::vector<Change>> select_changes(SqliteDatabase& db, std::int64_t after,
                                           std::int64_t limit);

}  // namespace keystub::kms::sql
