// kms-server init: a data folder of one's own, never a default key, never overwritten.
#include "kms-server/init.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "kms-server/settings.h"
#include "kms-server/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

struct InitTest : ::testing::Test {
  testing::TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  InitOptions options;

  InitTest() { options.data = folder / "data"; }
};

TEST_F(InitTest, MakesAFolderThatRunsAsItIs) {
  options.identity = "kms@example.com";
  const auto made = init_data_folder(options, clock, random);
  ASSERT_TRUE(made.has_value()) << made.error().text();
  auto config = service::Config::load(options.data / kConfigFile).value();
  const auto settings = read_settings(config);
  ASSERT_TRUE(settings.has_value()) << settings.error().text();
  EXPECT_EQ(settings->identity.type, mikey::IdType::nai);
  for (const auto& file : {settings->kek.current.file, settings->database, settings->replay_file,
                           settings->ticket_tls.certificate, settings->ticket_tls.private_key,
                           settings->ticket_tls.client_ca}) {
    EXPECT_TRUE(std::filesystem::exists(file)) << file;
  }
  const Kek kek = open_kek(settings->kek).value();
  SqliteStoreOptions store_options;
  store_options.path = settings->database;
  const auto store = SqliteStore::open(store_options, kek, clock).value();
  const Tpk tpk = store->active_tpk(Deadline::in(std::chrono::seconds(20))).value();
  EXPECT_TRUE(
      kek.unwrap<struct TestTag>(tpk.key.wrapped, {KeyKind::own_tpk, {}, tpk.key.id}).has_value());
}

TEST_F(InitTest, NobodyElseCanReadAnythingInTheFolder) {
  ASSERT_TRUE(init_data_folder(options, clock, random).has_value());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.data)) {
    struct stat status{};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077, 0U) << entry.path();
  }
}

TEST_F(InitTest, TheKekComesFromWhereItIsSaid) {
  folder.write("words", "correct horse battery\n");
  std::filesystem::permissions(folder / "words", std::filesystem::perms::owner_read);
  options.kek = folder.write("kek.toml",
                             "[kek]\nsource = \"passphrase\"\nfile = \"kek.scrypt\"\n"
                             "passphrase_file = \"words\"\n");
  ASSERT_TRUE(init_data_folder(options, clock, random).has_value());
  EXPECT_FALSE(std::filesystem::exists(options.data / kKekFile));
  auto config = service::Config::load(options.data / kConfigFile).value();
  const auto settings = read_settings(config).value();
  EXPECT_EQ(settings.kek.current.file, folder / "kek.scrypt");
  const Kek kek = open_kek(settings.kek).value();
  SqliteStoreOptions store_options;
  store_options.path = settings.database;
  EXPECT_TRUE(SqliteStore::open(store_options, kek, clock).has_value());
}

TEST_F(InitTest, OverwritesNothing) {
  ASSERT_TRUE(init_data_folder(options, clock, random).has_value());
  const std::string kek = testing::TempDir::read(options.data / kKekFile);
  const auto again = init_data_folder(options, clock, random);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().category(), Category::conflict);
  EXPECT_EQ(testing::TempDir::read(options.data / kKekFile), kek);

  std::filesystem::remove(options.data / kConfigFile);
  EXPECT_FALSE(init_data_folder(options, clock, random).has_value())
      << "a folder with half of it is still somebody's";
}

TEST_F(InitTest, EachFolderHasKeysOfItsOwn) {
  ASSERT_TRUE(init_data_folder(options, clock, random).has_value());
  InitOptions second = options;
  second.data = folder / "second";
  ASSERT_TRUE(init_data_folder(second, clock, random).has_value());
  EXPECT_NE(testing::TempDir::read(options.data / kKekFile),
            testing::TempDir::read(second.data / kKekFile));
  const Kek other = Kek::load(second.data / kKekFile).value();
  SqliteStoreOptions store_options;
  store_options.path = options.data / kDatabaseFile;
  EXPECT_EQ(SqliteStore::open(store_options, other, clock).error().category(), Category::denied);
}

TEST_F(InitTest, RefusesWhatCannotStandInTheConfiguration) {
  options.identity = "sip:kms\"@example.com";
  EXPECT_EQ(init_data_folder(options, clock, random).error().category(), Category::malformed);
  options.identity = "sip:kms@example.com";
  options.listen = "somewhere";
  EXPECT_EQ(init_data_folder(options, clock, random).error().category(), Category::malformed);
  EXPECT_FALSE(std::filesystem::exists(options.data));
}

}  // namespace
}  // namespace keystub::kms
