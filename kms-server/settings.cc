#include "kms-server/settings.h"

#include <algorithm>
#include <charconv>

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kMaxRate = 10'000'000;
constexpr std::int64_t kMaxThreads = 64;
constexpr std::int64_t kMaxWaiting = 1'000'000;
constexpr std::int64_t kMaxCachedKeys = 10'000'000;
constexpr std::uint64_t kMinPackedMemory = std::uint64_t{8} << 20;
// The replay window takes 64 octets for each, in two generations.
constexpr std::int64_t kMinReplayCapacity = 1024;
constexpr std::int64_t kMaxReplayCapacity = std::int64_t{1} << 26;
constexpr std::int64_t kMaxOutstanding = 65'536;
constexpr std::int64_t kMaxRevocations = 1'000'000;
constexpr std::int64_t kMaxSubscribers = 65'536;

void read_store(service::Config& config, Settings& settings) {
  settings.database = config.required_path("store.database");
  settings.kek = KekSources::read(config);
  settings.store_threads =
      static_cast<std::size_t>(config.integer("store.threads", 4, 1, kMaxThreads));
  settings.store_max_waiting =
      static_cast<std::size_t>(config.integer("store.max_waiting", 1024, 1, kMaxWaiting));
  settings.store_timeout = config.duration("store.timeout", 2s, 10ms, 60s);
  settings.cache.keys =
      static_cast<std::size_t>(config.integer("store.cached_keys", 4096, 16, kMaxCachedKeys));
  settings.cache.packed_octets = config.size("store.packed_memory", std::uint64_t{80} << 20,
                                             kMinPackedMemory, PackedCache::kMaxSize);

  settings.backup_folder = config.path("backup.folder", {});

  settings.replay_file = config.required_path("replay.file");
  settings.clock_skew = config.duration("replay.skew", 60s, 1s, 1h);
  settings.replay_capacity = static_cast<std::size_t>(config.integer(
      "replay.capacity", std::int64_t{1} << 19, kMinReplayCapacity, kMaxReplayCapacity));
}

void read_audit(service::Config& config, Settings& settings) {
  settings.audit.path = config.required_path("audit.file");
  const std::string fsync = config.choice("audit.fsync", "group", {"group", "always", "interval"});
  settings.audit.fsync = fsync == "always"     ? AuditFsync::always
                         : fsync == "interval" ? AuditFsync::interval
                                               : AuditFsync::group;
  settings.audit.interval = config.duration("audit.interval", 1s, 10ms, 1min);
  settings.audit.max_waiting =
      static_cast<std::size_t>(config.integer("audit.max_waiting", 4096, 1, kMaxWaiting));
  settings.audit.max_size = static_cast<std::uint64_t>(
      config.integer("audit.max_size", std::int64_t{1} << 30, 0, std::int64_t{1} << 40));
  settings.audit.needed =
      config.choice("audit.on_failure", "refuse", {"refuse", "continue"}) == "refuse";
}

void read_policy(service::Config& config, Settings& settings) {
  PolicySettings& policy = settings.policy;
  policy.require_forking = config.boolean("policy.require_forking", true);
  policy.allow_128_bit_suite = config.boolean("policy.allow_128_bit_suite", true);
  policy.allow_reuse = config.boolean("policy.allow_reuse", true);
  policy.max_keys =
      static_cast<std::size_t>(config.integer("policy.max_keys", 4, 1, kMaxKeysInTicket));
  policy.max_validity = config.duration("policy.max_validity", 24h, 1min, kLongestValidity);
  policy.default_validity = config.duration("policy.default_validity", 24h, 1min, kLongestValidity);
  policy.start_margin = config.duration("policy.start_margin", 5min, 0s, 24h);
  policy.clock_skew = settings.clock_skew;
  if (policy.default_validity > policy.max_validity) {
    config.fault("policy.default_validity", "is longer than policy.max_validity");
  }
}

// So many at once as in two seconds on average.
Rate read_rate(service::Config& config, std::string_view key, std::int64_t fallback) {
  const auto per_second = static_cast<double>(config.integer(key, fallback, 0, kMaxRate));
  return {per_second, 2 * per_second};
}

