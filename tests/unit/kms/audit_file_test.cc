// The audit file over restarts, torn ends, rotation and moves.
#include "kms-server/audit_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

using std::filesystem::path;

constexpr std::uint64_t kNoRotation = 0;

void append(AuditFile& file, int records) {
  for (int i = 0; i < records; ++i) {
    ASSERT_TRUE(file.append({"{\"operation\":\"request\"}"}).has_value());
  }
}

// Lines that verify, over the files in this order; fails the test at the first that does not.
std::uint64_t verified(const std::vector<path>& files) {
  service::AuditVerifier verifier;
  for (const path& name : files) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);) {
      const auto added = verifier.add(line);
      EXPECT_TRUE(added.has_value()) << name << ": " << line;
    }
  }
  return verifier.lines();
}

TEST(AuditFile, GoesOnWithItsChainAfterARestart) {
  const testing::TempDir folder;
  for (int run = 0; run < 3; ++run) {
    auto file = AuditFile::open(folder / "audit", kNoRotation).value();
    append(file, 5);
  }
  EXPECT_EQ(verified({folder / "audit"}), 15U);
}

TEST(AuditFile, CutsOffALineThatALostMachineLeftHalfWritten) {
  const testing::TempDir folder;
  {
    auto file = AuditFile::open(folder / "audit", kNoRotation).value();
    append(file, 2);
  }
  // Longer than what is read of the end at once.
  std::ofstream(folder / "audit", std::ios::app) << "{\"seq\":2," << std::string(200'000, 'x');
  auto file = AuditFile::open(folder / "audit", kNoRotation).value();
  append(file, 1);
  EXPECT_EQ(verified({folder / "audit"}), 3U);
}

TEST(AuditFile, HalfOfAFirstLineIsNoLine) {
  const testing::TempDir folder;
  const path name = folder.write("audit", "{\"seq\":0,\"ti");
  auto file = AuditFile::open(name, kNoRotation).value();
  append(file, 1);
  EXPECT_EQ(verified({name}), 1U);
}

TEST(AuditFile, RefusesAFileThatIsNoChainedLogAndLeavesItAlone) {
  const testing::TempDir folder;
  const path name = folder.write("audit", "{\"time\":\"now\"}\n");
  const auto opened = AuditFile::open(name, kNoRotation);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().category(), Category::conflict);
  EXPECT_EQ(testing::TempDir::read(name), "{\"time\":\"now\"}\n");
}

TEST(AuditFile, RotatesWithoutALineLost) {
  const testing::TempDir folder;
  auto file = AuditFile::open(folder / "audit", 500).value();
  append(file, 10);
  std::vector<path> files;
  for (const int last : {4, 8}) files.push_back(folder / ("audit." + std::to_string(last)));
  files.push_back(folder / "audit");
  EXPECT_EQ(verified(files), 10U);
  EXPECT_EQ(verified({files.back()}), 1U);
}

TEST(AuditFile, RotatesOverNobodysFile) {
  const testing::TempDir folder;
  const auto taken = folder.write("audit.4", "another log");
  const auto taken_too = folder.write("audit.4.1", "and another");
  auto file = AuditFile::open(folder / "audit", 500).value();
  append(file, 6);
  EXPECT_EQ(testing::TempDir::read(taken), "another log");
  EXPECT_EQ(testing::TempDir::read(taken_too), "and another");
  EXPECT_EQ(verified({folder / "audit.4.2", folder / "audit"}), 6U);
}

TEST(AuditFile, BeginsANewFileWhereTheOldOneWasMovedAway) {
  const testing::TempDir folder;
  auto file = AuditFile::open(folder / "audit", kNoRotation).value();
  append(file, 2);
  std::filesystem::rename(folder / "audit", folder / "audit.1");
  append(file, 2);
  EXPECT_EQ(verified({folder / "audit.1", folder / "audit"}), 4U);
  // Removed: the loss shows.
  std::filesystem::remove(folder / "audit");
  append(file, 1);
  service::AuditVerifier verifier;
  std::ifstream first(folder / "audit.1");
  std::ifstream second(folder / "audit");
  for (std::string line; std::getline(first, line);) ASSERT_TRUE(verifier.add(line).has_value());
  std::string line;
  std::getline(second, line);
  EXPECT_FALSE(verifier.add(line).has_value());
}

// What a kill between the two steps of a rotation leaves: FILE.N, and no FILE or an empty one.
TEST(AuditFile, GoesOnAfterAKillInTheMiddleOfARotation) {
  for (const bool made : {false, true}) {
    const testing::TempDir folder;
    {
      auto file = AuditFile::open(folder / "audit", 500).value();
      EXPECT_TRUE(file.begins_log());
      append(file, 10);
    }
    std::filesystem::rename(folder / "audit", folder / "audit.9");
    folder.write("audit.77", "another log\n");
    folder.write("audit.old", testing::TempDir::read(folder / "audit.9"));
    if (made) folder.write("audit", "");
    auto file = AuditFile::open(folder / "audit", 500).value();
    EXPECT_FALSE(file.begins_log());
    append(file, 1);
    EXPECT_EQ(
        verified({folder / "audit.4", folder / "audit.8", folder / "audit.9", folder / "audit"}),
        11U);
  }
}

TEST(AuditFile, AFailedWriteLeavesNoGapInTheChain) {
  auto file = AuditFile::open("/dev/full", kNoRotation).value();
  EXPECT_EQ(file.append({"{}"}).error().category(), Category::unavailable);
}

}  // namespace
}  // namespace keystub::kms
