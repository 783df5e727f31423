// The configuration of mrfp-agent: one struct, its reading from TOML, its validation.
// deploy/examples/mrfp-agent.toml explains every key.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mrfp-agent/media_settings.h"
#include "service/config.h"
#include "service/log.h"

namespace keystub::mrfp {

struct AgentSettings {
  // The Mp: where the MRFC connects to.
  std::string control_address = "127.0.0.1:7450";
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  std::filesystem::path client_ca;
  std::vector<std::string> client_names;  // empty: any certificate of that CA
  std::chrono::milliseconds drain_time{5000};
  std::chrono::milliseconds cancel_after{2000};

  MediaSettings media;

  std::optional<std::string> metrics_address;
  service::LogLevel log_level = service::LogLevel::info;
};

// Reads every key and calls config.finish(): malformed, with a line per fault.
Result<AgentSettings> read_settings(service::Config& config);

}  // namespace keystub::mrfp
