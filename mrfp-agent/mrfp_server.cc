#include "mrfp-agent/mrfp_server.h"

#include <chrono>
#include <thread>

#include "mrfp-agent/media_control_service.h"
#include "mrfp-agent/media_plane.h"
#include "rpc/credentials.h"
#include "rpc/guard.h"
#include "rpc/server.h"

namespace keystub::mrfp {

namespace {

constexpr const char* kControl = "control";
constexpr std::size_t kInstanceIdOctets = 16;
constexpr std::chrono::milliseconds kGoodbyeStep{50};

}  // namespace

struct MrfpServer::Impl {
  Impl(const AgentSettings& given, const MrfpParts& parts, std::string instance_id)
      : settings(given),
        events(std::move(instance_id), given.media.event_history, parts.clock),
        guard(media_control_rules(given.client_names)) {}

  // In the order of dependence; what stands above outlives what stands below.
  const AgentSettings settings;
  EventLog events;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<MediaPlane> plane;
  rpc::Guard guard;
  std::unique_ptr<MediaControlService> service;
  std::unique_ptr<rpc::Server> server;
  std::thread thread;
  bool stopped = false;
};

MrfpServer::MrfpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MrfpServer::~MrfpServer() { stop(); }

Result<std::unique_ptr<MrfpServer>> MrfpServer::start(const AgentSettings& settings,
                                                      const MrfpParts& parts) {
  const std::string instance_id = to_hex(TRY(parts.random.bytes(kInstanceIdOctets)));
  std::unique_ptr<MrfpServer> server(
      new MrfpServer(std::make_unique<Impl>(settings, parts, instance_id)));
  Impl& impl = *server->impl_;
  impl.loop = TRY(EventLoop::create(parts.clock));
  impl.plane = TRY(
      MediaPlane::create(*impl.loop, parts.random, parts.log, impl.events, settings.media,
                         parts.metrics != nullptr ? MediaMetrics(*parts.metrics) : MediaMetrics()));
  impl.service = std::make_unique<MediaControlService>(*impl.plane, impl.guard, parts.log);

  rpc::ServerOptions options;
  auto tls = TRY(rpc::server_credentials({settings.certificate, settings.private_key,
                                          settings.client_ca, rpc::ClientCertificate::required}));
  options.listeners.push_back({kControl, settings.control_address, std::move(tls)});
  options.services.push_back(impl.service.get());
  impl.thread = std::thread([&loop = *impl.loop] { loop.run(); });
  impl.server = TRY(rpc::Server::start(options));
  impl.service->set_drain(impl.server->drain());
  parts.log.info("MRFP serves", {{"instance", instance_id},
                                 {"control", impl.server->address(kControl)},
                                 {"media", settings.media.ip}});
  return server;
}

std::vector<service::Endpoint> MrfpServer::endpoints() const {
  return {{kControl, impl_->server->address(kControl)}};
}

void MrfpServer::stop() {
  Impl& impl = *impl_;
  if (std::exchange(impl.stopped, true)) return;
  if (impl.server) impl.server->stop(impl.settings.drain_time, impl.settings.cancel_after);
  if (!impl.thread.joinable()) return;
  impl.loop->stop();
  impl.thread.join();
  // From here on the loop is ours: the streams end, and their sockets say goodbye.
  impl.plane->release_all("the MRFP stops");
  const auto latest = std::chrono::steady_clock::now() + TcpConnection::kRetireTime;
  while (impl.loop->kept() != 0 && std::chrono::steady_clock::now() < latest) {
    impl.loop->run_once(kGoodbyeStep);
  }
  impl.plane.reset();
}

}  // namespace keystub::mrfp
