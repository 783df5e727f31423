#include "kms-server/sqlite_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

#include "kms-server/files.h"

namespace keystub::kms {
namespace {

constexpr int kProgressSteps = 2000;  // virtual machine steps between two looks at the deadline
constexpr int kBusyMilliseconds = 2000;

std::unexpected<Error> sqlite_error(sqlite3* db, int code) {
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_INTERRUPT:
      return fail(Category::unavailable, "the identity database took longer than the deadline");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(Category::unavailable,
                  fmt::format("another process holds the identity database: {}", text));
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
      return fail(Category::unavailable, fmt::format("identity database: {}", text));
    case SQLITE_CONSTRAINT:
      return fail(Category::conflict, fmt::format("identity database: {}", text));
    default: return fail(Category::internal, fmt::format("identity database: {}", text));
  }
}

}  // namespace

SqliteStatement::~SqliteStatement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
  return *this;
}

// An empty view may have a null pointer, which SQLite would take for NULL.
SqliteStatement& SqliteStatement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, Bytes blob) {
  if (blob.empty()) {
    sqlite3_bind_zeroblob(statement_, index, 0);
  } else {
    sqlite3_bind_blob64(statement_, index, blob.data(), blob.size(), SQLITE_STATIC);
  }
  return *this;
}

Result<bool> SqliteStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_error(db_, code);
}

Result<void> SqliteStatement::run() {
  TRY(step());
  return {};
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view SqliteStatement::text(int column) const {
  const unsigned char* data = sqlite3_column_text(statement_, column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Bytes SqliteStatement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const std::uint8_t*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const std::filesystem::path& path,
                                                             Mode mode) {
  // SQLite's own count of its memory takes a lock of the process for each allocation. Nobody reads
  // it. Without effect when somebody opened a database before.
  [[maybe_unused]] static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* db = nullptr;
  // A reader opens for writing too: in WAL mode it shares the wal-index.
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(db));
  if (code != SQLITE_OK) {
    Error error = sqlite_error(db, code).error();
    return std::unexpected(std::move(error).with_context("cannot open " + path.string()));
  }
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  TRY(database->execute("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"));
  if (mode == Mode::read) {
    TRY(database->execute("PRAGMA query_only=ON;"));
  } else {
    // secure_delete: a wrapped key that was deleted does not stay in free pages.
    TRY(
        database->execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA secure_delete=ON;"));
  }
  sqlite3_progress_handler(db, kProgressSteps, &SqliteDatabase::progress, database.get());
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

int SqliteDatabase::progress(void* self) {
  const auto& deadline = static_cast<SqliteDatabase*>(self)->deadline_;
  return deadline && std::chrono::steady_clock::now() >= *deadline ? 1 : 0;
}

Result<void> SqliteDatabase::run(SqlLiteral sql) { return TRY(prepare(sql)).run(); }

Result<SqliteStatement> SqliteDatabase::prepare(SqlLiteral sql) {
  sqlite3_stmt*& statement = statements_[sql.text()];
  if (statement == nullptr) {
    const int code =
        sqlite3_prepare_v3(db_, sql.text(), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return sqlite_error(db_, code);
  }
  return SqliteStatement(db_, statement);
}

Result<void> SqliteDatabase::execute(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db_, code);
  return {};
}

Result<std::int64_t> SqliteDatabase::query_integer(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (const int code = sqlite3_prepare_v2(db_, sql, -1, &raw, nullptr); code != SQLITE_OK) {
    return sqlite_error(db_, code);
  }
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(raw, &sqlite3_finalize);
  const int code = sqlite3_step(raw);
  if (code == SQLITE_DONE) return fail(Category::not_found, "the query gave no row");
  if (code != SQLITE_ROW) return sqlite_error(db_, code);
  return sqlite3_column_int64(raw, 0);
}

Result<void> SqliteDatabase::copy_to(const std::filesystem::path& copy) {
  // VACUUM INTO accepts an existing empty file, which gives us its permissions.
  TRY(create_private_file(copy, {}));
  std::string quoted;
  for (const char c : copy.string()) quoted += c == '\'' ? "''" : std::string(1, c);
  // It writes to the copy alone, but a connection that may only query may not do that either.
  return execute(fmt::format("PRAGMA query_only=OFF; VACUUM INTO '{}'", quoted).c_str());
}

int SqliteDatabase::changed_rows() const { return sqlite3_changes(db_); }

}  // namespace keystub::kms
