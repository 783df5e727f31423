// The SQLite back end: the contract, durability, and the KEK that it belongs to.
#include "kms-server/sqlite_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/kms/identity_store_contract.h"

namespace keystub::kms {
namespace {

Kek make_kek(std::uint8_t octet = 0x11) {
  return Kek::from_octets(ByteVector(Kek::kSize, octet)).value();
}

Result<std::unique_ptr<SqliteStore>> open_store(const std::filesystem::path& path, const Kek& kek,
                                                const Clock& clock) {
  SqliteStoreOptions options;
  options.path = path;
  return SqliteStore::open(options, kek, clock);
}

struct Ground {
  testing::TempDir folder;
  Kek kek = make_kek();
  OpenSslRandom random;
};

StoreUnderTest make_sqlite_store(const Clock& clock) {
  auto ground = std::make_shared<Ground>();
  const auto path = ground->folder / "kms.db";
  if (auto made = SqliteStore::create(path, ground->kek, ground->random); !made) {
    throw std::runtime_error(made.error().text());
  }
  auto store = open_store(path, ground->kek, clock).value();
  return {ground, std::move(store)};
}

INSTANTIATE_TEST_SUITE_P(Sqlite, IdentityStoreContract, ::testing::Values(&make_sqlite_store));

struct SqliteStoreTest : ::testing::Test {
  testing::TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  Kek kek = make_kek();
  std::filesystem::path path = folder / "kms.db";
};

TEST_F(SqliteStoreTest, MakesAPrivateFileAndNeverOverwritesOne) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(SqliteStore::create(path, kek, random).error().category(), Category::conflict);
  EXPECT_EQ(open_store(folder / "absent", kek, clock).error().category(), Category::not_found);
}

TEST_F(SqliteStoreTest, RefusesAWrongKekBeforeItWritesAnything) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  const std::string before = testing::TempDir::read(path);
  const auto refused = open_store(path, make_kek(0x22), clock);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::denied);
  EXPECT_EQ(testing::TempDir::read(path), before);
  EXPECT_TRUE(open_store(path, kek, clock).has_value());
}

TEST_F(SqliteStoreTest, RefusesAFileThatIsNoDatabase) {
  folder.write("kms.db", std::string(8192, 'x'));
  EXPECT_FALSE(open_store(path, kek, clock).has_value());
}

// What was acknowledged is there after kill -9, at whatever moment it comes.
TEST_F(SqliteStoreTest, WhatIsAcknowledgedSurvivesAKilledProcess) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(pipe_ends[0]);
    auto store = open_store(path, kek, clock).value();
    for (std::uint32_t i = 0;; ++i) {
      const auto created = store->create("sip:u" + std::to_string(i) + "@x", IdentityKind::user, {},
                                         Deadline::in(std::chrono::seconds(20)));
      if (!created || ::write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) ::_exit(1);
    }
  }
  ::close(pipe_ends[1]);
  std::uint32_t acknowledged = 0;
  while (acknowledged < 40 &&
         ::read(pipe_ends[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged)) {
  }
  ::kill(child, SIGKILL);
  while (::read(pipe_ends[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged)) {
  }
  ::close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child must die of the signal";

  const auto store = open_store(path, kek, clock).value();
  ASSERT_GE(acknowledged, 40U);
  for (std::uint32_t i = 0; i <= acknowledged; ++i) {
    EXPECT_TRUE(
        store->find("sip:u" + std::to_string(i) + "@x", Deadline::in(std::chrono::seconds(20)))
            .has_value())
        << "identity " << i << " of " << acknowledged;
  }
}

TEST_F(SqliteStoreTest, RevokedTicketsAreBoundedAndThoseThatAreOverGiveWay) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  SqliteStoreOptions options;
  options.path = path;
  options.max_revoked_tickets = 2;
  const auto store = SqliteStore::open(options, kek, clock).value();
  const Deadline soon = Deadline::in(std::chrono::seconds(20));
  const auto revoke = [&](std::uint8_t octet, std::chrono::hours needed) {
    return store->revoke_ticket(ByteVector(16, octet), clock.now() + needed, soon);
  };
  const std::uint64_t first = revoke(1, std::chrono::hours(1)).value().sequence;
  ASSERT_TRUE(revoke(2, std::chrono::hours(9)).has_value());
  const auto refused = revoke(3, std::chrono::hours(9));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::busy);
  EXPECT_THAT(refused.error().text(), ::testing::HasSubstr("before a time"));
  EXPECT_TRUE(revoke(2, std::chrono::hours(9)).has_value()) << "one of them again";

  clock.advance(std::chrono::hours(2));
  ASSERT_TRUE(revoke(3, std::chrono::hours(9)).has_value()) << "the first is over";
  const auto page = store->revocations_since(0, 10, soon).value();
  ASSERT_EQ(page.revocations.size(), 2U);
  EXPECT_EQ(page.kept_from, first) << "and one is missing for who was away";
}

