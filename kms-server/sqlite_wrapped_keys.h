// The statements of SqliteStore about keys as wrapped octets, whatever they are for: which KEK the
// database belongs to, and moving its keys to another one. Each runs inside a transaction that its
// caller opened.
#pragma once

#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/sqlite_database.h"

namespace keystub::kms::sql {

Result<KekChecks> select_kek_checks(SqliteDatabase& db);
Result<void> insert_kek_check(SqliteDatabase& db, Bytes check);
// Fails (denied) unless the KEK opens every check value that there is: the first one alone, and
// while keys are moved also the second, with its next KEK.
Result<void> verify_kek(SqliteDatabase& db, const Kek& kek);

Result<void> begin_kek_move(SqliteDatabase& db, Bytes next_check);
Result<void> end_kek_move(SqliteDatabase& db);

Result<std::vector<StoredKey>> select_keys(SqliteDatabase& db, KeyTable table, Bytes after,
                                           std::int64_t limit);
Result<std::size_t> replace_keys(SqliteDatabase& db, const std::vector<RewrappedKey>& keys);

}  // namespace keystub::kms::sql
