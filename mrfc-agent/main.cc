// mrfc-agent: the media resource function controller. Verbs: init, run, healthcheck.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "mrfc-agent/kms_gateway.h"
#include "mrfc-agent/media_control_client.h"
#include "mrfc-agent/revocation_client.h"
#include "mrfc-agent/session_control_service.h"
#include "mrfc-agent/session_controller.h"
#include "mrfc-agent/settings.h"
#include "mrfc-agent/work_pool.h"
#include "replay/replay_window.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/library.h"
#include "rpc/server.h"
#include "service/command_line.h"
#include "service/config.h"
#include "service/lifecycle.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::mrfc {
namespace {

constexpr const char* kProgram = "mrfc-agent";
constexpr const char* kListener = "sessions";
constexpr std::chrono::seconds kHealthTimeout{3};
constexpr std::size_t kInstanceIdOctets = 8;
constexpr int kMaxRequestOctets = 1 << 20;

struct RunOptions {
  std::string config;
  std::string ready_file;
  bool check_config = false;
  bool dump_config = false;
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

Result<std::shared_ptr<grpc::Channel>> open_mrfp_channel(const Settings& settings) {
  rpc::ChannelOptions options;
  options.server_name = settings.mrfp.server_name;
  return rpc::open_tls_channel(
      settings.mrfp.target,
      {settings.mrfp.ca, settings.mrfp.certificate, settings.mrfp.private_key}, options);
}

Result<std::unique_ptr<replay::ReplayWindow>> open_replay_window(const Settings& settings,
                                                                 const Clock& clock,
                                                                 service::Log& log) {
  auto window =
      TRY(replay::ReplayWindow::open(settings.replay_file, clock, settings.replay_options()));
  if (window->memory() == replay::Memory::lost) {
    log.warning("the replay window was lost: offers are refused until their time is newer",
                {{"because", window->lost_because()}});
  }
  return window;
}

Result<std::unique_ptr<rpc::Server>> listen(const Settings& settings, grpc::Service& service) {
  rpc::ServerTls tls;
  tls.certificate = settings.certificate;
  tls.private_key = settings.private_key;
  tls.ca = settings.client_ca;
  tls.client_certificate = rpc::ClientCertificate::required;
  auto credentials = TRY(rpc::server_credentials(tls));
  rpc::ServerOptions options;
  options.listeners.push_back({kListener, settings.listen, std::move(credentials)});
  options.services.push_back(&service);
  options.max_message_octets = kMaxRequestOctets;
  return rpc::Server::start(options);
}

// What exists, in the order in which it is needed; each is destroyed before what it uses.
Result<void> serve(const RunOptions& options, const Settings& settings) {
  TRY(service::harden_process());
  service::raise_descriptor_limit();
  const auto signals = TRY(service::Signals::create());
  // gRPC's log sink lives for ever.
  static service::Log log(kProgram, settings.log_level);
  route_grpc_log(log);

  const SystemClock clock;
  OpenSslRandom random;
  service::Metrics metrics;
  const mikey::Environment env{clock, random};
  const auto kms = TRY(KmsGateway::open(settings, env));
  MediaControlOptions media_options;
  media_options.timeout = settings.mrfp.timeout;
  media_options.local_ip = settings.mrfp_local_ip;
  auto mrfp_channel = TRY(open_mrfp_channel(settings));
  MediaControlClient media(std::move(mrfp_channel), media_options, log);
  std::optional<mikey::TicketProtection> tpk;
  if (settings.policy.key_source == KeySource::self_issued) {
    tpk = TRY(settings.ticket_protection());
  }
  const auto replay = TRY(open_replay_window(settings, clock, log));

  const ByteVector instance_id = TRY(random.bytes(kInstanceIdOctets));
  EventHistory events(to_hex(instance_id), clock, settings.events);
  SessionStore sessions(events, settings.max_sessions);
  StreamReleases releases(media);
  SessionController controller(
      {env, settings.policy, *kms, media, *replay, sessions, releases, tpk ? &*tpk : nullptr});
  WorkPool pool(settings.workers, settings.queue);
  const rpc::Guard guard(session_control_rules(settings.client_names));
  SessionControlService service(controller, events, pool, guard, clock, log, metrics);

  media.watch(controller);
  std::optional<RevocationClient> revocations;
  if (settings.watch_revocations) {
    revocations.emplace(kms->connection(), clock, random, controller, log, metrics);
  }
  const auto server = TRY(listen(settings, service));
  service.serve_streams(server->drain());

  std::vector<service::Endpoint> endpoints{{kListener, server->address(kListener)}};
  if (settings.metrics_address) {
    const std::string address = TRY(metrics.expose(*settings.metrics_address));
    endpoints.push_back({"metrics", address});
  }
  for (const service::Endpoint& endpoint : endpoints) {
    log.info("listening", {{"name", endpoint.name}, {"address", endpoint.address}});
  }
  TRY(service::announce_ready(options.ready_file, endpoints));
  signals->wait_for_stop();
  log.info("stopping");
  service::announce_stopping(options.ready_file);
  server->stop(settings.drain_time, settings.cancel_after);
  pool.stop();
  revocations.reset();
  controller.release_all();
  media.stop();
  return {};
}

int run(const RunOptions& options) {
  auto config = service::Config::load(options.config);
  if (!config) return service::report(kProgram, config.error());
  const auto settings = read_settings(*config, std::filesystem::path(options.config).parent_path());
  if (!settings) return service::report(kProgram, settings.error());
  if (options.dump_config) {
    std::fputs(config->dump().c_str(), stdout);
    return service::kExitOk;
  }
  if (options.check_config) return service::kExitOk;
  const auto served = serve(options, *settings);
  return served ? service::kExitOk : service::report(kProgram, served.error());
}

Result<Settings> load_settings(const std::string& file) {
  auto config = TRY(service::Config::load(file));
  return read_settings(config, std::filesystem::path(file).parent_path());
}

Result<void> init(const std::string& config_file) {
  const Settings settings = TRY(load_settings(config_file));
  return replay::ReplayWindow::create(settings.replay_file, settings.replay_options());
}

// Where a listener on all addresses can be reached from here.
std::string local_target(const std::string& listen) {
  for (const auto& [any, loopback] :
       {std::pair<std::string_view, std::string_view>{"0.0.0.0:", "127.0.0.1:"},
        {"[::]:", "[::1]:"}}) {
    if (listen.starts_with(any)) return std::string(loopback) + listen.substr(any.size());
  }
  return listen;
}

Result<void> check_health(const std::string& config_file) {
  const Settings settings = TRY(load_settings(config_file));
  rpc::ChannelOptions options;
  options.server_name = settings.server_name;
  // Our own certificate proves us to ourselves: the listener requires one.
  const rpc::ChannelTls tls{settings.client_ca, settings.certificate, settings.private_key};
  const auto channel = TRY(rpc::open_tls_channel(local_target(settings.listen), tls, options));
  return rpc::check_health(channel, kHealthTimeout);
}

int report(const Result<void>& done) {
  return done ? service::kExitOk : service::report(kProgram, done.error());
}

}  // namespace
}  // namespace keystub::mrfc

int main(int argc, char** argv) {
  using namespace keystub;
  service::CommandLine command_line(
      mrfc::kProgram, "The media resource function controller: media security for its sessions.",
      service::exit_code_table());

  std::string init_config;
  command_line.top()
      .verb("init", "Makes the replay window of a new MRFC; overwrites nothing.")
      .required_option("--config", init_config, "the configuration file")
      .action([&] { return mrfc::report(mrfc::init(init_config)); });

  mrfc::RunOptions run_options;
  command_line.top()
      .verb("run", "Runs the MRFC until SIGTERM or SIGINT.")
      .required_option("--config", run_options.config, "the configuration file")
      .option("--ready-file", run_options.ready_file, "written with the addresses, once ready")
      .flag("--check-config", run_options.check_config, "checks the configuration and ends")
      .flag("--dump-config", run_options.dump_config, "prints the effective configuration")
      .action([&] { return mrfc::run(run_options); });

  std::string health_config;
  command_line.top()
      .verb("healthcheck", "Asks a running MRFC whether it serves.")
      .required_option("--config", health_config, "the configuration file")
      .action([&] { return mrfc::report(mrfc::check_health(health_config)); });
  return command_line.run(argc, argv);
}
