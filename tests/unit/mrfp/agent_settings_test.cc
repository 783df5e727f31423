// The configuration of mrfp-agent, and the example that documents it.
#include "mrfp-agent/agent_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace keystub::mrfp {
namespace {

using ::testing::HasSubstr;

const std::string kRequired =
    "[control]\ncertificate = \"a.pem\"\nprivate_key = \"a.key\"\nclient_ca = \"ca.pem\"\n";

Result<AgentSettings> read(const std::string& text) {
  auto config = service::Config::parse(text, "test.toml");
  if (!config) return std::unexpected(config.error());
  return read_settings(*config);
}

TEST(AgentSettings, TheAnnotatedExampleHoldsEveryKeyWithItsDefault) {
  auto config =
      service::Config::load(KEYSTUB_SOURCE_DIR "/deploy/examples/mrfp-agent.toml").value();
  const auto example = read_settings(config);
  ASSERT_TRUE(example.has_value()) << example.error().text();
  const std::string effective = config.dump();

  auto bare = service::Config::parse(kRequired, "bare.toml").value();
  const auto defaults = read_settings(bare);
  ASSERT_TRUE(defaults.has_value()) << defaults.error().text();
  EXPECT_EQ(example->control_address, defaults->control_address);
  EXPECT_EQ(example->client_names, defaults->client_names);
  EXPECT_EQ(example->drain_time, defaults->drain_time);
  EXPECT_EQ(example->cancel_after, defaults->cancel_after);
  EXPECT_EQ(example->media.ip, defaults->media.ip);
  EXPECT_EQ(example->media.first_port, defaults->media.first_port);
  EXPECT_EQ(example->media.last_port, defaults->media.last_port);
  EXPECT_EQ(example->media.cipher_suites, defaults->media.cipher_suites);
  EXPECT_EQ(example->media.max_streams, defaults->media.max_streams);
  EXPECT_EQ(example->media.max_pending_connections, defaults->media.max_pending_connections);
  EXPECT_EQ(example->media.max_message_octets, defaults->media.max_message_octets);
  EXPECT_EQ(example->media.queue_octets, defaults->media.queue_octets);
  EXPECT_EQ(example->media.event_history, defaults->media.event_history);
  EXPECT_EQ(example->media.channel.connect, defaults->media.channel.connect);
  EXPECT_EQ(example->media.channel.handshake, defaults->media.channel.handshake);
  EXPECT_EQ(example->media.setup_timeout, defaults->media.setup_timeout);
  EXPECT_EQ(example->media.idle_timeout, defaults->media.idle_timeout);
  EXPECT_EQ(example->metrics_address, defaults->metrics_address);
  EXPECT_EQ(example->log_level, defaults->log_level);
  // One line per key, each of them from the file.
  EXPECT_EQ(std::ranges::count(effective, '\n'), std::ranges::count(bare.dump(), '\n'));
  EXPECT_THAT(effective, ::testing::Not(HasSubstr("default")));
}

TEST(AgentSettings, TheControlPortCannotBeWithoutCertificates) {
  // MRFC-B8: the Mp carries keys.
  const auto settings = read("[media]\nip = \"127.0.0.1\"\n");
  ASSERT_FALSE(settings.has_value());
  for (const char* key : {"control.certificate", "control.private_key", "control.client_ca"}) {
    EXPECT_THAT(settings.error().text(), HasSubstr(key));
  }
}

TEST(AgentSettings, FaultsAreNamed) {
  EXPECT_THAT(read(kRequired + "[media]\nip = \"0.0.0.0\"\n").error().text(),
              HasSubstr("media.ip"));
  EXPECT_THAT(read(kRequired + "[media]\nip = \"localhost\"\n").error().text(),
              HasSubstr("localhost"));
  EXPECT_THAT(read(kRequired + "[media]\nfirst_port = 2000\n").error().text(),
              HasSubstr("media.last_port"));
  EXPECT_THAT(read(kRequired + "[media]\ncipher_suites = [\"PSK-NULL-SHA\"]\n").error().text(),
              HasSubstr("PSK-NULL-SHA"));
  EXPECT_THAT(read(kRequired + "[timeouts]\nhandshakes = \"1s\"\n").error().text(),
              HasSubstr("handshakes"));
}

}  // namespace
}  // namespace keystub::mrfp
