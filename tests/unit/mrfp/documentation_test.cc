// docs/mrfp-agent.md names every metric, and none that is not there.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace keystub::mrfp {
namespace {

std::set<std::string> names_in(const std::string& path, const std::string& pattern) {
  std::ifstream file(std::string(KEYSTUB_SOURCE_DIR) + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::regex name(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), name), end; match != end; ++match) {
    found.insert((*match)[1]);
  }
  return found;
}

TEST(Documentation, TheTableOfMetricsIsComplete) {
  const auto made = names_in("/mrfp-agent/media_metrics.cc", "\"(mrfp_[a-z_]+)\"");
  const auto told = names_in("/docs/mrfp-agent.md", "`keystub_(mrfp_[a-z_]+)");
  EXPECT_GT(made.size(), 5U);
  EXPECT_EQ(told, made);
}

}  // namespace
}  // namespace keystub::mrfp
