// Numbered migrations: a snapshot first, all or nothing, never backwards.
#include "kms-server/sqlite_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "kms-server/kek.h"
#include "kms-server/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

struct SqliteSchemaTest : ::testing::Test {
  testing::TempDir folder;
  std::filesystem::path path = folder.write("test.db", "");

  std::unique_ptr<SqliteDatabase> open(const std::filesystem::path& file) {
    return SqliteDatabase::open(file, SqliteDatabase::Mode::write).value();
  }
  std::int64_t version(SqliteDatabase& database) {
    return database.query_integer("PRAGMA user_version").value();
  }
  SqliteStoreOptions create_store() {
    SqliteStoreOptions options;
    options.path = folder / "kms.db";
    EXPECT_TRUE(SqliteStore::create(options.path, kek, random).has_value());
    return options;
  }

  const testing::FakeClock clock;
  OpenSslRandom random;
  const Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 1)).value();
};

constexpr const char* kFirst =
    "CREATE TABLE t (a INTEGER NOT NULL) STRICT; INSERT INTO t VALUES (7);";
constexpr const char* kSecond = "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 8;";
constexpr const char* kBroken = "UPDATE t SET b = 9; CREATE TABLE t (a INTEGER);";

TEST_F(SqliteSchemaTest, RunsWhatIsMissingAndNothingTwice) {
  const auto database = open(path);
  const char* const migrations[] = {kFirst, kSecond};
  ASSERT_TRUE(migrate(*database, path, migrations).has_value());
  EXPECT_EQ(version(*database), 2);
  EXPECT_EQ(database->query_integer("SELECT a + b FROM t").value(), 15);
  ASSERT_TRUE(migrate(*database, path, migrations).has_value());
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".schema-2"));
}

TEST_F(SqliteSchemaTest, CopiesTheDatabaseAsideBeforeItChangesIt) {
  const auto database = open(path);
  const char* const old_migrations[] = {kFirst};
  ASSERT_TRUE(migrate(*database, path, old_migrations).has_value());
  const char* const migrations[] = {kFirst, kSecond};
  ASSERT_TRUE(migrate(*database, path, migrations).has_value());

  const std::string copy_path = path.string() + ".schema-1";
  struct stat status{};
  ASSERT_EQ(::stat(copy_path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto copy = open(copy_path);
  EXPECT_EQ(version(*copy), 1);
  EXPECT_EQ(copy->query_integer("SELECT a FROM t").value(), 7);
}

TEST_F(SqliteSchemaTest, ACopyOfBeforeIsNeverOverwritten) {
  const auto first = folder.write("test.db.schema-1", "of an earlier upgrade");
  folder.write("test.db.schema-1-2.part", "half of one");
  const auto database = open(path);
  const char* const old_migrations[] = {kFirst};
  ASSERT_TRUE(migrate(*database, path, old_migrations).has_value());
  const char* const migrations[] = {kFirst, kSecond};
  const auto done = migrate(*database, path, migrations).value();
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->from, 1);
  EXPECT_EQ(done->to, 2);
  EXPECT_EQ(done->copy, path.string() + ".schema-1-2");
  EXPECT_EQ(testing::TempDir::read(first), "of an earlier upgrade");
  EXPECT_EQ(version(*open(done->copy)), 1);
}

TEST_F(SqliteSchemaTest, WithoutACopyOfBeforeNothingIsMigratedAndNoHalfOfItStays) {
  const auto database = open(path);
  const char* const old_migrations[] = {kFirst};
  ASSERT_TRUE(migrate(*database, path, old_migrations).has_value());
  std::filesystem::create_directory(folder / "test.db.schema-1.part");
  folder.write("test.db.schema-1.part/in-the-way", "");
  const char* const migrations[] = {kFirst, kSecond};
  EXPECT_EQ(migrate(*database, path, migrations).error().category(), Category::unavailable);
  EXPECT_EQ(version(*database), 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "test.db.schema-1"));
}

TEST_F(SqliteSchemaTest, AMigrationThatFailsLeavesTheSchemaAsItWas) {
  const auto database = open(path);
  const char* const good[] = {kFirst, kSecond};
  ASSERT_TRUE(migrate(*database, path, good).has_value());
  const char* const migrations[] = {kFirst, kSecond, kBroken};
  ASSERT_FALSE(migrate(*database, path, migrations).has_value());
  EXPECT_EQ(version(*database), 2);
  EXPECT_EQ(database->query_integer("SELECT b FROM t").value(), 8);
}

TEST_F(SqliteSchemaTest, RefusesANewerSchemaAndLeavesItAlone) {
  const auto database = open(path);
  const char* const newer[] = {kFirst, kSecond};
  ASSERT_TRUE(migrate(*database, path, newer).has_value());
  const char* const migrations[] = {kFirst};
  const auto refused = migrate(*database, path, migrations);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::conflict);
  EXPECT_EQ(version(*database), 2);
}

TEST_F(SqliteSchemaTest, ASecondKmsIsRefusedBeforeItTouchesTheDatabase) {
  const SqliteStoreOptions options = create_store();
  {
    const auto store = SqliteStore::open(options, kek, clock).value();
    const auto second = SqliteStore::open(options, kek, clock);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().category(), Category::conflict);
    EXPECT_THAT(second.error().text(), ::testing::HasSubstr("another KMS"));
  }
  EXPECT_TRUE(SqliteStore::open(options, kek, clock).has_value());
}

