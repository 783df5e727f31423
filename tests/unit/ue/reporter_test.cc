// The two forms of an event.
#include "ue-agent/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <vector>

#include "tests/support/temp_dir.h"

namespace keystub::ue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(Reporter, UE_1_TextIsOneLinePerField) {
  std::vector<std::string> lines;
  Reporter reporter(Reporter::Format::text,
                    [&](std::string_view line) { lines.emplace_back(line); });
  reporter.event("tls established", {{"version", "TLSv1.3"}, {"psk_bits", 256}, {"ok", true}});
  EXPECT_THAT(lines, ElementsAre("tls established\n"
                                 "    version     TLSv1.3\n"
                                 "    psk_bits    256\n"
                                 "    ok          yes"));
}

// A peer's message must not steer the terminal.
TEST(Reporter, UE_1_ControlCharactersOfThePeerAreNotPrinted) {
  std::string all;
  Reporter reporter(Reporter::Format::text, [&](std::string_view line) { all += line; });
  reporter.event("message received", {{"text", "a\x1b[2Jb\nc"}});
  EXPECT_THAT(all, HasSubstr("a?[2Jb?c"));
}

TEST(Reporter, UE_1_JsonIsOneObjectPerEvent) {
  std::vector<std::string> lines;
  Reporter reporter(Reporter::Format::json,
                    [&](std::string_view line) { lines.emplace_back(line); });
  reporter.event("message received", {{"text", "hello \"you\"\n"}, {"octets", 11}});
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr(R"("message":"message received")"));
  EXPECT_THAT(lines[0], HasSubstr(R"("text":"hello \"you\"\u000a")"));
  EXPECT_THAT(lines[0], HasSubstr(R"("octets":11)"));
}

// The table of events in the documentation and the code name the same events.
TEST(Reporter, UE_1_EveryEventIsDocumented) {
  const std::filesystem::path root = KEYSTUB_SOURCE_DIR;
  const auto manual = testing::TempDir::read(root / "docs/ue-agent.md");
  const std::regex event(R"re((?:event|report_policy)\([^";]*"([a-z ]+)")re");
  std::size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator(root / "ue-agent")) {
    if (file.path().extension() != ".cc") continue;
    const auto code = testing::TempDir::read(file.path());
    for (std::sregex_iterator one(code.begin(), code.end(), event), end; one != end; ++one) {
      ++found;
      EXPECT_THAT(manual, HasSubstr("`" + (*one)[1].str() + "`")) << file.path();
    }
  }
  EXPECT_GT(found, 12U);
}

}  // namespace
}  // namespace keystub::ue
