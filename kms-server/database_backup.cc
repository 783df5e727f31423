#include "kms-server/database_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "kms-server/files.h"
#include "kms-server/sqlite_database.h"
#include "kms-server/sqlite_schema.h"
#include "kms-server/sqlite_wrapped_keys.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;

constexpr std::size_t kMaxName = 64;

struct AnyKeyTag;

// A file that goes again unless it is kept.
class Draft {
 public:
  explicit Draft(Path path) : path_(std::move(path)) {}
  ~Draft() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  const Path& path() const noexcept { return path_; }
  void keep() noexcept { path_.clear(); }

 private:
  Path path_;
};

// The draft becomes `file`, which must not exist.
Result<void> rename_to_new(Draft& draft, const Path& file) {
  if (::link(draft.path().c_str(), file.c_str()) != 0) {
    const int error_number = errno;
    return fail(error_number == EEXIST ? Category::conflict : Category::unavailable,
                fmt::format("cannot make {}: {}", file.string(), errno_text(error_number)));
  }
  return sync_folder(folder_of(file));
}

Result<void> check_structure(SqliteDatabase& db) {
  SqliteStatement integrity = TRY(db.prepare("PRAGMA integrity_check(1)"));
  if (!TRY(integrity.step()) || integrity.text(0) != "ok") {
    return fail(Category::internal, fmt::format("the database is damaged: {}", integrity.text(0)));
  }
  SqliteStatement foreign = TRY(db.prepare("PRAGMA foreign_key_check"));
  if (TRY(foreign.step())) {
    return fail(Category::internal, "the database is damaged: keys of an identity that is gone");
  }
  return {};
}

// Every key that is there (a revoked TPK has none) opens in its row.
Result<void> check_keys(SqliteDatabase& db, const Kek& kek) {
  SqliteStatement psks =
      TRY(db.prepare("SELECT p.psk_id, p.wrapped, i.uri FROM psks AS p "
                     "JOIN identities AS i ON i.id = p.identity_id"));
  while (TRY(psks.step())) {
    TRY(kek.unwrap<AnyKeyTag>(psks.blob(1), {KeyKind::psk, psks.text(2), psks.blob(0)}));
  }
  SqliteStatement tpks =
      TRY(db.prepare("SELECT t.tpk_id, t.wrapped, i.uri FROM tpks AS t "
                     "LEFT JOIN identities AS i ON i.id = t.owner_id WHERE length(t.wrapped) > 0"));
  while (TRY(tpks.step())) {
    const KeyKind kind = tpks.is_null(2) ? KeyKind::own_tpk : KeyKind::shared_tpk;
    TRY(kek.unwrap<AnyKeyTag>(tpks.blob(1), {kind, tpks.text(2), tpks.blob(0)}));
  }
  return {};
}

// Fails unless nobody else has the database open; then its write-ahead log is in it.
Result<void> require_unused(const Path& database) {
  const auto in_use = [&](const Error& error) {
    return fail(Category::conflict, fmt::format("{} is in use: stop the KMS first ({})",
                                                database.string(), error.text()));
  };
  const auto db = TRY(SqliteDatabase::open(database, SqliteDatabase::Mode::write));
  // In exclusive mode the first transaction takes the whole file, which fails while any other
  // connection exists.
  TRY(db->execute("PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE;"));
  if (auto alone = db->execute("BEGIN EXCLUSIVE; COMMIT;"); !alone) return in_use(alone.error());
  if (auto moved = db->execute("PRAGMA wal_checkpoint(TRUNCATE);"); !moved) {
    return in_use(moved.error());
  }
  return {};
}

}  // namespace

bool valid_backup_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

Result<DatabaseSummary> verify_database(const Path& file, const Kek& kek) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) {
    return fail(Category::not_found, fmt::format("{}: {}", file.string(), error.message()));
  }
  auto checked = [&]() -> Result<DatabaseSummary> {
    const auto db = TRY(SqliteDatabase::open(file, SqliteDatabase::Mode::read));
    DatabaseSummary summary;
    summary.size = size;
    summary.schema = TRY(db->query_integer("PRAGMA user_version"));
    if (summary.schema > static_cast<std::int64_t>(schema_migrations().size())) {
      return fail(Category::conflict,
                  fmt::format("schema {} is of a newer KMS than this", summary.schema));
    }
    TRY(db->execute("BEGIN"));
    TRY(check_structure(*db));
    TRY(sql::verify_kek(*db, kek));
    TRY(check_keys(*db, kek));
    summary.identities = TRY(db->query_integer("SELECT count(*) FROM identities"));
    summary.psks = TRY(db->query_integer("SELECT count(*) FROM psks"));
    summary.tpks = TRY(db->query_integer("SELECT count(*) FROM tpks"));
    return summary;
  }();
  if (checked) return checked;
  Error error_of_file = checked.error();
  // What is wrong with the file is no fault of this program: whoever asked may know it.
  if (error_of_file.category() == Category::internal) {
    error_of_file = Error(Category::malformed, std::string(error_of_file.text()));
  }
  return std::unexpected(std::move(error_of_file).with_context(file.string()));
}

Result<DatabaseSummary> create_backup(const Path& database, const Kek& kek, const Path& copy) {
  std::error_code ignored;
  if (std::filesystem::exists(copy, ignored)) {
    return fail(Category::conflict,
                fmt::format("{} is there already and is not overwritten", copy.string()));
  }
  const Path draft_path = copy.string() + ".part";
  std::filesystem::remove(draft_path, ignored);  // of a copy that was cut short
  Draft draft(draft_path);
  {
    const auto db = TRY(SqliteDatabase::open(database, SqliteDatabase::Mode::read));
    TRY(db->copy_to(draft_path));
  }
  TRY(sync_file(draft_path));
  const DatabaseSummary summary = TRY(verify_database(draft_path, kek));
  TRY(rename_to_new(draft, copy));
  return summary;
}

Result<Restored> restore_backup(const Path& copy, const Path& database, const Kek& kek,
                                std::string_view mark) {
  Restored restored;
  restored.summary = TRY(verify_database(copy, kek));
  std::error_code error;
  Draft draft(database.string() + ".restoring");
  std::filesystem::remove(draft.path(), error);
  {
    const auto db = TRY(SqliteDatabase::open(copy, SqliteDatabase::Mode::read));
    TRY(db->copy_to(draft.path()));
  }
  TRY(sync_file(draft.path()));
  if (std::filesystem::exists(database, error)) {
    TRY(require_unused(database));
    restored.before = unused_name(fmt::format("{}.before-{}", database.string(), mark));
    if (::link(database.c_str(), restored.before.c_str()) != 0) {
      return fail(Category::unavailable, fmt::format("cannot keep the old database as {}: {}",
                                                     restored.before.string(), errno_text(errno)));
    }
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::remove(database.string() + suffix, error);
  }
  if (::rename(draft.path().c_str(), database.c_str()) != 0) {
    return fail(Category::unavailable, fmt::format("cannot put the copy in the place of {}: {}",
                                                   database.string(), errno_text(errno)));
  }
  draft.keep();
  TRY(sync_folder(folder_of(database)));
  return restored;
}

}  // namespace keystub::kms
