// The configuration, and the example file that explains it.
#include "mrfc-agent/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <sstream>

#include "tests/support/temp_dir.h"
#include "tlspsk/cipher_suites.h"

namespace keystub::mrfc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kSmallest = R"(
[identity]
uri = "SIP:mrfc@Example.com"
psk_file = "mrfc.psk"
[kms]
target = "127.0.0.1:7443"
ca = "ca.pem"
certificate = "m.pem"
private_key = "m.key"
identity = "kms@example.com"
[mrfp]
target = "127.0.0.1:7450"
ca = "ca.pem"
certificate = "m.pem"
private_key = "m.key"
[replay]
file = "mrfc.replay"
[listen]
certificate = "m.pem"
private_key = "m.key"
client_ca = "ca.pem"
)";

Result<Settings> read(std::string_view text) {
  auto config = service::Config::parse(text, "mrfc.toml");
  if (!config) return std::unexpected(config.error());
  return read_settings(*config, "/etc/keystub");
}

TEST(Settings, MRFC_B1_TheSmallestConfigurationHasTheDefaultsOfTheProfile) {
  const auto settings = read(kSmallest);
  ASSERT_TRUE(settings) << settings.error().describe();
  EXPECT_EQ(settings->policy.identity, "sip:mrfc@example.com");
  EXPECT_EQ(settings->policy.cipher_suites, tlspsk::default_cipher_suites());
  EXPECT_TRUE(settings->policy.media_security);
  EXPECT_FALSE(settings->policy.any_resolver);
  EXPECT_EQ(settings->policy.key_source, KeySource::kms_issued);
  EXPECT_EQ(settings->policy.prot_type, mikey::ProtType::tls);
  EXPECT_EQ(settings->policy.skew, std::chrono::seconds{60});
  EXPECT_EQ(settings->policy.kms.type, mikey::IdType::nai);
  EXPECT_EQ(settings->identities.at(0).psk.id, "sip:mrfc@example.com");
  EXPECT_EQ(settings->policy.psk_identity.text(), mikey::kDefaultPskIdentityPattern);
}

TEST(Settings, MRFC_I3_EachConferenceHasAKeyOfItsOwn) {
  const std::string conferences =
      std::string(kSmallest) + "[conferences]\nuris = [\"sip:a@x\", \"sip:b@X\"]\n";
  EXPECT_THAT(read(conferences).error().text(), HasSubstr("conferences.psk_files"));
  const auto settings = read(conferences + "psk_files = [\"a.psk\", \"/keys/b.psk\"]\n");
  ASSERT_TRUE(settings) << settings.error().describe();
  EXPECT_THAT(settings->policy.conferences, ElementsAre("sip:a@x", "sip:b@x"));
  EXPECT_EQ(settings->identities.at(1).psk.file, "/etc/keystub/a.psk");
  EXPECT_EQ(settings->identities.at(2).psk.file, "/keys/b.psk");
  EXPECT_EQ(settings->identities.at(2).psk.id, "sip:b@x");
}

TEST(Settings, MRFC_I3_SelfIssuedTicketsNeedATicketProtectionKey) {
  const std::string self_issued = std::string(kSmallest) + "[ticket]\nsource = \"self-issued\"\n";
  EXPECT_THAT(read(self_issued).error().text(), HasSubstr("ticket.tpk_file"));
  const auto settings =
      read(self_issued + "tpk_file = \"/k/tpk\"\ntpk_id = \"mode3-1\"\nprot_type_tls = 241\n");
  ASSERT_TRUE(settings) << settings.error().describe();
  EXPECT_EQ(settings->policy.key_source, KeySource::self_issued);
  EXPECT_EQ(settings->policy.prot_type, mikey::ProtType::tls_private);
}

TEST(Settings, FaultsAreAllNamed) {
  const auto settings = read(std::string(kSmallest) +
                             "[ticket]\ntpk_id = \"x\"\nprot_type_tls = 3\n"
                             "[media]\ncipher_suites = []\npsk_identity = \"same for all\"\n"
                             "[conferences]\nuris = [\"not a uri\"]\npsk_files = [\"x\"]\n"
                             "[spelling]\nmistake = 1\n");
  ASSERT_FALSE(settings);
  for (const auto* part : {"tpk_file", "prot_type_tls", "cipher_suites", "psk_identity",
                           "conferences.uris", "spelling"}) {
    EXPECT_THAT(settings.error().text(), HasSubstr(part));
  }
}

TEST(Settings, KeysComeFromFilesThatOthersCannotRead) {
  const keystub::testing::TempDir folder;
  const auto file = folder.write("mrfc.psk", std::string(64, 'a') + "\n");
  Settings settings;
  settings.policy.kms = mikey::Identity::uri("sip:kms@x");
  const OwnIdentity identity{"sip:m@x", {file, service::SecretEncoding::hex, "name"}};
  ::chmod(file.c_str(), 0644);
  EXPECT_EQ(settings.credentials(identity).error().category(), Category::denied);
  ::chmod(file.c_str(), 0600);
  const auto credentials = settings.credentials(identity);
  ASSERT_TRUE(credentials) << credentials.error().describe();
  EXPECT_EQ(credentials->psk.size(), 32U);
  EXPECT_EQ(credentials->psk_id, "name");
  EXPECT_EQ(credentials->self.data, "sip:m@x");
}

TEST(Settings, TheAnnotatedExampleIsValidAndNamesEveryKey) {
  const std::filesystem::path example =
      std::filesystem::path(KEYSTUB_SOURCE_DIR) / "deploy/examples/mrfc-agent.toml";
  auto config = service::Config::load(example);
  ASSERT_TRUE(config) << config.error().describe();
  const auto settings = read_settings(*config, example.parent_path());
  ASSERT_TRUE(settings) << settings.error().describe();
  EXPECT_EQ(settings->policy.cipher_suites, tlspsk::default_cipher_suites());
  // What the file leaves out would have to come from a default: the dump names where each is from.
  std::istringstream lines(config->dump());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_THAT(line, ::testing::Not(HasSubstr("default"))) << "is not in the example";
  }
}

}  // namespace
}  // namespace keystub::mrfc
