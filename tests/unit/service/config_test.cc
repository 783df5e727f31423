// Configuration: typed keys, faults with file:line:column, environment, dump.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/config.h"
#include "tests/support/temp_dir.h"

namespace keystub::service {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Config parse(std::string_view text, Config::Environment environment = {}) {
  return Config::parse(text, "k.toml", std::move(environment)).value();
}

TEST(Config, ReadsEveryTypeWithItsFallback) {
  Config config = parse(R"(
[listen]
address = "[::1]:7443"
tls = false
[limits]
message = "64KiB"
octets = 1000
outstanding = 256
skew = "90s"
names = ["a", "b"]
mode = "group"
)");
  EXPECT_EQ(config.address("listen.address", "127.0.0.1:1"), (SocketAddress{"::1", 7443}));
  EXPECT_FALSE(config.boolean("listen.tls", true));
  EXPECT_EQ(config.size("limits.message", 1, 1, 1 << 20), 65536U);
  EXPECT_EQ(config.size("limits.octets", 1, 1, 1 << 20), 1000U);
  EXPECT_EQ(config.integer("limits.outstanding", 1, 1, 1000), 256);
  EXPECT_EQ(config.duration("limits.skew", 60s, 1s, 1h), 90s);
  EXPECT_THAT(config.strings("limits.names", {}), ElementsAre("a", "b"));
  EXPECT_EQ(config.choice("limits.mode", "off", {"off", "group"}), "group");
  EXPECT_EQ(config.string("absent.text", "fallback"), "fallback");
  EXPECT_EQ(config.optional_address("absent.address"), std::nullopt);
  EXPECT_TRUE(config.finish().has_value());
}

TEST(Config, ListsEveryFaultWithFileLineAndColumn) {
  Config config = parse(
      "[listen]\naddress = \"localhost:1\"\ntls = 1\n[limits]\nskew = \"9w\"\n"
      "outstanding = 0\nunknwon = 1\n[other]\nkey = 1\n");
  config.address("listen.address", "127.0.0.1:0");
  EXPECT_TRUE(config.boolean("listen.tls", true));
  EXPECT_EQ(config.duration("limits.skew", 60s, 1s, 1h), 60s);
  EXPECT_EQ(config.integer("limits.outstanding", 7, 1, 10), 7);
  EXPECT_EQ(config.required_string("limits.name"), "");
  const auto finished = config.finish();
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error().category(), Category::malformed);
  const std::string& text = finished.error().text();
  EXPECT_THAT(text, HasSubstr("k.toml:2:11: listen.address"));
  EXPECT_THAT(text, HasSubstr("k.toml:3:7: listen.tls must be true or false"));
  EXPECT_THAT(text, HasSubstr("k.toml:5:8: limits.skew"));
  EXPECT_THAT(text, HasSubstr("k.toml:6:15: limits.outstanding is 0, must be from 1 to 10"));
  EXPECT_THAT(text, HasSubstr("limits.name is required"));
  EXPECT_THAT(text, HasSubstr("k.toml:7:1: limits.unknwon is not a key"));
  EXPECT_THAT(text, HasSubstr("k.toml:8:2: other is not a key"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
}

TEST(Config, SaysWhereTheFileIsNotToml) {
  const auto config = Config::parse("[listen]\naddress = \n", "k.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().category(), Category::malformed);
  EXPECT_THAT(config.error().text(), HasSubstr("k.toml:2:"));
}

TEST(Config, LetsTheEnvironmentOverrideTheFile) {
  Config config = parse("[listen]\naddress = \"127.0.0.1:1\"\nnames = [\"x\"]\n",
                        {{"KEYSTUB_LISTEN__ADDRESS", "127.0.0.1:2"},
                         {"KEYSTUB_LISTEN__NAMES", "a,b"},
                         {"KEYSTUB_LIMITS__MAX_AGE", "5"},
                         {"KEYSTUB_KMS_SERVICE_HOST", "10.0.0.1"}});
  EXPECT_EQ(config.address("listen.address", "127.0.0.1:3").port, 2);
  EXPECT_THAT(config.strings("listen.names", {}), ElementsAre("a", "b"));
  EXPECT_EQ(config.integer("limits.max_age", 1, 1, 10), 5);
  EXPECT_TRUE(config.is_set("limits.max_age"));
  EXPECT_TRUE(config.finish().has_value()) << "a variable of an orchestrator is not ours";
}

TEST(Config, NamesTheVariableThatIsWrong) {
  Config config = parse("", {{"KEYSTUB_LIMITS__COUNT", "many"}, {"KEYSTUB_LIMITS__CUONT", "1"}});
  config.integer("limits.count", 1, 1, 10);
  const auto finished = config.finish();
  ASSERT_FALSE(finished.has_value());
  EXPECT_THAT(finished.error().text(), HasSubstr("KEYSTUB_LIMITS__COUNT: limits.count must be"));
  EXPECT_THAT(finished.error().text(), HasSubstr("KEYSTUB_LIMITS__CUONT: no key"));
}

TEST(Config, DumpsWhatLoadAcceptsAgain) {
  const auto read = [](Config& config) {
    config.string("a.text", "q\"\\\n");
    config.duration("a.time", 90s, 0s, 1h);
    config.size("a.size", 65536, 0, 1 << 20);
    config.strings("a.list", {"x", "y"});
    config.boolean("a.flag", true);
    config.integer("a.number", 5, 0, 9);
    config.address("a.address", "127.0.0.1:1");
  };
  Config first = parse("[a]\nnumber = 7\n");
  read(first);
  const std::string dump = first.dump();
  EXPECT_THAT(dump, HasSubstr("a.number = 7  # k.toml:2:10"));
  EXPECT_THAT(dump, HasSubstr("a.time = \"90s\"  # default"));
  Config second = parse(dump);
  read(second);
  EXPECT_TRUE(second.finish().has_value());
  EXPECT_EQ(second.string("a.text", ""), "q\"\\\n");
  EXPECT_EQ(second.integer("a.number", 0, 0, 9), 7);
}

TEST(Config, TakesRelativePathsFromTheFoldersOfTheFile) {
  const testing::TempDir folder;
  const auto file = folder.write("k.toml", "[tls]\nkey = \"tls/k.pem\"\nca = \"/etc/ca.pem\"\n");
  Config config = Config::load(file).value();
  EXPECT_EQ(config.path("tls.key", ""), folder / "tls/k.pem");
  EXPECT_EQ(config.path("tls.ca", ""), "/etc/ca.pem");
  EXPECT_EQ(config.path("tls.certificate", ""), "");
}

TEST(Config, SaysWhenTheFileIsMissing) {
  const auto config = Config::load("/nonexistent/k.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().category(), Category::not_found);
}

TEST(Config, RefusesWhatOnlyLooksLikeAnAddressADurationOrASize) {
  for (const char* text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:1",
                           "[127.0.0.1]:1", "localhost:1", "127.0.0.1:1 ", "[]:1"}) {
    EXPECT_FALSE(parse_socket_address(text).has_value()) << text;
  }
  for (const char* text :
       {"", "s", "1", "-1s", "1 s", "1.5s", "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
  for (const char* text : {"", "KiB", "-1", "1kb", "1 KiB", "18446744073709551615GiB"}) {
    EXPECT_FALSE(parse_size(text).has_value()) << text;
  }
  EXPECT_EQ(parse_socket_address("[::1]:0").value().to_string(), "[::1]:0");
}

}  // namespace
}  // namespace keystub::service
