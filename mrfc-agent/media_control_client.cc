#include "mrfc-agent/media_control_client.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <grpcpp/channel.h>

#include "keystub/v1/media_control.grpc.pb.h"
#include "rpc/call.h"
#include "rpc/status.h"

namespace keystub::mrfc {
namespace {

namespace v1 = keystub::v1;

// A verdict of the MRFP on what we asked for, as this room sees it.
std::unexpected<Error> refused(const grpc::Status& status, std::string_view what,
                               bool not_found_is_the_request = false) {
  Error error = rpc::to_error(status, fmt::format("MRFP, {}", what));
  switch (error.category()) {
    case Category::unavailable:
    case Category::busy: return std::unexpected(std::move(error));
    case Category::not_found:
      if (not_found_is_the_request) return std::unexpected(std::move(error));
      break;
    default: break;
  }
  return fail(Category::internal, error.text());
}

v1::TcpRole tcp_role(StreamRoles roles) {
  return roles.tcp_client ? v1::TCP_ROLE_CLIENT : v1::TCP_ROLE_SERVER;
}
v1::TlsRole tls_role(StreamRoles roles) {
  return roles.tls_client ? v1::TLS_ROLE_CLIENT : v1::TLS_ROLE_SERVER;
}

// Keys on their way into a request; the copies in the request are wiped when it was sent.
template <class Request>
class KeysInRequest {
 public:
  KeysInRequest(Request& request, const std::vector<PskCandidate>& keys) : request_(request) {
    for (const PskCandidate& key : keys) {
      v1::PskCandidate& out = *request.add_keys();
      out.set_identity(key.identity);
      const Bytes octets = key.psk.reveal();
      out.set_psk(octets.data(), octets.size());
      out.set_dialog_id(key.dialog_id);
    }
  }
  KeysInRequest(const KeysInRequest&) = delete;
  KeysInRequest& operator=(const KeysInRequest&) = delete;
  ~KeysInRequest() {
    for (v1::PskCandidate& key : *request_.mutable_keys()) wipe(*key.mutable_psk());
  }

 private:
  Request& request_;
};

StreamKey key_of(const v1::MediaEvent& event) { return {event.context_id(), event.stream_id()}; }

std::string describe(const v1::Established& established) {
  return fmt::format("{} {}", established.tls_version(), established.cipher_suite());
}

}  // namespace

struct MediaControlClient::Impl {
  Impl(std::shared_ptr<grpc::Channel> channel, MediaControlOptions with, service::Log& log_to)
      : stub(v1::MediaControl::NewStub(std::move(channel))),
        options(std::move(with)),
        log(log_to) {}

  template <class Request, class Response, class Method>
  grpc::Status call(Method method, Request& request, Response& response,
                    const std::string& trace_id) {
    request.set_trace_id(trace_id);
    grpc::ClientContext context;
    rpc::prepare(context, options.timeout, trace_id);
    const rpc::AttachedCall attached(cancellation, context);
    return (stub.get()->*method)(&context, request, &response);
  }

  void run();
  // Lists what the MRFP has; where events may have been missed, tells the handler what that means.
  bool synchronise();
  // Reads events until the stream ends.
  grpc::Status follow();
  void report(const v1::MediaEvent& event);

