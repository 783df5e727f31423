// mrfp-agent: the media plane as a daemon. Verbs: run, healthcheck.
#include <sys/resource.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "mrfp-agent/agent_settings.h"
#include "mrfp-agent/mrfp_server.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/library.h"
#include "service/command_line.h"
#include "service/config.h"
#include "service/lifecycle.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::mrfp {
namespace {

constexpr const char* kProgram = "mrfp-agent";
constexpr std::chrono::seconds kHealthTimeout{3};
constexpr std::size_t kDescriptorsPerStream = 2;
constexpr std::size_t kOtherDescriptors = 128;

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

// Each stream is a port and a connection: as many descriptors as the system lets us have.
void raise_descriptor_limit(std::size_t streams, service::Log& log) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  const std::size_t wanted = kDescriptorsPerStream * streams + kOtherDescriptors;
  if (limit.rlim_cur < wanted) {
    log.warning("too few file descriptors for limits.streams",
                {{"allowed", limit.rlim_cur}, {"wanted", wanted}});
  }
}

Result<void> serve(const RunOptions& options, const AgentSettings& settings) {
  TRY(service::harden_process());
  service::raise_descriptor_limit();
  const auto signals = TRY(service::Signals::create());
  // gRPC's log sink lives for ever.
  static service::Log log(kProgram, settings.log_level);
  route_grpc_log(log);
  raise_descriptor_limit(settings.media.max_streams, log);

  const SystemClock clock;
  OpenSslRandom random;
  service::Metrics metrics;
  const auto server = TRY(MrfpServer::start(settings, {clock, random, log, &metrics}));

  std::vector<service::Endpoint> endpoints = server->endpoints();
  if (settings.metrics_address) {
    const std::string address = TRY(metrics.expose(*settings.metrics_address));
    endpoints.push_back({"metrics", address});
  }
  TRY(service::announce_ready(options.ready_file, endpoints));
  signals->wait_for_stop();
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
  const auto served = serve(options, *settings);
  return served ? service::kExitOk : service::report(kProgram, served.error());
}

// Our own certificate proves us to ourselves: it must also be good for a client.
Result<void> check_health(const std::string& config_file) {
  auto config = TRY(service::Config::load(config_file));
  const AgentSettings settings = TRY(read_settings(config));
  const auto channel = TRY(rpc::open_tls_channel(
      settings.control_address, {settings.client_ca, settings.certificate, settings.private_key}));
  return rpc::check_health(channel, kHealthTimeout);
}

}  // namespace
}  // namespace keystub::mrfp

int main(int argc, char** argv) {
  using namespace keystub;
  service::CommandLine command_line(
      mrfp::kProgram, "The media plane: TLS-PSK streams with MSRP, under an MRFC's control.",
      service::exit_code_table());

  mrfp::RunOptions options;
  command_line.top()
      .verb("run", "Runs the MRFP until SIGTERM or SIGINT.")
      .required_option("--config", options.config, "the configuration file")
      .option("--ready-file", options.ready_file, "written with the addresses, once ready")
      .flag("--check-config", options.check_config, "checks the configuration and ends")
      .flag("--dump-config", options.dump_config, "prints the effective configuration")
      .action([&] { return mrfp::run(options); });

  std::string health_config;
  command_line.top()
      .verb("healthcheck", "Asks a running MRFP whether it serves.")
      .required_option("--config", health_config, "the configuration file")
      .action([&] {
        const auto healthy = mrfp::check_health(health_config);
        return healthy ? service::kExitOk : service::report(mrfp::kProgram, healthy.error());
      });
  return command_line.run(argc, argv);
}