void read_limits(service::Config& config, Settings& settings) {
  LimitSettings& limits = settings.limits;
  limits.overall = read_rate(config, "limits.overall", 0);
  limits.per_peer = read_rate(config, "limits.per_peer", 5000);
  limits.per_identity = read_rate(config, "limits.per_identity", 1000);
  limits.free_failures =
      static_cast<std::size_t>(config.integer("limits.free_failures", 10, 0, 1'000'000));
  limits.first_backoff = config.duration("limits.first_backoff", 1s, 1ms, 1h);
  limits.longest_backoff = config.duration("limits.longest_backoff", 1min, 1ms, 24h);
  limits.public_key_cost =
      static_cast<double>(config.integer("limits.public_key_cost", 20, 1, 10'000));
  if (limits.longest_backoff < limits.first_backoff) {
    config.fault("limits.longest_backoff", "is shorter than limits.first_backoff");
  }
}

void read_pk(service::Config& config, PkSettings& pk) {
  pk.enabled = config.boolean("pk.enabled", false);
  pk.certificate = config.path("pk.certificate", {});
  pk.private_key = config.path("pk.private_key", {});
  pk.previous_certificate = config.path("pk.previous_certificate", {});
  pk.previous_private_key = config.path("pk.previous_private_key", {});
  pk.trust_anchors = config.path("pk.trust_anchors", {});
  pk.crl = config.path("pk.crl", {});
  pk.threads = static_cast<std::size_t>(config.integer("pk.threads", 2, 1, kMaxThreads));
  pk.max_waiting = static_cast<std::size_t>(config.integer("pk.max_waiting", 64, 1, kMaxWaiting));
  if (!pk.enabled) return;
  if (pk.certificate.empty()) config.fault("pk.certificate", "is needed: senders encrypt for it");
  if (pk.private_key.empty()) config.fault("pk.private_key", "is needed to open envelope keys");
  if (pk.previous_certificate.empty() != pk.previous_private_key.empty()) {
    config.fault("pk.previous_private_key", "and pk.previous_certificate are a pair: set both");
  }
}

void read_tpk(service::Config& config, Settings& settings) {
  settings.tpk.rotate_every = config.duration("tpk.rotate_every", 0s, 0s, 24h * 366);
  settings.tpk.keep = config.duration("tpk.keep", 24h * 30, 1min, 24h * 3660);
  if (settings.tpk.keep < settings.policy.max_validity + 2 * settings.clock_skew) {
    config.fault("tpk.keep",
                 "must be longer than policy.max_validity: tickets under a retired key resolve "
                 "until they expire");
  }
}

void read_revocation(service::Config& config, Settings& settings) {
  settings.max_revoked_tickets = static_cast<std::size_t>(
      config.integer("revocation.max_tickets", 100'000, 1, kMaxRevocations));
  settings.max_revocation_log =
      static_cast<std::size_t>(config.integer("revocation.max_log", 10'000, 1, kMaxRevocations));
  RevocationFeedSettings& feed = settings.revocation_feed;
  feed.max_subscribers = static_cast<std::size_t>(
      config.integer("revocation.max_subscribers", 256, 1, kMaxSubscribers));
  feed.heartbeat = config.duration("revocation.heartbeat", 15s, 100ms, 10min);
  feed.store_timeout = settings.store_timeout;
}

TlsFiles read_tls(service::Config& config, const std::string& section) {
  return {config.path(section + ".certificate", {}), config.path(section + ".private_key", {}),
          config.path(section + ".client_ca", {}), config.path(section + ".client_crl", {})};
}

void require_tls(service::Config& config, const std::string& section, const TlsFiles& tls) {
  if (tls.certificate.empty()) config.fault(section + ".certificate", "is needed for TLS");
  if (tls.private_key.empty()) config.fault(section + ".private_key", "is needed for TLS");
  if (tls.client_ca.empty()) {
    config.fault(section + ".client_ca", "is needed to verify client certificates");
  }
}

std::vector<std::string> read_role(service::Config& config, std::string_view key) {
  std::vector<std::string> names = config.strings(key, {});
  for (const std::string& name : names) {
    constexpr std::string_view kUid = "uid:";
    if (!name.starts_with(kUid)) continue;
    uid_t uid = 0;
    const char* const end = name.data() + name.size();
    const auto [after, error] = std::from_chars(name.data() + kUid.size(), end, uid);
    if (error != std::errc() || after != end) {
      config.fault(key, "\"" + name + "\" is not uid: and a numeric user id");
    }
  }
  return names;
}

void read_roles(service::Config& config, Roles& roles) {
  roles.admin = read_role(config, "roles.admin");
  roles.operators = read_role(config, "roles.operator");
  roles.auditor = read_role(config, "roles.auditor");
  roles.ticket_client = config.strings("roles.ticket_client", {});
  roles.watcher = config.strings("roles.watcher", {});
}

bool names_a_certificate(const Roles& roles) {
  const auto is_certificate = [](const std::string& name) { return !name.starts_with("uid:"); };
  return std::ranges::any_of(roles.admin, is_certificate) ||
         std::ranges::any_of(roles.operators, is_certificate) ||
         std::ranges::any_of(roles.auditor, is_certificate);
}

void read_connections(service::Config& config, ConnectionSettings& connections) {
  connections.allow_tls_1_2 = config.choice("connections.min_tls", "1.3", {"1.2", "1.3"}) == "1.2";
  connections.reload_interval = std::chrono::ceil<std::chrono::seconds>(
      config.duration("connections.reload_interval", 10s, 1s, 1h));
  connections.max_message_octets =
      static_cast<int>(config.size("connections.max_message", 64 << 10, 4 << 10, 16 << 20));
  connections.max_calls =
      static_cast<int>(config.integer("connections.max_calls", 1024, 1, 65'536));
  connections.handshake_time = config.duration("connections.handshake", 10s, 100ms, 5min);
  connections.idle_time = config.duration("connections.idle", 5min, 0s, 24h);
  connections.max_age = config.duration("connections.max_age", 1h, 0s, 24h);
  connections.keepalive_interval = config.duration("connections.keepalive", 60s, 1s, 24h);
  connections.keepalive_timeout = config.duration("connections.keepalive_timeout", 20s, 100ms, 1h);
}

void read_admin(service::Config& config, Settings& settings) {
  if (const auto address = config.optional_address("admin.listen")) {
    settings.admin_address = address->to_string();
  }
  settings.admin_tls = read_tls(config, "admin");
  settings.admin_socket = config.path("admin.unix_socket", {});
  if (settings.admin_address) {
    require_tls(config, "admin", settings.admin_tls);
    // Every agent has a certificate of the same authority: one that may ask for tickets must not
    // be able to make identities.
    if (!names_a_certificate(settings.roles)) {
      config.fault("roles.admin", "name the certificates that may use admin.listen");
    }
  } else if (settings.admin_socket.empty()) {
    config.fault(
        "admin.unix_socket",
        "is empty, as admin.listen is: then nobody could administer the KMS; set one of them");
  }
}

}  // namespace

mikey::Identity kms_identity(std::string text) {
  const bool uri = text.find(':') != std::string::npos;
  return {uri ? mikey::IdType::uri : mikey::IdType::nai, std::move(text)};
}

Result<Settings> read_settings(service::Config& config) {
  Settings settings;
  settings.identity = kms_identity(config.string("kms.identity", settings.identity.data));
  if (settings.identity.data.empty()) config.fault("kms.identity", "must not be empty");
  read_store(config, settings);
  read_audit(config, settings);
  read_policy(config, settings);
  read_tpk(config, settings);
  read_limits(config, settings);
  read_pk(config, settings.pk);
  read_revocation(config, settings);

  settings.ticket_address = config.address("tickets.listen", settings.ticket_address).to_string();
  settings.ticket_tls = read_tls(config, "tickets");
  require_tls(config, "tickets", settings.ticket_tls);
  settings.require_client_certificate = config.boolean("tickets.require_client_certificate", false);
  settings.max_outstanding =
      static_cast<std::size_t>(config.integer("tickets.max_outstanding", 256, 1, kMaxOutstanding));
  read_roles(config, settings.roles);
  read_admin(config, settings);
  read_connections(config, settings.connections);

  if (const auto address = config.optional_address("metrics.listen")) {
    settings.metrics_address = address->to_string();
  }
  const std::string lock = config.choice("memory.lock", "auto", {"auto", "required", "off"});
  settings.memory_lock = lock == "off"        ? Settings::MemoryLock::off
                         : lock == "required" ? Settings::MemoryLock::required
                                              : Settings::MemoryLock::automatic;
  settings.health_interval = config.duration("health.interval", 1s, 10ms, 1min);
  const std::string level =
      config.choice("log.level", "info", {"trace", "debug", "info", "warning", "error", "off"});
  if (const auto parsed = service::parse_log_level(level)) settings.log_level = *parsed;
  settings.linger_time = config.duration("shutdown.linger", 500ms, 0s, 1min);
  settings.drain_time = config.duration("shutdown.drain", 5s, 0s, 10min);
  settings.cancel_after = config.duration("shutdown.cancel_after", 2s, 0s, 1min);
  TRY(config.finish());
  return settings;
}

}  // namespace keystub::kms
