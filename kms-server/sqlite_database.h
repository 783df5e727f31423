// A thin owner of one SQLite connection and its prepared statements.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace keystub::kms {

// A prepared statement in use; it is reset when this is dropped. Bind, then step.
class SqliteStatement {
 public:
  explicit SqliteStatement(sqlite3* db, sqlite3_stmt* statement) noexcept
      : db_(db), statement_(statement) {}
  SqliteStatement(SqliteStatement&& other) noexcept
      : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  // Parameters are numbered from 1. The bound memory must outlive the stepping.
  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, std::string_view text);
  SqliteStatement& bind(int index, Bytes blob);

  // True: a row is there. False: done.
  Result<bool> step();
  // For statements that give no rows.
  Result<void> run();

  // Columns are numbered from 0; views are valid until the next step.
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  Bytes blob(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
};

// A string literal, and nothing else: prepared statements are kept under its address.
class SqlLiteral {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor)
  consteval SqlLiteral(const char* text) : text_(text) {}
  constexpr const char* text() const noexcept { return text_; }

 private:
  const char* text_;
};

// Threads: one at a time.
class SqliteDatabase {
 public:
  enum class Mode { read, write };

  // The file must exist. The settings are the KMS's: WAL, synchronous=FULL, foreign keys.
  static Result<std::unique_ptr<SqliteDatabase>> open(const std::filesystem::path& path, Mode mode);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // The prepared statement is kept as long as the connection.
  Result<SqliteStatement> prepare(SqlLiteral sql);
  // One statement without parameters and rows, prepared.
  Result<void> run(SqlLiteral sql);
  // Several, not kept.
  Result<void> execute(const char* sql);
  // The first column of the first row; not_found without one. Not kept.
  Result<std::int64_t> query_integer(const char* sql);

  // Writes all of it, as it is at one moment, to `copy`, a new file (0600) that is not synced yet.
  // Others read and write meanwhile.
  Result<void> copy_to(const std::filesystem::path& copy);

  // Statements that run past this time fail with unavailable. None: no limit.
  void set_deadline(std::optional<SteadyTime> deadline) noexcept { deadline_ = deadline; }

  int changed_rows() const;

 private:
  explicit SqliteDatabase(sqlite3* db) noexcept : db_(db) {}
  static int progress(void* self);

  sqlite3* db_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
  std::optional<SteadyTime> deadline_;
};

}  // namespace keystub::kms
