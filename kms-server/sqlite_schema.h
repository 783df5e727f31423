// The schema of the identity database and its numbered migrations.
//
// PRAGMA user_version is the number of the newest migration that ran. Migration N brings N-1 to N,
// in one transaction. A migration is never edited once it is released; a change is a new one.
#pragma once

#include <filesystem>
#include <optional>
#include <span>

#include "kms-server/sqlite_database.h"

namespace keystub::kms {

// In their order; the first is number 1. String literals.
std::span<const char* const> schema_migrations();

// What was done to an older database.
struct Migration {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::filesystem::path copy;  // of how it was
};

// Brings the database, which nobody else changes meanwhile, to the newest schema; none: it has it,
// or was empty. Before an existing schema is changed, the whole database is copied to PATH.schema-N
// (0600; where that is taken, to PATH.schema-N-2 and so on). A database with a newer schema than
// this is refused (conflict) and left as it is.
Result<std::optional<Migration>> migrate(
    SqliteDatabase& database, const std::filesystem::path& path,
    std::span<const char* const> migrations = schema_migrations());

}  // namespace keystub::kms
