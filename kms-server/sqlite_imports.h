// The statements of SqliteStore about bulk imports. Each runs inside a transaction that its caller
// opened; those that change something belong on the writer.
//
// An import has one row, which says where it goes on; the newest 64 (kKeptImports) are kept.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

inline constexpr std::int64_t kKeptImports = 64;

// All of the batch, or an error that names the record at fault and nothing (once the caller rolls
// back). `now` is the time of the change in milliseconds.
Result<ImportOutcome> import_batch(SqliteDatabase& db, const ImportBatch& batch, std::int64_t now);
// 0 for an import without a row.
Result<std::uint64_t> select_next_batch(SqliteDatabase& db, std::string_view import_id);
Result<void> forget_import(SqliteDatabase& db, std::string_view import_id);

}  // namespace keystub::kms::sql
