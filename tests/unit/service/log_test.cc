// The log: one JSON object per line, whatever a peer sends, and never a secret.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "service/log.h"

namespace keystub::service {
namespace {

struct LogTest : ::testing::Test {
  std::vector<std::string> lines;
  Log log{"kms-server", LogLevel::info,
          [this](std::string_view line) { lines.emplace_back(line); }};
  nlohmann::json last() const { return nlohmann::json::parse(lines.back()); }
};

TEST_F(LogTest, WritesTypedFieldsAsJson) {
  log.info("ticket issued", {{"trace_id", "abc"},
                             {"octets", 512},
                             {"forked", true},
                             {"initiator", std::string("sip:a@b")},
                             {"behind", -3L}});
  const auto line = last();
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["program"], "kms-server");
  EXPECT_EQ(line["message"], "ticket issued");
  EXPECT_EQ(line["trace_id"], "abc");
  EXPECT_EQ(line["octets"], 512);
  EXPECT_EQ(line["forked"], true);
  EXPECT_EQ(line["initiator"], "sip:a@b");
  EXPECT_EQ(line["behind"], -3);
  EXPECT_THAT(line["time"].get<std::string>(),
              ::testing::MatchesRegex("....-..-..T..:..:..\\.......Z"));
}

TEST_F(LogTest, KeepsHostileTextInsideOneValidLine) {
  log.info("peer said",
           {{"reason", std::string_view("a\"b\\c\nd\x01\x7f \xff\xc0\x80 \xed\xa0\x80 \xc3\xa9")}});
  EXPECT_EQ(lines.back().find('\n'), std::string::npos);
  EXPECT_THAT(last()["reason"].get<std::string>(),
              ::testing::StartsWith("a\"b\\c\nd\x01\x7f \xef\xbf\xbd"));
  EXPECT_THAT(last()["reason"].get<std::string>(), ::testing::EndsWith("\xc3\xa9"));
}

TEST_F(LogTest, ChangesItsLevelWhileRunning) {
  log.debug("dropped");
  EXPECT_TRUE(lines.empty());
  EXPECT_FALSE(log.enabled(LogLevel::debug));
  log.set_level(LogLevel::debug);
  log.debug("kept");
  EXPECT_EQ(lines.size(), 1U);
  log.set_level(LogLevel::off);
  log.error("dropped");
  EXPECT_EQ(lines.size(), 1U);
}

TEST_F(LogTest, KeepsLinesOfSeveralThreadsApart) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) log.info("line", {{"n", n}});
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(lines.size(), 800U);
  for (const auto& line : lines) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST(LogLevelText, RoundTrips) {
  for (const char* name : {"trace", "debug", "info", "warning", "error", "off"}) {
    EXPECT_EQ(log_level_name(parse_log_level(name).value()), name);
  }
  EXPECT_FALSE(parse_log_level("loud").has_value());
}

static_assert(!std::is_constructible_v<Field, std::string_view, const Psk&>,
              "key material must not be loggable");
static_assert(!std::is_constructible_v<Field, std::string_view, Psk>);

}  // namespace
}  // namespace keystub::service
