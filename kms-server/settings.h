// The configuration of kms-server: one struct, its reading from TOML, its validation.
// docs/kms-server.md and deploy/examples/kms-server.toml explain every key.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "kms-server/access.h"
#include "kms-server/audit.h"
#include "kms-server/kek_source.h"
#include "kms-server/key_directory.h"
#include "kms-server/pk_material.h"
#include "kms-server/policy.h"
#include "kms-server/rate_limiter.h"
#include "kms-server/revocation_feed.h"
#include "kms-server/tpk_rotation.h"
#include "mikey/payload/identity.h"
#include "service/config.h"
#include "service/log.h"

namespace keystub::kms {

struct TlsFiles {
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  std::filesystem::path client_ca;
  std::filesystem::path client_crl;  // empty: none
};

// What both ports do with connections.
struct ConnectionSettings {
  bool allow_tls_1_2 = false;
  std::chrono::seconds reload_interval{10};  // how often certificate files are looked at
  int max_message_octets = 64 * 1024;
  int max_calls = 1024;  // of one connection at the same time
  std::chrono::milliseconds handshake_time{10'000};
  std::chrono::milliseconds idle_time{300'000};
  std::chrono::milliseconds max_age = std::chrono::hours{1};
  std::chrono::milliseconds keepalive_interval{60'000};
  std::chrono::milliseconds keepalive_timeout{20'000};
};

struct Settings {
  mikey::Identity identity = mikey::Identity::uri("sip:kms@localhost");  // IDRkms
  std::string thdr = {};  // octets in THDR of our tickets; not in the file

  std::filesystem::path database;
  KekSources kek;
  std::size_t store_threads = 4;
  std::size_t store_max_waiting = 1024;
  std::chrono::milliseconds store_timeout{2000};
  CacheLimits cache;

  std::filesystem::path backup_folder;  // empty: no backups over the admin port

  std::filesystem::path replay_file;
  std::chrono::milliseconds clock_skew = std::chrono::seconds{60};
  std::size_t replay_capacity = std::size_t{1} << 19;

  AuditOptions audit;

  PolicySettings policy;
  TpkSchedule tpk;
  LimitSettings limits;
  PkSettings pk;

  std::size_t max_revoked_tickets = 100'000;
  std::size_t max_revocation_log = 10'000;
  RevocationFeedSettings revocation_feed;

  std::string ticket_address = "127.0.0.1:7443";
  TlsFiles ticket_tls;
  bool require_client_certificate = false;
  std::size_t max_outstanding = 256;

  std::optional<std::string> admin_address;  // none: only the Unix socket
  TlsFiles admin_tls;
  std::filesystem::path admin_socket;  // empty: none

  Roles roles;
  ConnectionSettings connections;

  std::optional<std::string> metrics_address;
  std::chrono::milliseconds health_interval{1000};
  // auto: locked where that is permitted, and said in the log.
  enum class MemoryLock : std::uint8_t { automatic, required, off };
  MemoryLock memory_lock = MemoryLock::automatic;
  service::LogLevel log_level = service::LogLevel::info;
  // Refuses new messages as unavailable for this long before it closes its ports.
  std::chrono::milliseconds linger_time{500};
  std::chrono::milliseconds drain_time{5000};
  std::chrono::milliseconds cancel_after{2000};
};

// Reads every key and calls config.finish(): malformed, with a line per fault.
Result<Settings> read_settings(service::Config& config);

// "kms@example.com" is a NAI, "sip:kms@example.com" a URI.
mikey::Identity kms_identity(std::string text);

}  // namespace keystub::kms
