// A disk that is full, read-only or broken under the identity database: a clear status, no
// acknowledged write lost, and a recovery that needs nobody.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/random.h"
#include "kms-server/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

using testing::DiskFault;

constexpr std::chrono::milliseconds kTimeout{20'000};

// Faults after so many good operations; KEYSTUB_DISK_FAULTS asks for more (tests/soak).
int last_good_operation() {
  const char* const wanted = std::getenv("KEYSTUB_DISK_FAULTS");
  return wanted == nullptr ? 3 : std::atoi(wanted);
}

class DiskFaultTest : public ::testing::TestWithParam<DiskFault> {
 protected:
  DiskFaultTest() {
    if (!SqliteStore::create(folder / "kms.db", kek, random)) std::abort();
    open();
  }
  void open() {
    SqliteStoreOptions options;
    options.path = folder / "kms.db";
    store = SqliteStore::open(options, kek, clock).value();
  }
  // Writes until `count` are acknowledged or one fails; the error of that.
  std::optional<Error> write(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string uri = "sip:user" + std::to_string(next++) + "@example.com";
      attempted.insert(uri);
      const auto created =
          store->create(uri, IdentityKind::user, std::nullopt, Deadline::in(kTimeout));
      if (!created) return created.error();
      acknowledged.insert(uri);
    }
    return std::nullopt;
  }
  void expect_all_acknowledged() {
    const auto page = store->list("", "", 100'000, Deadline::in(kTimeout));
    ASSERT_TRUE(page.has_value()) << page.error().text();
    std::set<std::string> found;
    for (const Identity& identity : page->identities) found.insert(identity.uri);
    for (const std::string& uri : acknowledged) EXPECT_TRUE(found.contains(uri)) << uri;
    for (const std::string& uri : found) EXPECT_TRUE(attempted.contains(uri)) << uri;
  }
  void expect_sound() {
    const auto database = SqliteDatabase::open(folder / "kms.db", SqliteDatabase::Mode::read);
    ASSERT_TRUE(database.has_value());
    auto check = (*database)->prepare("PRAGMA integrity_check");
    ASSERT_TRUE(check.has_value());
    ASSERT_TRUE(check->step().value_or(false));
    EXPECT_EQ(check->text(0), "ok");
  }

  testing::FaultyDisk disk;
  testing::TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 0x11)).value();
  std::unique_ptr<SqliteStore> store;
  std::set<std::string> attempted;
  std::set<std::string> acknowledged;
  int next = 0;
};

TEST_P(DiskFaultTest, AFailedWriteIsUnavailableAndTheStoreGoesOnWhenTheDiskDoes) {
  for (int good = 0; good <= last_good_operation(); ++good) {
    SCOPED_TRACE(good);
    disk.fail(GetParam(), good);
    const auto error = write(50);
    disk.repair();
    ASSERT_TRUE(error.has_value() || disk.failures() == 0) << "a fault was swallowed";
    if (error) {
      EXPECT_EQ(error->category(), Category::unavailable) << error->describe();
      EXPECT_FALSE(error->text().empty());
    }
    EXPECT_FALSE(write(3).has_value()) << "it does not recover";
    expect_all_acknowledged();
  }
  RecordProperty("acknowledged", static_cast<int>(acknowledged.size()));
}

TEST_P(DiskFaultTest, AProcessThatEndsWhileTheDiskFailsLosesNothingAcknowledged) {
  for (int good = 0; good <= last_good_operation(); ++good) {
    SCOPED_TRACE(good);
    ASSERT_FALSE(write(2).has_value());
    disk.fail(GetParam(), good);
    (void)write(50);
    store.reset();  // its checkpoint fails as well
    disk.repair();
    expect_sound();
    open();
    expect_all_acknowledged();
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, DiskFaultTest,
                         ::testing::Values(DiskFault::full, DiskFault::read_only,
                                           DiskFault::write_error, DiskFault::sync_error),
                         [](const auto& fault) {
                           switch (fault.param) {
                             case DiskFault::full: return "Full";
                             case DiskFault::read_only: return "ReadOnly";
                             case DiskFault::write_error: return "WriteError";
                             case DiskFault::sync_error: return "SyncError";
                             case DiskFault::read_error: return "ReadError";
                           }
                           return "Unknown";
                         });

TEST_F(DiskFaultTest, AReadThatFailsIsUnavailableAndTheNextOneIsNot) {
  ASSERT_FALSE(write(3).has_value());
  store.reset();
  open();  // nothing is in SQLite's cache
  disk.fail(DiskFault::read_error);
  const auto found = store->find("sip:user1@example.com", Deadline::in(kTimeout));
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().category(), Category::unavailable);
  disk.repair();
  EXPECT_TRUE(store->find("sip:user1@example.com", Deadline::in(kTimeout)).has_value());
}

}  // namespace
}  // namespace keystub::kms
