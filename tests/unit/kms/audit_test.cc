// One structured line per decision, on the disk before the answer leaves.
#include "kms-server/audit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

AuditRecord record_of(std::string request_id) {
  AuditRecord record;
  record.time = WallTime(std::chrono::microseconds(1'767'323'045'678'901));
  record.request_id = std::move(request_id);
  record.operation = "request";
  record.identity = "sip:alice@example.com";
  record.granted = true;
  record.rule = "granted";
  return record;
}

Result<void> append(Audit& audit, const AuditRecord& record) {
  // Shared: set_value() may still be at work when the value is there.
  const auto written = std::make_shared<std::promise<Result<void>>>();
  audit.append(record, [written](Result<void> result) { written->set_value(std::move(result)); });
  return written->get_future().get();
}

std::vector<nlohmann::json> lines_of(const std::filesystem::path& path) {
  std::istringstream text(testing::TempDir::read(path));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Audit, ALineIsOneJsonObjectWithWhatAppliesInOrder) {
  AuditRecord record = record_of("r-1");
  record.caller = "uid:0";
  record.ticket_id = "00ff";
  EXPECT_EQ(to_json(record),
            "{\"time\":\"2026-01-02T03:04:05.678901Z\",\"request_id\":\"r-1\",\"caller\":\"uid:0\","
            "\"operation\":\"request\",\"identity\":\"sip:alice@example.com\","
            "\"decision\":\"granted\",\"rule\":\"granted\",\"ticket_id\":\"00ff\"}");
}

TEST(Audit, NothingThatASenderClaimsBreaksTheLine) {
  AuditRecord record = record_of("r-1");
  record.identity = std::string("a\"b\\c\nd\0e\xff{}", 12);
  const std::string line = to_json(record);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 0);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["identity"].get<std::string>(), std::string("a\"b\\c\nd\0e\u00ff{}", 13));
}

TEST(Audit, TheLineIsInTheFileWhenTheCallerIsTold) {
  const testing::TempDir folder;
  for (const AuditFsync fsync : {AuditFsync::group, AuditFsync::always, AuditFsync::interval}) {
    AuditOptions options;
    options.path = folder / ("audit-" + std::to_string(static_cast<int>(fsync)));
    options.fsync = fsync;
    const auto audit = Audit::open(options).value();
    for (std::size_t i = 0; i < 20; ++i) {
      const auto seen = std::make_shared<std::promise<std::size_t>>();
      audit->append(record_of(std::to_string(i)),
                    [seen, path = options.path](const Result<void>& written) {
                      EXPECT_TRUE(written.has_value());
                      seen->set_value(lines_of(path).size());
                    });
      EXPECT_EQ(seen->get_future().get(), i + 1);
    }
    EXPECT_FALSE(audit->fault().has_value());
    struct stat status{};
    ASSERT_EQ(::stat(options.path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
  }
}

TEST(Audit, KeepsEveryLineOfManyThreadsAndAppendsAfterARestart) {
  const testing::TempDir folder;
  AuditOptions options;
  options.path = folder / "audit";
  for (int run = 0; run < 2; ++run) {
    const auto audit = Audit::open(options).value();
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) EXPECT_TRUE(append(*audit, record_of("x")).has_value());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(lines_of(options.path).size(), 400U);
}

TEST(Audit, WritesWhatWaitsBeforeItStops) {
  const testing::TempDir folder;
  AuditOptions options;
  options.path = folder / "audit";
  int told = 0;
  {
    const auto audit = Audit::open(options).value();
    for (int i = 0; i < 100; ++i)
      audit->append(record_of("x"), [&](const Result<void>&) { ++told; });
  }
  EXPECT_EQ(told, 100);
  EXPECT_EQ(lines_of(options.path).size(), 100U);
}

TEST(Audit, TellsWhenALineCannotBeWritten) {
  AuditOptions options;
  options.path = "/dev/full";
  const auto audit = Audit::open(options).value();
  const auto written = append(*audit, record_of("x"));
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().category(), Category::unavailable);
  // The thread notes its health after it has told the caller.
  for (int i = 0; !audit->fault() && i < 1000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(audit->fault().has_value());
  options.path = "/proc/nothing/audit";
  EXPECT_EQ(Audit::open(options).error().category(), Category::unavailable);
}

TEST(Audit, RefusesWithBusyWhenTooMuchWaits) {
  const testing::TempDir folder;
  AuditOptions options;
  options.path = folder / "audit";
  options.max_waiting = 2;
  std::promise<void> inside;
  std::promise<void> release;
  const auto audit = Audit::open(options).value();
  audit->append(record_of("held"), [&](const Result<void>&) {
    inside.set_value();
    release.get_future().wait();
  });
  inside.get_future().wait();
  audit->append(record_of("waits"), [](const Result<void>&) {});
  const auto refused = append(*audit, record_of("too much"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::busy);
  release.set_value();
}

}  // namespace
}  // namespace keystub::kms
