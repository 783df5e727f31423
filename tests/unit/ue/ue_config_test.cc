// The configuration, and the example file that explains it.
#include "ue-agent/ue_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/temp_dir.h"
#include "tlspsk/cipher_suites.h"

namespace keystub::ue {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSmallest = R"(
[identity]
uri = "sip:alice@example.com"
psk_file = "alice.psk"
[kms]
target = "127.0.0.1:7443"
ca = "ca.pem"
identity = "kms@example.com"
[replay]
file = "alice.replay"
)";

Result<UeConfig> read_config(std::string_view text) {
  auto config = service::Config::parse(text, "ue.toml");
  if (!config) return std::unexpected(config.error());
  return UeConfig::read(*config);
}

TEST(UeConfig, UE_1_SmallestConfigurationHasTheDefaultsOfTheProfile) {
  const auto config = read_config(kSmallest);
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->psk_id, "sip:alice@example.com");
  EXPECT_EQ(config->cipher_suites, tlspsk::default_cipher_suites());
  EXPECT_EQ(config->replay_skew, std::chrono::seconds(60));
  EXPECT_EQ(config->prot_type, 2);
  EXPECT_EQ(config->kms().type, mikey::IdType::nai);
}

TEST(UeConfig, UE_1_FaultsAreAllNamed) {
  const auto config = read_config(std::string(kSmallest) +
                                  "[media]\ncipher_suites = [\"NULL-SHA\"]\nprot_type = 3\n"
                                  "[ticket]\ntpk_id = \"x\"\n[spelling]\nmistake = 1\n");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().category(), Category::malformed);
  for (const auto* part : {"NULL-SHA", "prot_type", "tpk_file", "spelling"}) {
    EXPECT_THAT(config.error().text(), HasSubstr(part));
  }
}

TEST(UeConfig, UE_1_AnnotatedExampleIsValidAndNamesEveryKey) {
  const std::filesystem::path example =
      std::filesystem::path(KEYSTUB_SOURCE_DIR) / "deploy/examples/ue-agent.toml";
  auto file = service::Config::load(example);
  ASSERT_TRUE(file) << file.error().describe();
  const auto config = UeConfig::read(*file);
  ASSERT_TRUE(config) << config.error().describe();

  const auto text = testing::TempDir::read(example);
  // dump() has one line per key that the program knows: "a.b = value".
  std::istringstream dump(file->dump());
  std::size_t keys = 0;
  for (std::string line; std::getline(dump, line);) {
    const auto key = line.substr(0, line.find(' '));
    if (key.find('.') == std::string::npos) continue;
    ++keys;
    EXPECT_THAT(text, HasSubstr("\n" + key.substr(key.rfind('.') + 1) + " = "))
        << "the example does not explain " << key;
  }
  EXPECT_GT(keys, 20U);
}

TEST(UeConfig, UE_1_SharedKeyOfOthersIsRefused) {
  const testing::TempDir folder;
  auto config = read_config(kSmallest).value();
  config.psk_file = folder.write("psk", std::string(64, 'a'));
  std::filesystem::permissions(config.psk_file, std::filesystem::perms{0644});
  EXPECT_EQ(config.credentials().error().category(), Category::denied);
  std::filesystem::permissions(config.psk_file, std::filesystem::perms{0600});
  const auto credentials = config.credentials();
  ASSERT_TRUE(credentials) << credentials.error().describe();
  EXPECT_EQ(credentials->psk.size(), 32U);
  EXPECT_EQ(credentials->self.data, "sip:alice@example.com");
}

}  // namespace
}  // namespace keystub::ue