  const std::unique_ptr<v1::MediaControl::Stub> stub;
  const MediaControlOptions options;
  service::Log& log;
  const rpc::Cancellation cancellation;
  MediaEventHandler* handler = nullptr;
  std::thread watcher;
  std::atomic<bool> watching = false;
  // Of the watcher's thread: whose events were read last, and which comes next.
  std::string instance_id;
  std::uint64_t next_sequence = 0;
};

MediaControlClient::MediaControlClient(std::shared_ptr<grpc::Channel> channel,
                                       MediaControlOptions options, service::Log& log)
    : impl_(std::make_unique<Impl>(std::move(channel), std::move(options), log)) {}

MediaControlClient::~MediaControlClient() { stop(); }

Result<ReservedStream> MediaControlClient::reserve_msrp(const std::string& context_id,
                                                        const std::string& trace_id) {
  v1::ReserveRequest request;
  request.set_context_id(context_id);
  request.set_transport(v1::TRANSPORT_TCP_TLS_MSRP);
  request.set_local_ip(impl_->options.local_ip);
  v1::ReserveResponse response;
  const grpc::Status status =
      impl_->call(&v1::MediaControl::Stub::Reserve, request, response, trace_id);
  if (!status.ok()) return refused(status, "Reserve", !context_id.empty());
  if (response.stream_id().empty() || response.local().port() == 0 ||
      response.local().port() > 65535 || response.msrp().local_path().empty()) {
    return fail(Category::internal, "MRFP, Reserve: the answer lacks stream, port or MSRP path");
  }
  return ReservedStream{
      {response.context_id(), response.stream_id()},
      {response.local().ip(), static_cast<std::uint16_t>(response.local().port())},
      response.msrp().local_path()};
}

Result<void> MediaControlClient::configure(const StreamKey& stream,
                                           const StreamConfiguration& configuration,
                                           const std::string& trace_id) {
  v1::ConfigureRequest request;
  request.set_context_id(stream.context_id);
  request.set_stream_id(stream.stream_id);
  if (!configuration.remote.ip.empty()) {
    request.mutable_remote()->set_ip(configuration.remote.ip);
    request.mutable_remote()->set_port(configuration.remote.port);
  }
  request.set_tcp_role(tcp_role(configuration.roles));
  request.set_tls_role(tls_role(configuration.roles));
  const KeysInRequest keys(request, configuration.keys);
  for (const std::string& suite : configuration.cipher_suites) request.add_cipher_suites(suite);
  request.mutable_msrp()->set_remote_path(configuration.remote_msrp_path);
  v1::ConfigureResponse response;
  const grpc::Status status =
      impl_->call(&v1::MediaControl::Stub::Configure, request, response, trace_id);
  if (!status.ok()) return refused(status, "Configure");
  return {};
}

Result<void> MediaControlClient::start(const StreamKey& stream, StreamRoles roles,
                                       const std::string& trace_id) {
  v1::StartRequest request;
  request.set_context_id(stream.context_id);
  request.set_stream_id(stream.stream_id);
  request.set_tcp(roles.tcp_client);
  request.set_tls(roles.tls_client);
  v1::StartResponse response;
  const grpc::Status status =
      impl_->call(&v1::MediaControl::Stub::Start, request, response, trace_id);
  if (!status.ok()) return refused(status, "Start");
  return {};
}

Result<void> MediaControlClient::modify(const StreamKey& stream,
                                        const std::vector<PskCandidate>& candidates,
                                        const std::string& remote_msrp_path,
                                        const std::string& trace_id) {
  v1::ModifyRequest request;
  request.set_context_id(stream.context_id);
  request.set_stream_id(stream.stream_id);
  const KeysInRequest keys(request, candidates);
  if (!remote_msrp_path.empty()) request.mutable_msrp()->set_remote_path(remote_msrp_path);
  v1::ModifyResponse response;
  const grpc::Status status =
      impl_->call(&v1::MediaControl::Stub::Modify, request, response, trace_id);
  if (!status.ok()) return refused(status, "Modify");
  return {};
}

Result<void> MediaControlClient::release(const StreamKey& stream, const std::string& trace_id) {
  v1::ReleaseRequest request;
  request.set_context_id(stream.context_id);
  request.set_stream_id(stream.stream_id);
  v1::ReleaseResponse response;
  const grpc::Status status =
      impl_->call(&v1::MediaControl::Stub::Release, request, response, trace_id);
  if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return {};
  impl_->log.warning("a stream could not be released", {{"context_id", stream.context_id},
                                                        {"stream_id", stream.stream_id},
                                                        {"reason", status.error_message()},
                                                        {"trace_id", trace_id}});
  return refused(status, "Release");
}

void MediaControlClient::watch(MediaEventHandler& handler) {
  impl_->handler = &handler;
  impl_->watcher = std::thread([this] { impl_->run(); });
}

void MediaControlClient::stop() {
  impl_->cancellation.cancel();
  if (impl_->watcher.joinable()) impl_->watcher.join();
}

bool MediaControlClient::watching() const noexcept { return impl_->watching; }

void MediaControlClient::Impl::run() {
  bool told = false;  // of this outage
  for (;;) {
    grpc::Status ended;
    if (synchronise()) {
      if (told) log.info("events of the MRFP arrive again", {{"instance_id", instance_id}});
      told = false;
      watching = true;
      ended = follow();
      watching = false;
      // The events that were wanted are gone: what they said has to be found out anew.
      if (ended.error_code() == grpc::StatusCode::OUT_OF_RANGE) instance_id.clear();
    }
    if (cancellation.cancelled()) return;
    if (!told) {
      log.warning("the MRFP's events cannot be watched, trying again",
                  {{"reason", ended.error_message()}});
      told = true;
    }
    if (cancellation.wait_for(options.reconnect_after)) return;
  }
}

bool MediaControlClient::Impl::synchronise() {
  // Asked for first: a stream that is reserved after the list was made is not in it.
  const std::vector<StreamKey> expected = handler->expected_streams();
  grpc::ClientContext context;
  rpc::prepare(context, options.timeout);
  const rpc::AttachedCall attached(cancellation, context);
  v1::ListResponse list;
  if (!stub->List(&context, v1::ListRequest(), &list).ok()) return false;

  // The same run of the MRFP: its history has everything since the event that was read last.
  const bool continues = !instance_id.empty() && list.instance_id() == instance_id;
  if (!continues) {
    instance_id = list.instance_id();
    next_sequence = list.sequence() + 1;
    std::set<StreamKey> present;
    for (const v1::StreamStatus& stream : list.streams()) {
      StreamKey key{stream.context_id(), stream.stream_id()};
      if (stream.state() == v1::STREAM_STATE_ESTABLISHED) {
        handler->on_media_event({MediaEvent::Kind::established, key, describe(stream.session())});
      }
      present.insert(std::move(key));
    }
    std::vector<StreamKey> lost;
    std::ranges::copy_if(expected, std::back_inserter(lost),
                         [&](const StreamKey& key) { return !present.contains(key); });
    if (!lost.empty()) handler->on_streams_lost(lost);
  }
  handler->on_gateway_back();
  return true;
}

grpc::Status MediaControlClient::Impl::follow() {
  grpc::ClientContext context;
  const rpc::AttachedCall attached(cancellation, context);
  v1::WatchEventsRequest request;
  request.set_from_sequence(next_sequence);
  const auto reader = stub->WatchEvents(&context, request);
  v1::MediaEvent event;
  while (reader->Read(&event)) {
    if (event.instance_id() != instance_id) {
      // Another run answers at this address.
      instance_id.clear();
      context.TryCancel();
      break;
    }
    next_sequence = event.sequence() + 1;
    report(event);
  }
  return reader->Finish();
}

void MediaControlClient::Impl::report(const v1::MediaEvent& event) {
  const StreamKey key = key_of(event);
  const auto attempt_failed = [&](std::string_view what, const std::string& reason) {
    log.info("a connection to a stream failed, it waits for another",
             {{"kind", what},
              {"context_id", key.context_id},
              {"stream_id", key.stream_id},
              {"reason", reason},
              {"trace_id", event.trace_id()}});
  };
  switch (event.event_case()) {
    case v1::MediaEvent::kEstablished:
      handler->on_media_event({MediaEvent::Kind::established, key, describe(event.established())});
      return;
    case v1::MediaEvent::kTcpFailure:
      if (!event.tcp_failure().final()) return attempt_failed("TCP", event.tcp_failure().reason());
      handler->on_media_event({MediaEvent::Kind::tcp_failure, key, event.tcp_failure().reason()});
      return;
    case v1::MediaEvent::kTlsFailure:
      if (!event.tls_failure().final()) return attempt_failed("TLS", event.tls_failure().reason());
      handler->on_media_event({MediaEvent::Kind::tls_failure, key, event.tls_failure().reason()});
      return;
    case v1::MediaEvent::kReleased:
      handler->on_media_event({MediaEvent::Kind::released, key, event.released().reason()});
      return;
    case v1::MediaEvent::EVENT_NOT_SET: return;
  }
}

}  // namespace keystub::mrfc
