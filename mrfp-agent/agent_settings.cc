#include "mrfp-agent/agent_settings.h"

#include "mrfp-agent/net.h"

namespace keystub::mrfp {

namespace {

using namespace std::chrono_literals;

// Peers are told this address in SDP: it must be one that they can connect to.
void read_media_address(service::Config& config, MediaSettings& media) {
  media.ip = config.string("media.ip", media.ip);
  if (const auto address = to_system({media.ip, 0}); !address) {
    config.fault("media.ip", address.error().text());
  } else if (is_any(*address)) {
    config.fault("media.ip", "must be an address that peers can connect to, not \"any\"");
  }
  media.first_port =
      static_cast<std::uint16_t>(config.integer("media.first_port", media.first_port, 0, 65535));
  media.last_port =
      static_cast<std::uint16_t>(config.integer("media.last_port", media.last_port, 0, 65535));
  const bool both = (media.first_port == 0) == (media.last_port == 0);
  if (!both || media.last_port < media.first_port) {
    config.fault("media.last_port",
                 "first_port and last_port are a range, or both 0 for any free port");
  }
}

}  // namespace

Result<AgentSettings> read_settings(service::Config& config) {
  AgentSettings settings;
  settings.control_address = config.address("control.listen", settings.control_address).to_string();
  settings.certificate = config.required_path("control.certificate");
  settings.private_key = config.required_path("control.private_key");
  settings.client_ca = config.required_path("control.client_ca");
  settings.client_names = config.strings("control.client_names", {});
  settings.drain_time = config.duration("control.drain_time", settings.drain_time, 0ms, 60s);
  settings.cancel_after = config.duration("control.cancel_after", settings.cancel_after, 0ms, 60s);

  MediaSettings& media = settings.media;
  read_media_address(config, media);
  media.cipher_suites = config.strings("media.cipher_suites", media.cipher_suites);
  if (const auto valid = tlspsk::validate_cipher_suites(media.cipher_suites); !valid) {
    config.fault("media.cipher_suites", valid.error().text());
  }

  media.max_streams = static_cast<std::size_t>(
      config.integer("limits.streams", static_cast<std::int64_t>(media.max_streams), 1, 1'000'000));
  media.max_pending_connections = static_cast<std::size_t>(
      config.integer("limits.pending_connections",
                     static_cast<std::int64_t>(media.max_pending_connections), 1, 1000));
  media.max_message_octets =
      config.size("limits.message", media.max_message_octets, 1024, 1ULL << 40);
  media.queue_octets = config.size("limits.queue", media.queue_octets, 64 * 1024, 64 << 20);
  media.event_history = static_cast<std::size_t>(config.integer(
      "limits.event_history", static_cast<std::int64_t>(media.event_history), 1, 10'000'000));

  ChannelTimeouts& channel = media.channel;
  channel.connect = config.duration("timeouts.connect", channel.connect, 100ms, 10min);
  channel.handshake = config.duration("timeouts.handshake", channel.handshake, 100ms, 10min);
  media.setup_timeout = config.duration("timeouts.setup", media.setup_timeout, 1s, 24h);
  media.idle_timeout = config.duration("timeouts.idle", media.idle_timeout, 0ms, 24h * 7);

  if (const auto metrics = config.optional_address("metrics.listen")) {
    settings.metrics_address = metrics->to_string();
  }
  const std::string level =
      config.choice("log.level", "info", {"trace", "debug", "info", "warning", "error", "off"});
  settings.log_level = service::parse_log_level(level).value_or(service::LogLevel::info);
  TRY(config.finish());
  return settings;
}

}  // namespace keystub::mrfp
