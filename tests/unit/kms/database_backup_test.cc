// Copies of the database: whole, checked, private, and never over one that is in use.
#include "kms-server/database_backup.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <thread>

#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using ::testing::HasSubstr;

class DatabaseBackupTest : public KmsFixture {
 protected:
  std::filesystem::path database() const { return folder / "kms.db"; }
  std::filesystem::path copy() const { return folder / "copy"; }
  void close_database() {
    stop();
    store.reset();
    sqlite.reset();
  }
  void open_database() {
    SqliteStoreOptions options;
    options.path = database();
    sqlite = SqliteStore::open(options, kek, clock).value();
    store = std::make_unique<TroubledStore>(*sqlite);
    start();
  }
};

TEST_F(DatabaseBackupTest, CopiesWhileTheKmsServesAndSaysWhatIsInIt) {
  std::atomic<bool> stop_writing{false};
  std::thread writer([&] {
    for (int i = 0; !stop_writing; ++i) {
      (void)store->create("sip:w" + std::to_string(i) + "@example.com", IdentityKind::user,
                          std::nullopt, Deadline::in(kTimeout));
    }
  });
  const auto made = create_backup(database(), kek, copy());
  stop_writing = true;
  writer.join();
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  EXPECT_GE(made->identities, 3);
  EXPECT_EQ(made->psks, 3);
  EXPECT_EQ(made->tpks, 1);
  struct stat info{};
  ::stat(copy().c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_FALSE(std::filesystem::exists(copy().string() + ".part"));
  EXPECT_EQ(verify_database(copy(), kek)->identities, made->identities);
  EXPECT_EQ(create_backup(database(), kek, copy()).error().category(), Category::conflict);
}

TEST_F(DatabaseBackupTest, VerifyFindsAWrongKekADamagedFileAndAKeyInAnotherRow) {
  ASSERT_TRUE(create_backup(database(), kek, copy()));
  const Kek other = Kek::from_octets(ByteVector(Kek::kSize, 0x22)).value();
  EXPECT_EQ(verify_database(copy(), other).error().category(), Category::denied);
  EXPECT_EQ(verify_database(folder / "none", kek).error().category(), Category::not_found);

  {
    const auto db = SqliteDatabase::open(copy(), SqliteDatabase::Mode::write).value();
    ASSERT_TRUE(
        db->execute("UPDATE psks SET wrapped = (SELECT wrapped FROM psks ORDER BY psk_id "
                    "LIMIT 1) WHERE psk_id = (SELECT max(psk_id) FROM psks)"));
  }
  EXPECT_FALSE(verify_database(copy(), kek).has_value());

  std::string octets = testing::TempDir::read(copy());
  for (std::size_t i = octets.size() / 3; i < octets.size() / 3 + 8192; ++i) octets[i] ^= '\x5a';
  const auto damaged = folder.write("damaged", octets);
  const auto refused = verify_database(damaged, kek);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::malformed)
      << "told to who asked, not only logged";
}

TEST_F(DatabaseBackupTest, RestoreRefusesADatabaseInUseAndChangesNothing) {
  ASSERT_TRUE(create_backup(database(), kek, copy()));
  const auto refused = restore_backup(copy(), database(), kek, "now");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::conflict);
  EXPECT_THAT(refused.error().text(), HasSubstr("stop the KMS"));
  EXPECT_FALSE(std::filesystem::exists(database().string() + ".restoring"));
  EXPECT_TRUE(store->find(kAlice, Deadline::in(kTimeout)).has_value());
}

TEST_F(DatabaseBackupTest, RestoreBringsBackWhatWasThereAndKeepsWhatItReplaces) {
  ASSERT_TRUE(create_backup(database(), kek, copy()));
  add("sip:late@example.com");
  ASSERT_TRUE(store->remove(kBob, Deadline::in(kTimeout)));
  close_database();
  const auto restored = restore_backup(copy(), database(), kek, "now");
  ASSERT_TRUE(restored.has_value()) << restored.error().describe();
  EXPECT_EQ(restored->summary.identities, 3);
  EXPECT_EQ(restored->before, database().string() + ".before-now");
  EXPECT_TRUE(verify_database(restored->before, kek).has_value());

  open_database();
  EXPECT_TRUE(store->find(kBob, Deadline::in(kTimeout)).has_value());
  EXPECT_FALSE(store->find("sip:late@example.com", Deadline::in(kTimeout)).has_value());
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

TEST_F(DatabaseBackupTest, RestoreTakesNoCopyOfAnotherKek) {
  ASSERT_TRUE(create_backup(database(), kek, copy()));
  close_database();
  const Kek other = Kek::from_octets(ByteVector(Kek::kSize, 0x22)).value();
  EXPECT_EQ(restore_backup(copy(), database(), other, "now").error().category(), Category::denied);
  open_database();
}

TEST(BackupName, IsANameAndNeverAPath) {
  for (const char* good : {"nightly-1", "2026-11-26T10.db", "a"}) {
    EXPECT_TRUE(valid_backup_name(good)) << good;
  }
  for (const char* bad : {"", ".", "..", ".hidden", "a/b", "/etc/passwd", "a b", "ü"}) {
    EXPECT_FALSE(valid_backup_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace keystub::kms
