// kms-server: the KMS daemon. Verbs: init, run, healthcheck.
#include <sys/stat.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kms-server/init.h"
#include "kms-server/kek_rewrap.h"
#include "kms-server/kms_server.h"
#include "kms-server/maintenance.h"
#include "kms-server/reload.h"
#include "kms-server/settings.h"
#include "kms-server/sqlite_store.h"
#include "replay/replay_window.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/library.h"
#include "rpc/tls_version.h"
#include "service/command_line.h"
#include "service/config.h"
#include "service/http_server.h"
#include "service/lifecycle.h"
#include "service/log.h"
#include "service/metrics.h"

// Read by jemalloc: four arenas instead of four for each processor, and what is free goes back to
// the system after a second instead of ten (decision 59).
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "narenas:4,dirty_decay_ms:1000";
}

namespace keystub::kms {
namespace {

constexpr const char* kProgram = "kms-server";
constexpr const char* kPlaintextFlag = "--insecure-plaintext-tickets-i-know-what-i-am-doing";
constexpr std::chrono::seconds kHealthTimeout{3};

struct RunOptions {
  std::string config;
  std::string ready_file;
  bool check_config = false;
  bool dump_config = false;
  bool plaintext_tickets = false;
};

void route_grpc_log(service::Log& log) {
  rpc::route_library_log([&log](rpc::LibrarySeverity severity, std::string_view text) {
    if (severity == rpc::LibrarySeverity::error) {
      log.warning("gRPC", {{"detail", text}});
    } else {
      log.debug("gRPC", {{"detail", text}});
    }
  });
}

Result<std::unique_ptr<replay::ReplayWindow>> open_replay_window(const Settings& settings,
                                                                 const Clock& clock,
                                                                 service::Log& log) {
  replay::Options options;
  options.skew = settings.clock_skew;
  options.capacity = settings.replay_capacity;
  auto window = TRY(replay::ReplayWindow::open(settings.replay_file, clock, options));
  if (window->memory() == replay::Memory::lost) {
    log.warning("the replay window was lost: messages are refused until their time is newer",
                {{"because", window->lost_because()}});
  }
  return window;
}

service::HttpAnswer readiness(const HealthReport& report) {
  if (report.not_serving.empty()) return {200, "ok\n"};
  return {503, report.not_serving + "\n"};
}

Result<void> set_next_kek(const Settings& settings, Kek& kek) {
  if (!settings.kek.next) return {};
  auto next = open_kek(*settings.kek.next);
  if (!next) return std::unexpected(std::move(next).error().with_context("kek_next"));
  return kek.set_next(std::move(*next));
}

// SIGHUP. `values` is what the configuration said before, and is replaced.
void reload(const RunOptions& options, std::map<std::string, std::string>& values,
            KmsServer& server, Kek& kek, service::Log& log) {
  auto config = service::Config::load(options.config);
  const auto settings = config ? read_settings(*config) : std::unexpected(config.error());
  if (!settings) {
    log.error("the configuration stays as it was", {{"reason", settings.error().describe()}});
    return;
  }
  const ConfigChanges changes = compare(values, config->values());
  for (const std::string& key : changes.now) log.info("setting taken over", {{"key", key}});
  for (const std::string& key : changes.at_next_start) {
    log.warning("setting takes effect at the next start", {{"key", key}});
  }
  server.reload(*settings);
  if (const auto set = set_next_kek(*settings, kek); !set) {
    log.error("the next KEK stays as it was", {{"reason", set.error().describe()}});
  }
  log.set_level(settings->log_level);
  // What waits for the next start is told again at the next reload.
  for (const std::string& key : changes.now) values[key] = config->values().at(key);
  log.info("configuration reloaded");
}

Result<void> serve(const RunOptions& options, const Settings& settings,
                   std::map<std::string, std::string> values) {
  TRY(service::harden_process());
  service::raise_descriptor_limit();
  const auto signals = TRY(service::Signals::create());
  // gRPC's log sink lives for ever.
  static service::Log log(kProgram, settings.log_level);
  route_grpc_log(log);

  if (settings.memory_lock != Settings::MemoryLock::off) {
    const auto locked = service::lock_memory();
    if (!locked && settings.memory_lock == Settings::MemoryLock::required) return locked;
    if (!locked) log.warning(locked.error().text());
  }
  if (!settings.connections.allow_tls_1_2) TRY(rpc::require_tls_1_3());

  const SystemClock clock;
  OpenSslRandom random;
  service::Metrics metrics;
  Kek kek = TRY(open_kek(settings.kek));
  // Before the database is touched: a KMS of any version that runs here holds it.
  const auto replay = TRY(open_replay_window(settings, clock, log));
  SqliteStoreOptions store_options;
  store_options.path = settings.database;
  store_options.max_waiting_changes = settings.store_max_waiting;
  store_options.max_revoked_tickets = settings.max_revoked_tickets;
  store_options.max_revocation_log = settings.max_revocation_log;
  auto store = SqliteStore::open(store_options, kek, clock);
  if (!store) {
    Error error = std::move(store).error();
    // What is wrong with a file is no fault of this program.
    if (error.category() == Category::internal) error = {Category::malformed, error.text()};
    return std::unexpected(std::move(error).with_context(settings.database.string()));
  }
  if (const auto& migration = (*store)->migration()) {
    log.warning("the database was migrated to another schema",
                {{"from", migration->from},
                 {"to", migration->to},
                 {"copy_of_before", migration->copy.string()}});
  }
  TRY(take_up_rewrap(**store, kek, settings.store_timeout));
  if (settings.kek.next && !kek.has_next()) {
    log.warning("all keys are wrapped under the KEK of [kek_next]: make it the table [kek]");
  } else if (kek.moving()) {
    log.warning("keys are wrapped under two KEKs: end the move with kmsctl kek rewrap");
  }
  if (options.plaintext_tickets) {
    log.warning("!!! TICKETS ARE SERVED WITHOUT TLS: whoever listens sees who talks to whom !!!",
                {{"flag", kPlaintextFlag}});
  }
  const auto server = TRY(KmsServer::start(
      settings, {**store, kek, *replay, clock, random, log, &metrics, options.plaintext_tickets}));

  std::vector<service::Endpoint> endpoints = server->endpoints();
  std::unique_ptr<service::HttpServer> http;
  if (settings.metrics_address) {
    http = TRY(service::HttpServer::start(
        *settings.metrics_address,
        {service::metrics_route(metrics),
         {"/livez", [] { return service::HttpAnswer{200, "ok\n"}; }},
         {"/readyz", [&server] { return readiness(server->health()); }}}));
    endpoints.push_back({"metrics", http->address()});
  }
  for (const service::Endpoint& endpoint : endpoints) {
    log.info("listening", {{"name", endpoint.name}, {"address", endpoint.address}});
  }
  TRY(service::announce_ready(options.ready_file, endpoints));
  signals->wait_for_stop([&] { reload(options, values, *server, kek, log); });
  log.info("stopping");
  service::announce_stopping(options.ready_file);
  server->stop();
  return {};
}

int run(const RunOptions& options) {
  auto config = service::Config::load(options.config);
  if (!config) return service::report(kProgram, config.error());
  const auto settings = read_settings(*config);
  if (!settings) return service::report(kProgram, settings.error());
  if (options.dump_config) {
    std::fputs(config->dump().c_str(), stdout);
    return service::kExitOk;
  }
  if (options.check_config) return service::kExitOk;
  const auto served = serve(options, *settings, config->values());
  return served ? service::kExitOk : service::report(kProgram, served.error());
}

int init(const InitOptions& options) {
  ::umask(077);
  const SystemClock clock;
  OpenSslRandom random;
  const auto done = init_data_folder(options, clock, random);
  if (!done) return service::report(kProgram, done.error());
  std::printf("made %s; start it with: %s run --config %s\n", options.data.c_str(), kProgram,
              (options.data / kConfigFile).c_str());
  return service::kExitOk;
}

int make_kek(const std::string& table) {
  ::umask(077);
  const auto made = [&]() -> Result<void> {
    auto given = TRY(service::Config::load_file_alone(table));
    const KekSource source = KekSource::read(given, "kek");
    TRY(given.finish());
    OpenSslRandom random;
    TRY(create_kek(source, random));
    return {};
  }();
  if (!made) return service::report(kProgram, made.error());
  std::printf(
      "made a KEK; put its table into the configuration as [kek_next], send SIGHUP, then: "
      "kmsctl kek rewrap\n");
  return service::kExitOk;
}

Result<void> check_health(const std::string& config_file) {
  auto config = TRY(service::Config::load(config_file));
  const Settings settings = TRY(read_settings(config));
  if (!settings.admin_socket.empty()) {
    return rpc::check_health(rpc::open_unix_channel(settings.admin_socket), kHealthTimeout);
  }
  // The KMS's own certificate proves us to ourselves, should one be required.
  const TlsFiles& tls = settings.ticket_tls;
  const auto channel = TRY(rpc::open_tls_channel(
      settings.ticket_address, {tls.client_ca, tls.certificate, tls.private_key}));
  return rpc::check_health(channel, kHealthTimeout);
}

}  // namespace
}  // namespace keystub::kms

