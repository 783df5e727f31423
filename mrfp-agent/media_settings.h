// What a media plane is set to. Filled from the configuration by agent_config.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "mrfp-agent/secure_channel.h"
#include "tlspsk/cipher_suites.h"

namespace keystub::mrfp {

struct MediaSettings {
  // Where media are received: a literal address that peers can reach, as it stands in SDP.
  std::string ip = "127.0.0.1";
  // Inclusive. Both 0: any free port.
  std::uint16_t first_port = 0;
  std::uint16_t last_port = 0;

  // Names of tlspsk/cipher_suites.h, in order of preference.
  std::vector<std::string> cipher_suites = tlspsk::default_cipher_suites();

  std::size_t max_streams = 2000;
  // Connections to one stream's port that are in their handshake or parked.
  std::size_t max_pending_connections = 8;
  std::uint64_t max_message_octets = 64ULL << 20;
  // High-water mark of each queue of a leg, in octets; see MessageRelay.
  std::size_t queue_octets = 256 * 1024;
  std::size_t event_history = 10'000;

  ChannelTimeouts channel;
  // From Reserve to an established session; then the stream is released.
  std::chrono::milliseconds setup_timeout{300'000};
  // Without a single octet in either direction; 0: never.
  std::chrono::milliseconds idle_timeout{0};
};

}  // namespace keystub::mrfp