TEST_F(SqliteSchemaTest, ADatabaseThatIsMovedAwayIsNeitherReadNorWritten) {
  const SqliteStoreOptions options = create_store();
  const auto store = SqliteStore::open(options, kek, clock).value();
  const auto deadline = [] { return Deadline::in(std::chrono::seconds(20)); };
  const auto create = [&] { return store->create("sip:a@x", IdentityKind::user, {}, deadline()); };
  std::filesystem::rename(options.path, folder / "elsewhere");
  EXPECT_THAT(create().error().text(), ::testing::HasSubstr("was moved, removed or replaced"));
  EXPECT_EQ(store->active_tpk(deadline()).error().category(), Category::unavailable);
  folder.write("kms.db", "another one");
  EXPECT_EQ(create().error().category(), Category::unavailable);
  std::filesystem::rename(folder / "elsewhere", options.path);
  EXPECT_TRUE(create().has_value()) << "nothing of what was refused happened";
}

TEST_F(SqliteSchemaTest, TheStoreRefusesADatabaseOfANewerKms) {
  const auto store_path = folder / "kms.db";
  ASSERT_TRUE(SqliteStore::create(store_path, kek, random).has_value());
  ASSERT_TRUE(open(store_path)->execute("PRAGMA user_version = 1000").has_value());
  SqliteStoreOptions options;
  options.path = store_path;
  const auto refused = SqliteStore::open(options, kek, clock);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::conflict);
}

TEST_F(SqliteSchemaTest, TheStoreOpensADatabaseOfEveryEarlierSchemaWithAllThatIsInIt) {
  const auto migrations = schema_migrations();
  for (std::size_t version = 1; version < migrations.size(); ++version) {
    const auto store_path = folder.write("v" + std::to_string(version) + ".db", "");
    {
      const auto database = open(store_path);
      ASSERT_TRUE(migrate(*database, store_path, migrations.first(version)).has_value());
      // What every schema has, with the columns of the first.
      ASSERT_TRUE(database
                      ->execute("INSERT INTO identities VALUES (1, 'sip:a@x', 1, 2, 10, 20, 1);"
                                "INSERT INTO psks (psk_id, identity_id, wrapped, created_ms, "
                                "change_sequence) VALUES (x'01', 1, x'0102', 10, 1);"
                                "INSERT INTO changes VALUES (3, 1, CAST('sip:a@x' AS BLOB));"
                                "UPDATE change_counter SET value = 3;")
                      .has_value());
      // The state of a TPK has a time since schema 2.
      const char* const tpks = version == 1
                                   ? "INSERT INTO tpks VALUES (x'0a', NULL, 1, x'0a0a', 10, 2);"
                                     "INSERT INTO tpks VALUES (x'0b', NULL, 2, x'0b0b', 5, 2);"
                                     "INSERT INTO tpks VALUES (x'0c', 1, 1, x'0c0c', 10, 3);"
                                   : "INSERT INTO tpks VALUES (x'0a', NULL, 1, x'0a0a', 10, 10, 2);"
                                     "INSERT INTO tpks VALUES (x'0b', NULL, 2, x'0b0b', 5, 5, 2);"
                                     "INSERT INTO tpks VALUES (x'0c', 1, 1, x'0c0c', 10, 10, 3);";
      ASSERT_TRUE(database->execute(tpks).has_value());
      const ByteVector check = kek.make_check_value(random).value();
      SqliteStatement insert =
          database->prepare("INSERT INTO meta (name, value) VALUES ('kek_check', ?1)").value();
      ASSERT_TRUE(insert.bind(1, Bytes(check)).run().has_value());
    }
    SqliteStoreOptions options;
    options.path = store_path;
    const auto opened = SqliteStore::open(options, kek, clock);
    ASSERT_TRUE(opened.has_value()) << opened.error().text();
    const auto soon = Deadline::in(std::chrono::seconds(20));
    const Identity identity = (*opened)->find("sip:a@x", soon).value();
    EXPECT_EQ(identity.state, IdentityState::suspended);
    ASSERT_EQ(identity.psks.size(), 1U);
    EXPECT_FALSE(identity.psks[0].expires.has_value());
    EXPECT_TRUE(identity.aliases.empty());
    EXPECT_TRUE(identity.groups.empty());
    EXPECT_EQ(identity.shared_tpks.size(), 1U);
    const auto changes = (*opened)->changes_since(0, 10, soon).value();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(as_text(changes[0].key), "sip:a@x");
    const auto revocations = (*opened)->revocations_since(0, 10, soon).value();
    EXPECT_TRUE(revocations.revocations.empty());
    EXPECT_EQ(revocations.kept_from, 3U) << "what was suspended before is not known";
    const auto tpks = (*opened)->list_tpks(soon).value();
    ASSERT_EQ(tpks.size(), 2U);
    EXPECT_EQ(tpks[0].state, TpkState::retired);
    EXPECT_EQ(tpks[1].state, TpkState::active);
    EXPECT_EQ(tpks[1].key.wrapped, (ByteVector{0x0a, 0x0a}));
    EXPECT_EQ(tpks[1].state_since, tpks[1].created);
  }
}

}  // namespace
}  // namespace keystub::kms
