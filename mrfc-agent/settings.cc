#include "mrfc-agent/settings.h"

#include "mrfc-agent/peer_identity.h"

namespace keystub::mrfc {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMinPskOctets = 16;
constexpr std::size_t kMaxPskOctets = 64;
constexpr std::int64_t kMaxSessions = 1'000'000;
constexpr std::int64_t kMaxWorkers = 256;
constexpr std::int64_t kMaxQueue = 100'000;
constexpr std::int64_t kMinReplayCapacity = 1024;
constexpr std::int64_t kMaxReplayCapacity = std::int64_t{1} << 26;

service::SecretEncoding read_encoding(service::Config& config, std::string_view key) {
  return config.choice(key, "hex", {"hex", "raw"}) == "hex" ? service::SecretEncoding::hex
                                                            : service::SecretEncoding::raw;
}

// "kms@example.com" is a NAI, "sip:kms@example.com" a URI.
mikey::Identity kms_identity(std::string text) {
  const bool uri = text.find(':') != std::string::npos;
  return {uri ? mikey::IdType::uri : mikey::IdType::nai, std::move(text)};
}

// A URI in the form that everything is compared in.
std::string own_uri(service::Config& config, std::string_view key, const std::string& text) {
  if (text.empty()) return text;
  auto uri = user_identity(text);
  if (!uri) config.fault(key, uri.error().text());
  return uri.value_or(text);
}

void read_identities(service::Config& config, const std::filesystem::path& folder,
                     Settings& settings) {
  SessionPolicy& policy = settings.policy;
  policy.identity = own_uri(config, "identity.uri", config.required_string("identity.uri"));
  OwnIdentity self;
  self.uri = policy.identity;
  self.psk.file = config.required_path("identity.psk_file");
  self.psk.encoding = read_encoding(config, "identity.psk_encoding");
  self.psk.id = config.string("identity.psk_id", policy.identity);
  policy.groups = config.strings("identity.groups", {});
  const service::SecretEncoding encoding = self.psk.encoding;
  settings.identities.push_back(std::move(self));

  const std::vector<std::string> uris = config.strings("conferences.uris", {});
  const std::vector<std::string> files = config.strings("conferences.psk_files", {});
  if (uris.size() != files.size()) {
    config.fault("conferences.psk_files",
                 "needs one file for each of conferences.uris: each "
                 "conference is an identity of the KMS with a key of "
                 "its own");
    return;
  }
  for (std::size_t i = 0; i < uris.size(); ++i) {
    const std::string uri = own_uri(config, "conferences.uris", uris[i]);
    policy.conferences.push_back(uri);
    settings.identities.push_back({uri, {folder / files[i], encoding, uri}});
  }
}

ServerAddress read_server(service::Config& config, const std::string& section) {
  ServerAddress server;
  server.target = config.required_string(section + ".target");
  server.ca = config.required_path(section + ".ca");
  server.certificate = config.required_path(section + ".certificate");
  server.private_key = config.required_path(section + ".private_key");
  server.server_name = config.string(section + ".server_name", "");
  server.timeout = config.duration(section + ".timeout", 5s, 10ms, 5min);
  return server;
}

void read_ticket(service::Config& config, Settings& settings) {
  SessionPolicy& policy = settings.policy;
  const bool self_issued =
      config.choice("ticket.source", "kms", {"kms", "self-issued"}) == "self-issued";
  policy.key_source = self_issued ? KeySource::self_issued : KeySource::kms_issued;
  policy.ticket_validity = std::chrono::duration_cast<std::chrono::seconds>(
      config.duration("ticket.validity", 24h, 1min, 24h * 31));
  policy.any_resolver = config.boolean("ticket.any_resolver", false);
  settings.tpk.file = config.path("ticket.tpk_file", "");
  settings.tpk.encoding = read_encoding(config, "ticket.tpk_encoding");
  settings.tpk.id = config.string("ticket.tpk_id", "");
  if (settings.tpk.file.empty() != settings.tpk.id.empty()) {
    config.fault("ticket.tpk_file", "needs ticket.tpk_id as well, and the other way round");
  }
  if (self_issued && settings.tpk.file.empty()) {
    config.fault("ticket.tpk_file", "is needed to issue tickets: kmsctl tpk share makes one");
  }
  policy.prot_type =
      static_cast<mikey::ProtType>(config.integer("ticket.prot_type_tls", 2, 1, 255));
  if (!mikey::is_tls(policy.prot_type)) {
    config.fault("ticket.prot_type_tls", "must be 2 or 241: the numbers that stand for TLS");
  }
  policy.accept_128_bit_suite = config.boolean("ticket.accept_128_bit_suite", false);
}

void read_media(service::Config& config, Settings& settings) {
  SessionPolicy& policy = settings.policy;
  policy.media_security = config.boolean("media.security", true);
  policy.cipher_suites = config.strings("media.cipher_suites", default_cipher_suites());
  if (policy.cipher_suites.empty()) config.fault("media.cipher_suites", "must not be empty");
  policy.accept_types = config.strings("media.accept_types", {"message/cpim", "text/plain"});
  if (policy.accept_types.empty()) config.fault("media.accept_types", "must not be empty");
  policy.prefer_active =
      config.choice("media.preferred_setup", "active", {"active", "passive"}) == "active";
  auto pattern = mikey::PskIdentityPattern::parse(
      config.string("media.psk_identity", std::string(mikey::kDefaultPskIdentityPattern)));
  if (pattern) {
    policy.psk_identity = std::move(*pattern);
  } else {
    config.fault("media.psk_identity", pattern.error().text());
  }
}

std::size_t read_limit(service::Config& config, std::string_view key, std::int64_t fallback,
                       std::int64_t max) {
  return static_cast<std::size_t>(config.integer(key, fallback, 1, max));
}

}  // namespace