TEST_F(SqliteStoreTest, OfRevokedIdentitiesTheOldestGoFirstAndTicketsStay) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  SqliteStoreOptions options;
  options.path = path;
  options.max_revocation_log = 2;
  const auto store = SqliteStore::open(options, kek, clock).value();
  const Deadline soon = Deadline::in(std::chrono::seconds(20));
  ASSERT_TRUE(store->revoke_ticket(ByteVector(16, 1), clock.now() + std::chrono::hours(1), soon));
  for (const char* uri : {"sip:a@x", "sip:b@x", "sip:c@x"}) {
    ASSERT_TRUE(store->create(uri, IdentityKind::user, {}, soon));
  }
  ASSERT_TRUE(store->set_state("sip:a@x", IdentityState::suspended, soon));
  const std::uint64_t oldest =
      store->revocations_since(0, 10, soon).value().revocations[1].sequence;
  ASSERT_TRUE(store->set_state("sip:b@x", IdentityState::suspended, soon));
  EXPECT_EQ(store->revocations_since(0, 10, soon).value().kept_from, 0U);
  ASSERT_TRUE(store->remove("sip:c@x", soon));
  const auto page = store->revocations_since(0, 10, soon).value();
  EXPECT_EQ(page.kept_from, oldest);
  ASSERT_EQ(page.revocations.size(), 3U);
  EXPECT_EQ(page.revocations[0].kind, RevocationKind::ticket);
  EXPECT_EQ(as_text(page.revocations[1].subject), "sip:b@x");
  EXPECT_EQ(as_text(page.revocations[2].subject), "sip:c@x");
}

TEST_F(SqliteStoreTest, KeepsEverythingOverARestart) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  const Deadline soon = Deadline::in(std::chrono::seconds(20));
  std::uint64_t sequence = 0;
  {
    const auto store = open_store(path, kek, clock).value();
    store->create("sip:a@x", IdentityKind::as, {}, soon).value();
    sequence = store->revoke_ticket(ByteVector(16, 7), clock.now(), soon).value().sequence;
  }
  const auto store = open_store(path, kek, clock).value();
  EXPECT_EQ(store->find("sip:a@x", soon).value().kind, IdentityKind::as);
  EXPECT_EQ(store->revocations_since(0, 10, soon).value().revocations.at(0).sequence, sequence);
  EXPECT_GT(store->create("sip:b@x", IdentityKind::user, {}, soon).value().change_sequence,
            sequence);
}

// Another process holds the write lock, as a backup that went wrong would.
TEST_F(SqliteStoreTest, AChangeThatCannotBeCommittedInTimeIsUnavailableAndReadersGoOn) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  const auto store = open_store(path, kek, clock).value();
  ASSERT_TRUE(
      store->create("sip:a@x", IdentityKind::user, {}, Deadline::in(std::chrono::seconds(20)))
          .has_value());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto refused = store->set_state("sip:a@x", IdentityState::suspended,
                                        Deadline::in(std::chrono::milliseconds(50)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::unavailable);
  EXPECT_TRUE(store->find("sip:a@x", Deadline::in(std::chrono::seconds(5))).has_value());
  sqlite3_close(other);
  EXPECT_TRUE(
      store->set_state("sip:a@x", IdentityState::suspended, Deadline::in(std::chrono::seconds(20)))
          .has_value());
}

TEST_F(SqliteStoreTest, RefusesWithBusyWhenTooManyChangesWait) {
  ASSERT_TRUE(SqliteStore::create(path, kek, random).has_value());
  SqliteStoreOptions options;
  options.path = path;
  options.max_waiting_changes = 0;
  const auto store = SqliteStore::open(options, kek, clock).value();
  EXPECT_EQ(store->create("sip:a@x", IdentityKind::user, {}, Deadline::in(std::chrono::seconds(1)))
                .error()
                .category(),
            Category::busy);
}

}  // namespace
}  // namespace keystub::kms
