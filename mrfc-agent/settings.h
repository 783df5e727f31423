// The configuration of mrfc-agent: one struct, its reading from TOML, its validation.
// deploy/examples/mrfc-agent.toml explains every key.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mikey/exchange.h"
#include "mikey/ticket.h"
#include "mrfc-agent/session_policy.h"
#include "replay/replay_window.h"
#include "service/config.h"
#include "service/log.h"
#include "service/secret_file.h"

namespace keystub::mrfc {

// A key in a file, and its name.
struct KeyFile {
  std::filesystem::path file;
  service::SecretEncoding encoding = service::SecretEncoding::hex;
  std::string id;
};

// One of our identities at the KMS.
struct OwnIdentity {
  std::string uri;  // as user_identity() makes it
  KeyFile psk;
};

// A server that we call over TLS.
struct ServerAddress {
  std::string target;  // "address:port" or "name:port"
  std::filesystem::path ca;
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  std::string server_name;  // in its certificate; empty: the host part of the target
  std::chrono::milliseconds timeout = std::chrono::seconds{5};
};

struct Settings {
  SessionPolicy policy;
  std::vector<OwnIdentity> identities;  // the MRFC first, then its conferences
  ServerAddress kms;
  bool watch_revocations = true;  // and cut live media whose keys the KMS takes back
  ServerAddress mrfp;
  std::string mrfp_local_ip;  // where the MRFP takes its ports; empty: as it is configured
  KeyFile tpk;                // mode 3

  std::filesystem::path replay_file;
  std::size_t replay_capacity = 0;

  std::string listen;
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  std::filesystem::path client_ca;
  std::vector<std::string> client_names;
  std::string server_name;  // in our certificate, for the healthcheck; empty: the host of `listen`

  std::size_t max_sessions = 0;
  std::size_t workers = 0;
  std::size_t queue = 0;
  std::size_t events = 0;

  std::optional<std::string> metrics_address;
  service::LogLevel log_level = service::LogLevel::info;
  std::chrono::milliseconds drain_time{5000};
  std::chrono::milliseconds cancel_after{2000};

  replay::Options replay_options() const;
  // Reads the key of one of our identities. not_found, denied (file mode), malformed.
  Result<mikey::KmsCredentials> credentials(const OwnIdentity& identity) const;
  // Reads the TPK of mode 3.
  Result<mikey::TicketProtection> ticket_protection() const;
};

// Reads every key and calls config.finish(): malformed, with a line per fault. `folder`: of the
// configuration file, where relative paths in lists start.
Result<Settings> read_settings(service::Config& config, const std::filesystem::path& folder);

// MRFC-B1: the list that is preconfigured where the file says nothing: what an MRFP speaks by
// itself.
const std::vector<std::string>& default_cipher_suites();

}  // namespace keystub::mrfc