const std::vector<std::string>& default_cipher_suites() {
  static const std::vector<std::string> suites{
      "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305",
      "PSK-AES128-GCM-SHA256",  "PSK-AES256-GCM-SHA384",        "ECDHE-PSK-AES128-CBC-SHA256",
      "PSK-AES128-CBC-SHA256"};
  return suites;
}

Result<Settings> read_settings(service::Config& config, const std::filesystem::path& folder) {
  Settings settings;
  read_identities(config, folder, settings);
  settings.kms = read_server(config, "kms");
  settings.watch_revocations = config.boolean("kms.watch_revocations", true);
  settings.policy.kms = kms_identity(config.required_string("kms.identity"));
  settings.mrfp = read_server(config, "mrfp");
  settings.mrfp_local_ip = config.string("mrfp.local_ip", "");
  read_ticket(config, settings);
  read_media(config, settings);

  settings.replay_file = config.required_path("replay.file");
  settings.policy.skew = config.duration("replay.skew", 60s, 1s, 1h);
  settings.replay_capacity = static_cast<std::size_t>(
      config.integer("replay.capacity", 65'536, kMinReplayCapacity, kMaxReplayCapacity));

  settings.listen = config.address("listen.address", "127.0.0.1:7445").to_string();
  settings.certificate = config.required_path("listen.certificate");
  settings.private_key = config.required_path("listen.private_key");
  settings.client_ca = config.required_path("listen.client_ca");
  settings.client_names = config.strings("listen.client_names", {});
  settings.server_name = config.string("listen.server_name", "");

  settings.max_sessions = read_limit(config, "limits.sessions", 10'000, kMaxSessions);
  settings.workers = read_limit(config, "limits.workers", 16, kMaxWorkers);
  settings.queue = read_limit(config, "limits.queue", 256, kMaxQueue);
  settings.events = read_limit(config, "limits.events", 8192, kMaxSessions);

  if (const auto address = config.optional_address("metrics.listen")) {
    settings.metrics_address = address->to_string();
  }
  const std::string level =
      config.choice("log.level", "info", {"trace", "debug", "info", "warning", "error", "off"});
  if (const auto parsed = service::parse_log_level(level)) settings.log_level = *parsed;
  settings.drain_time = config.duration("shutdown.drain", 5s, 0s, 10min);
  settings.cancel_after = config.duration("shutdown.cancel_after", 2s, 0s, 1min);
  TRY(config.finish());
  return settings;
}

replay::Options Settings::replay_options() const {
  replay::Options options;
  options.skew = policy.skew;
  options.capacity = replay_capacity;
  return options;
}

Result<mikey::KmsCredentials> Settings::credentials(const OwnIdentity& identity) const {
  mikey::KmsCredentials credentials;
  credentials.psk = TRY(service::read_secret<PskTag>(identity.psk.file, identity.psk.encoding,
                                                     kMinPskOctets, kMaxPskOctets));
  credentials.self = mikey::Identity::uri(identity.uri);
  credentials.kms = policy.kms;
  credentials.psk_id = identity.psk.id;
  return credentials;
}

Result<mikey::TicketProtection> Settings::ticket_protection() const {
  mikey::TicketProtection protection;
  protection.key = TRY(
      service::read_secret<mikey::TpkTag>(tpk.file, tpk.encoding, kMinPskOctets, kMaxPskOctets));
  protection.id = tpk.id;
  return protection;
}

}  // namespace keystub::mrfc
