// What a library that takes its keys from files only may rely on.
#include "pki/memory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <iterator>

namespace keystub::pki {
namespace {

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct stat status(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info;
}

TEST(MemoryFile, IsReadByItsPathAndByNobodyElse) {
  const auto file = MemoryFile::make({as_bytes("one"), as_bytes("\n"), as_bytes("two")}).value();
  EXPECT_EQ(content(file.path()), "one\ntwo");
  EXPECT_EQ(content(file.path()), "one\ntwo") << "as often as one likes";
  EXPECT_EQ(status(file.path()).st_mode & 0777U, 0600U);
}

TEST(MemoryFile, ChangesInOneStepAndIsSeenToHaveChanged) {
  auto file = MemoryFile::make({as_bytes("before, and longer")}).value();
  const std::string path = file.path();
  const std::time_t time = status(path).st_mtime;
  EXPECT_NE(time, 0) << "gRPC takes 0 for an error";
  std::ifstream reader(path, std::ios::binary);
  ASSERT_TRUE(file.replace({as_bytes("after")}));
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(content(path), "after");
  EXPECT_NE(status(path).st_mtime, time);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(reader), {}), "before, and longer");
}

TEST(MemoryFile, GoesWithItsOwner) {
  std::string path;
  {
    auto file = MemoryFile::make({as_bytes("x")}).value();
    const MemoryFile moved = std::move(file);
    path = moved.path();
    EXPECT_EQ(content(path), "x");
  }
  EXPECT_NE(content(path), "x");
}

}  // namespace
}  // namespace keystub::pki