int main(int argc, char** argv) {
  using namespace keystub;
  service::CommandLine command_line(
      kms::kProgram, "The key management service: issues and resolves MIKEY-TICKET tickets.",
      service::exit_code_table());

  kms::InitOptions init_options;
  std::string data;
  std::string kek;
  service::Verb& init =
      command_line.top().verb("init", "Makes the data folder of a new KMS; overwrites nothing.");
  init.required_option("--data", data, "the folder")
      .option("--identity", init_options.identity, "what the KMS calls itself (IDRkms)")
      .option("--listen", init_options.listen, "address of the ticket port, \"ip:port\"")
      .option("--dns-name", init_options.dns_names, "a name for the server certificate")
      .option("--kek", kek, "a file with the table [kek]: where the KEK comes from (a file)")
      .action([&] {
        init_options.data = data;
        init_options.kek = kek;
        return kms::init(init_options);
      });

  kms::RunOptions run_options;
  service::Verb& run = command_line.top().verb("run", "Runs the KMS until SIGTERM or SIGINT.");
  run.required_option("--config", run_options.config, "the configuration file")
      .option("--ready-file", run_options.ready_file, "written with the addresses, once ready")
      .flag("--check-config", run_options.check_config, "checks the configuration and ends")
      .flag("--dump-config", run_options.dump_config, "prints the effective configuration")
      .flag(kms::kPlaintextFlag, run_options.plaintext_tickets,
            "serves tickets without TLS; never outside a lab")
      .action([&] { return kms::run(run_options); });

  std::string new_kek;
  command_line.top()
      .verb("kek", "The key encryption key.")
      .verb("create", "Makes one, for kmsctl kek rewrap; overwrites nothing.")
      .required_option("--kek", new_kek, "a file with the table [kek]: where it is to come from")
      .action([&] { return kms::make_kek(new_kek); });

  const SystemClock clock;
  std::string config;
  std::string copy;
  bool json = false;
  command_line.top()
      .verb("doctor", "Checks everything that a KMS needs, and says what to do.")
      .required_option("--config", config, "the configuration file")
      .flag("--json", json, "prints JSON")
      .action([&] { return kms::run_doctor(config, clock, json); });
  service::Verb& backup =
      command_line.top().verb("backup", "Copies of the database (kmsctl backup create).");
  backup.verb("verify", "Checks a copy.")
      .required_option("--config", config, "the configuration file")
      .required_option("--file", copy, "the copy")
      .action([&] { return kms::run_backup_verify(config, copy); });
  backup.verb("restore", "Puts a copy in the place of the database; the KMS must be stopped.")
      .required_option("--config", config, "the configuration file")
      .required_option("--file", copy, "the copy")
      .action([&] {
        ::umask(077);
        return kms::run_backup_restore(config, copy, clock);
      });

  std::string health_config;
  command_line.top()
      .verb("healthcheck", "Asks a running KMS whether it serves.")
      .required_option("--config", health_config, "the configuration file")
      .action([&] {
        const auto healthy = kms::check_health(health_config);
        return healthy ? service::kExitOk : service::report(kms::kProgram, healthy.error());
      });
  return command_line.run(argc, argv);
}
