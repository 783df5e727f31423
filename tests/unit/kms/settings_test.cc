// The configuration: the annotated example loads, and what is wrong is said.
#include "kms-server/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace keystub::kms {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kSmallest = R"(
[store]
database = "kms.db"
[kek]
file = "kek"
[replay]
file = "replay.window"
[audit]
file = "audit.jsonl"
[tickets]
certificate = "kms.pem"
private_key = "kms.key"
client_ca = "ca.pem"
[admin]
unix_socket = "admin.sock"
)";

Result<Settings> read(const std::string& text) {
  auto config = TRY(service::Config::parse(text, "test.toml"));
  return read_settings(config);
}

std::string example() {
  std::ifstream file(std::string(KEYSTUB_SOURCE_DIR) + "/deploy/examples/kms-server.toml");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Settings, TheAnnotatedExampleLoadsAndShowsEveryKeyAndItsDefault) {
  auto config = service::Config::parse(example(), "kms-server.toml");
  ASSERT_TRUE(config.has_value()) << config.error().text();
  const auto settings = read_settings(*config);
  ASSERT_TRUE(settings.has_value()) << settings.error().text();
  EXPECT_THAT(config->dump(), ::testing::Not(HasSubstr("# default")))
      << "every key stands in the example";

  const Settings defaults = read(kSmallest).value();
  EXPECT_EQ(settings->identity, defaults.identity);
  EXPECT_EQ(settings->store_threads, defaults.store_threads);
  EXPECT_EQ(settings->clock_skew, defaults.clock_skew);
  EXPECT_EQ(settings->policy.max_validity, defaults.policy.max_validity);
  EXPECT_EQ(settings->policy.max_keys, defaults.policy.max_keys);
  EXPECT_EQ(settings->max_outstanding, defaults.max_outstanding);
}

TEST(Settings, EveryKeyIsInTheDocumentation) {
  auto config = service::Config::parse(example(), "kms-server.toml");
  ASSERT_TRUE(config.has_value());
  ASSERT_TRUE(read_settings(*config).has_value());
  std::ifstream file(std::string(KEYSTUB_SOURCE_DIR) + "/docs/kms-server.md");
  std::ostringstream documentation;
  documentation << file.rdbuf();
  std::istringstream dump(config->dump());
  int keys = 0;
  for (std::string line; std::getline(dump, line);) {
    const std::string key = line.substr(0, line.find(' '));
    if (key.find('.') == std::string::npos) continue;
    EXPECT_THAT(documentation.str(), HasSubstr("`" + key + "`"));
    ++keys;
  }
  EXPECT_GT(keys, 30);
}

TEST(Settings, TheDefaultsAreThoseOfTheProfile) {
  const auto settings = read(kSmallest);
  ASSERT_TRUE(settings.has_value()) << settings.error().text();
  EXPECT_EQ(settings->identity, mikey::Identity::uri("sip:kms@localhost"));
  EXPECT_EQ(settings->clock_skew, 60s);
  EXPECT_EQ(settings->policy.clock_skew, 60s);
  EXPECT_TRUE(settings->policy.require_forking);
  EXPECT_EQ(settings->policy.max_validity, 24h);
  EXPECT_EQ(settings->policy.start_margin, 5min);
  EXPECT_EQ(settings->max_outstanding, 256U);
  EXPECT_FALSE(settings->require_client_certificate);
  EXPECT_FALSE(settings->admin_address.has_value());
  EXPECT_EQ(settings->audit.fsync, AuditFsync::group);
  EXPECT_TRUE(settings->audit.needed);
}

TEST(Settings, TellsAllFaultsAtOnce) {
  const auto refused = read(R"(
[replay]
skew = "2h"
[tickets]
listen = "localhost:7443"
colour = "blue"
[admin]
listen = "127.0.0.1:7444"
[roles]
operator = ["uid:root"]
[policy]
max_validity = "1h"
default_validity = "2h"
)");
  ASSERT_FALSE(refused.has_value());
  const std::string text = refused.error().text();
  for (const char* part : {"store.database", "kek.file", "replay.skew", "tickets.listen",
                           "tickets.colour", "tickets.certificate", "roles.admin", "roles.operator",
                           "policy.default_validity", "test.toml:3"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Settings, ThePublicKeyVariantsAreOffUnlessTheirFilesAreNamed) {
  EXPECT_FALSE(read(kSmallest).value().pk.enabled);
  const auto refused =
      read(std::string(kSmallest) + "[pk]\nenabled = true\nprevious_certificate = \"old.pem\"\n");
  ASSERT_FALSE(refused.has_value());
  for (const char* part : {"pk.certificate", "pk.private_key", "pk.previous_private_key"}) {
    EXPECT_THAT(refused.error().text(), HasSubstr(part));
  }
  const auto read_in = read(std::string(kSmallest) +
                            "[pk]\nenabled = true\ncertificate = \"a.pem\"\n"
                            "private_key = \"a.key\"\n");
  ASSERT_TRUE(read_in.has_value()) << read_in.error().text();
  EXPECT_EQ(read_in->pk.files().size(), 2U);
}

TEST(Settings, SomebodyMustBeAbleToAdminister) {
  std::string text = kSmallest;
  text.resize(text.find("[admin]"));
  const auto refused = read(text);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().text(), HasSubstr("admin.unix_socket"));
}

TEST(Settings, TheIdentityOfTheKmsIsAUriOrANai) {
  EXPECT_EQ(kms_identity("kms@example.com").type, mikey::IdType::nai);
  EXPECT_EQ(kms_identity("sip:kms@example.com").type, mikey::IdType::uri);
}

}  // namespace
}  // namespace keystub::kms
