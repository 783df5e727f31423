// The hash chain: every change of a log is found.
#include "service/audit_chain.h"

#include <gtest/gtest.h>

#include <vector>

namespace keystub::service {
namespace {

std::vector<std::string> log_of(int lines) {
  AuditChain chain;
  std::vector<std::string> log;
  for (int i = 0; i < lines; ++i) {
    std::string line = chain.link("{\"operation\":\"request " + std::to_string(i) + "\"}").value();
    line.pop_back();
    log.push_back(line);
  }
  return log;
}

// The lines that are good before one is not.
std::uint64_t good_lines(const std::vector<std::string>& log) {
  AuditVerifier verifier;
  for (const std::string& line : log) {
    if (!verifier.add(line)) break;
  }
  return verifier.lines();
}

TEST(AuditChain, ALineSaysItsNumberFirstAndItsDigestLast) {
  AuditChain chain;
  const std::string line = chain.link("{\"time\":\"now\"}").value();
  EXPECT_TRUE(line.starts_with("{\"seq\":0,\"time\":\"now\",\"chain\":\"")) << line;
  EXPECT_TRUE(line.ends_with("\"}\n")) << line;
  // SHA-256 of 32 zero octets and the line up to its chain field, by another tool:
  // (head -c 32 /dev/zero; printf '{"seq":0,"time":"now"') | sha256sum
  EXPECT_NE(line.find("0adcf2f15e2861e1fd00f9725f676ccbcaa7d21fa2ff4eb68ddb48a97a3fd548"),
            std::string::npos)
      << line;
  EXPECT_EQ(chain.next(), 1U);
}

TEST(AuditChain, AnUntouchedLogVerifies) {
  AuditVerifier verifier;
  for (const std::string& line : log_of(50)) ASSERT_TRUE(verifier.add(line).has_value());
  EXPECT_EQ(verifier.lines(), 50U);
  EXPECT_EQ(verifier.last(), 49U);
}

TEST(AuditChain, EveryChangedOctetIsFound) {
  const std::vector<std::string> log = log_of(3);
  for (std::size_t at = 0; at < log[1].size(); ++at) {
    std::vector<std::string> changed = log;
    changed[1][at] = static_cast<char>(changed[1][at] ^ 1);
    EXPECT_EQ(good_lines(changed), 1U) << at;
  }
}

TEST(AuditChain, ALineTakenOutPutInOrMovedIsFound) {
  std::vector<std::string> log = log_of(4);
  std::vector<std::string> changed = log;
  changed.erase(changed.begin() + 1);
  EXPECT_EQ(good_lines(changed), 1U);
  changed = log;
  changed.insert(changed.begin() + 2, log[1]);
  EXPECT_EQ(good_lines(changed), 2U);
  changed = log;
  std::swap(changed[1], changed[2]);
  EXPECT_EQ(good_lines(changed), 1U);
  log.erase(log.begin());
  EXPECT_EQ(good_lines(log), 0U);
}

TEST(AuditChain, GoesOnAfterTheLastLine) {
  std::vector<std::string> log = log_of(2);
  AuditChain chain = AuditChain::after(log.back()).value();
  log.push_back(chain.link("{}").value());
  log.back().pop_back();
  EXPECT_EQ(good_lines(log), 3U);
  EXPECT_EQ(AuditChain::after("{\"time\":\"now\"}").error().category(), Category::conflict);
  EXPECT_EQ(AuditChain::after("").error().category(), Category::conflict);
}

TEST(AuditChain, AFileThatGoesOnVerifiesAloneAndJoined) {
  const std::vector<std::string> first = log_of(2);
  AuditChain chain = AuditChain::after(first.back()).value();
  chain.begin_file();
  std::vector<std::string> second = {chain.link("{\"a\":1}").value(), chain.link("{}").value()};
  for (std::string& line : second) line.pop_back();
  EXPECT_NE(second[0].find("\"previous\":\""), std::string::npos);
  EXPECT_EQ(second[1].find("\"previous\":\""), std::string::npos);
  EXPECT_EQ(good_lines(second), 2U);

  std::vector<std::string> joined = first;
  joined.insert(joined.end(), second.begin(), second.end());
  EXPECT_EQ(good_lines(joined), 4U);
  // Another log's end does not join.
  AuditChain other;
  joined[1] = other.link("{}").value();
  EXPECT_LT(good_lines(joined), 2U);
}

}  // namespace
}  // namespace keystub::service
