// Numbered migrations: a snapshot first, all or nothing, never backwards.
#include "kms-server/sqlite_schema.h"

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

TEST_F(SqliteSchemaTest, TheStoreRefusesADatabaseOfANewerKms) {
  const testing::FakeClock clock;
  OpenSslRandom random;
  const Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 1)).value();
  const auto store_path = folder / "kms.db";
  ASSERT_TRUE(SqliteStore::create(store_path, kek, random).has_value());
  ASSERT_TRUE(open(store_path)->execute("PRAGMA user_version = 1000").has_value());
  SqliteStoreOptions options;
  options.path = store_path;
  const auto refused = SqliteStore::open(options, kek, clock);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::conflict);
}

}  // namespace
}  // namespace keystub::kms
