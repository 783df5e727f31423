#include "kms-server/sqlite_schema.h"

#include <fmt/format.h>

#include "kms-server/files.h"

#include <system_error>

namespace keystub::kms {
namespace {

// Times are milliseconds since 1970. `changes` holds one row per subject that ever changed, with
// its newest sequence: bounded by the number of subjects, not of changes.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE change_counter (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  value INTEGER NOT NULL
) STRICT;
INSERT INTO change_counter VALUES (1, 0);

CREATE TABLE changes (
  sequence INTEGER PRIMARY KEY,
  subject INTEGER NOT NULL CHECK (subject IN (1, 2)),
  key BLOB NOT NULL,
  UNIQUE (subject, key)
) STRICT;

CREATE TABLE identities (
  id INTEGER PRIMARY KEY,
  uri TEXT NOT NULL UNIQUE,
  kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
  state INTEGER NOT NULL CHECK (state IN (1, 2)),
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  change_sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE psks (
  psk_id BLOB PRIMARY KEY,
  identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
  wrapped BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  change_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX psks_by_identity ON psks (identity_id, psk_id);

CREATE TABLE tpks (
  tpk_id BLOB PRIMARY KEY,
  owner_id INTEGER REFERENCES identities (id) ON DELETE CASCADE,
  state INTEGER NOT NULL CHECK (state IN (1, 2)),
  wrapped BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  change_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tpks_by_owner ON tpks (owner_id, tpk_id);
CREATE UNIQUE INDEX tpks_one_active ON tpks (state) WHERE owner_id IS NULL AND state = 1;
)sql",
    // TPKs can be prepared (3) and revoked (4), and know since when they are what they are.
    R"sql(
CREATE TABLE new_tpks (
  tpk_id BLOB PRIMARY KEY,
  owner_id INTEGER REFERENCES identities (id) ON DELETE CASCADE,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
  wrapped BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  state_ms INTEGER NOT NULL,
  change_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_tpks
  SELECT tpk_id, owner_id, state, wrapped, created_ms, created_ms, change_sequence FROM tpks;
DROP TABLE tpks;
ALTER TABLE new_tpks RENAME TO tpks;
CREATE INDEX tpks_by_owner ON tpks (owner_id, tpk_id);
CREATE UNIQUE INDEX tpks_one_active ON tpks (state) WHERE owner_id IS NULL AND state = 1;
)sql",
    // Identities have more names than one, keys that end, certificates and groups; the policy is
    // data (its lists are lines of text, NULL is "not set"); imports remember how far they came.
    R"sql(
CREATE TABLE new_changes (
  sequence INTEGER PRIMARY KEY,
  subject INTEGER NOT NULL CHECK (subject > 0),
  key BLOB NOT NULL,
  UNIQUE (subject, key)
) STRICT;
INSERT INTO new_changes SELECT sequence, subject, key FROM changes;
DROP TABLE changes;
ALTER TABLE new_changes RENAME TO changes;

CREATE TABLE aliases (
  uri TEXT PRIMARY KEY,
  identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_identity ON aliases (identity_id, uri);

CREATE TABLE owned_patterns (
  pattern TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX owned_patterns_by_identity ON owned_patterns (identity_id, pattern);
CREATE INDEX owned_patterns_by_host ON owned_patterns (host, pattern);

ALTER TABLE psks ADD COLUMN expires_ms INTEGER;

CREATE TABLE group_members (
  group_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
  member_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_member ON group_members (member_id, group_id);

CREATE TABLE certificates (
  fingerprint BLOB PRIMARY KEY,
  identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
  der BLOB NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_by_identity ON certificates (identity_id, fingerprint);

CREATE TABLE policy_rules (
  scope INTEGER NOT NULL CHECK (scope BETWEEN 1 AND 4),
  subject TEXT NOT NULL,
  responders TEXT,
  initiators TEXT,
  applications TEXT,
  ticket_types TEXT,
  suites TEXT,
  require_forking INTEGER,
  allow_reuse INTEGER,
  allow_mode3 INTEGER,
  max_keys INTEGER,
  max_validity_ms INTEGER,
  default_validity_ms INTEGER,
  updated_ms INTEGER NOT NULL,
  PRIMARY KEY (scope, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE imports (
  import_id TEXT PRIMARY KEY,
  next_batch INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
    // An export begins with the groups: they are found without a walk over all identities.
    R"sql(
CREATE INDEX identities_of_kind_group ON identities (uri) WHERE kind = 4;
)sql",
    // Revocations (revocation.h), one row per subject. Of those up to the floor some are gone; what
    // was suspended or revoked before this table was never in it.
    R"sql(
CREATE TABLE revocations (
  sequence INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
  subject BLOB NOT NULL,
  time_ms INTEGER NOT NULL,
  limit_ms INTEGER,
  aliases TEXT NOT NULL,
  owned_patterns TEXT NOT NULL,
  UNIQUE (kind, subject)
) STRICT;
CREATE INDEX revoked_tickets_by_limit ON revocations (limit_ms) WHERE kind = 1;
CREATE INDEX revocation_log ON revocations (sequence) WHERE kind >= 3;

CREATE TABLE revocation_floor (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  value INTEGER NOT NULL
) STRICT;
INSERT INTO revocation_floor SELECT 1, value FROM change_counter;
)sql",
};

// Where the copy is.
Result<std::filesystem::path> snapshot(SqliteDatabase& database, const std::filesystem::path& path,
                                       std::int64_t version) {
  std::filesystem::path copy = unused_name(fmt::format("{}.schema-{}", path.string(), version));
  const std::filesystem::path part = copy.string() + ".part";
  std::error_code error;
  std::filesystem::remove(part, error);  // of a copy that was cut short
  Result<void> copied = database.copy_to(part);
  if (copied) copied = sync_file(part);
  if (copied) std::filesystem::rename(part, copy, error);
  if (!copied || error) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    const std::string why = copied ? error.message() : copied.error().text();
    return fail(Category::unavailable,
                fmt::format("cannot copy the database to {} before its schema is migrated: {}",
                            copy.string(), why));
  }
  TRY(sync_folder(folder_of(copy)));
  return copy;
}

Result<void> run_migration(SqliteDatabase& database, const char* sql, std::size_t number) {
  TRY(database.execute("BEGIN IMMEDIATE"));
  Result<void> done = database.execute(sql);
  if (done) done = database.execute(fmt::format("PRAGMA user_version = {}", number).c_str());
  if (done) done = database.execute("COMMIT");
  if (done) return {};
  (void)database.execute("ROLLBACK");
  return std::unexpected(
      std::move(done).error().with_context(fmt::format("schema migration {}", number)));
}

}  // namespace

std::span<const char* const> schema_migrations() { return kMigrations; }

Result<std::optional<Migration>> migrate(SqliteDatabase& database,
                                         const std::filesystem::path& path,
                                         std::span<const char* const> migrations) {
  const std::int64_t version = TRY(database.query_integer("PRAGMA user_version"));
  const auto newest = static_cast<std::int64_t>(migrations.size());
  if (version > newest) {
    return fail(
        Category::conflict,
        fmt::format("the database has schema {}, but this KMS knows only up to {}: run the newer "
                    "KMS, or restore the copy that it made before it migrated",
                    version, newest));
  }
  std::optional<Migration> done;
  if (version == newest) return done;
  if (version > 0) {
    std::filesystem::path copy = TRY(snapshot(database, path, version));
    done = Migration{version, newest, std::move(copy)};
  }
  for (auto number = static_cast<std::size_t>(version); number < migrations.size(); ++number) {
    TRY(run_migration(database, migrations[number], number + 1));
  }
  return done;
}

}  // namespace keystub::kms
