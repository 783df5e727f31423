#include "mrfp-agent/media_control_service.h"

#include <mutex>

#include "rpc/call.h"
#include "rpc/status.h"

namespace keystub::mrfp {

namespace {

constexpr const char* kReserve = "/keystub.v1.MediaControl/Reserve";
constexpr const char* kConfigure = "/keystub.v1.MediaControl/Configure";
constexpr const char* kStart = "/keystub.v1.MediaControl/Start";
constexpr const char* kModify = "/keystub.v1.MediaControl/Modify";
constexpr const char* kRelease = "/keystub.v1.MediaControl/Release";
constexpr const char* kList = "/keystub.v1.MediaControl/List";
constexpr const char* kWatchEvents = "/keystub.v1.MediaControl/WatchEvents";

// gRPC hands its request out as const, but the keys in it must not stay behind: what is behind the
// reference is gRPC's own mutable message, which nobody reads after this.
template <class Request>
std::vector<tlspsk::Candidate> take_keys(const Request& request) {
  std::vector<tlspsk::Candidate> candidates;
  for (v1::PskCandidate& key : *const_cast<Request&>(request).mutable_keys()) {
    candidates.push_back({key.identity(), Psk::take(*key.mutable_psk()), key.dialog_id()});
  }
  return candidates;
}

Result<TcpRole> tcp_role_of(v1::TcpRole role) {
  switch (role) {
    case v1::TCP_ROLE_CLIENT: return TcpRole::client;
    case v1::TCP_ROLE_SERVER: return TcpRole::server;
    default: return fail(Category::malformed, "tcp_role must be client or server");
  }
}

Result<tlspsk::Role> tls_role_of(v1::TlsRole role) {
  switch (role) {
    case v1::TLS_ROLE_CLIENT: return tlspsk::Role::client;
    case v1::TLS_ROLE_SERVER: return tlspsk::Role::server;
    default: return fail(Category::malformed, "tls_role must be client or server");
  }
}

Result<std::optional<SocketAddress>> address_of(const v1::Address& address) {
  if (address.ip().empty()) return std::nullopt;
  if (address.port() > 65535) {
    return fail(Category::malformed,
                "the port " + std::to_string(address.port()) + " is larger than 65535");
  }
  SocketAddress parsed{address.ip(), static_cast<std::uint16_t>(address.port())};
  TRY(to_system(parsed));
  return parsed;
}

// Keys are taken out of `request` even if something else in it is wrong.
Result<ConfigureRequest> read_configure(const v1::ConfigureRequest& request) {
  ConfigureRequest read;
  read.keys = take_keys(request);
  read.tcp_role = TRY(tcp_role_of(request.tcp_role()));
  read.tls_role = TRY(tls_role_of(request.tls_role()));
  read.remote = TRY(address_of(request.remote()));
  read.cipher_suites.assign(request.cipher_suites().begin(), request.cipher_suites().end());
  read.msrp_local_path = request.msrp().local_path();
  read.msrp_remote_path = request.msrp().remote_path();
  return read;
}

void set_address(v1::Address& out, const SocketAddress& address) {
  out.set_ip(address.ip);
  out.set_port(address.port);
}

void set_session(v1::Established& out, const tlspsk::SessionInfo& session) {
  out.set_tls_version(session.tls_version);
  out.set_cipher_suite(session.cipher_suite);
  out.set_psk_identity(session.psk_identity);
  out.set_dialog_id(session.dialog_id);
}

v1::StreamState state_of(StreamState state) {
  switch (state) {
    case StreamState::reserved: return v1::STREAM_STATE_RESERVED;
    case StreamState::configured: return v1::STREAM_STATE_CONFIGURED;
    case StreamState::connecting: return v1::STREAM_STATE_CONNECTING;
    case StreamState::established: return v1::STREAM_STATE_ESTABLISHED;
  }
  return v1::STREAM_STATE_UNSPECIFIED;
}

void set_status(v1::StreamStatus& out, const StreamStatus& status) {
  out.set_context_id(status.name.context_id);
  out.set_stream_id(status.name.stream_id);
  out.set_trace_id(status.name.trace_id);
  out.set_transport(v1::TRANSPORT_TCP_TLS_MSRP);
  out.set_state(state_of(status.state));
  set_address(*out.mutable_local(), status.local);
  if (status.remote) set_address(*out.mutable_remote(), *status.remote);
  if (status.session) set_session(*out.mutable_session(), *status.session);
}

struct WhatWriter {
  v1::MediaEvent& out;
  void operator()(const tlspsk::SessionInfo& session) const {
    set_session(*out.mutable_established(), session);
  }
  void operator()(const TcpFailed& failed) const {
    out.mutable_tcp_failure()->set_reason(failed.reason);
    out.mutable_tcp_failure()->set_final(failed.final);
  }
  void operator()(const TlsFailed& failed) const {
    out.mutable_tls_failure()->set_reason(failed.reason);
    out.mutable_tls_failure()->set_final(failed.final);
  }
  void operator()(const Released& released) const {
    out.mutable_released()->set_reason(released.reason);
    out.mutable_released()->set_octets_received(released.octets_received);
    out.mutable_released()->set_octets_sent(released.octets_sent);
  }
};

void set_event(v1::MediaEvent& out, const StreamEvent& event, const std::string& instance_id) {
  out.Clear();
  out.set_instance_id(instance_id);
  out.set_sequence(event.sequence);
  const auto since = event.time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  out.mutable_time()->set_seconds(seconds.count());
  out.mutable_time()->set_nanos(static_cast<std::int32_t>((since - seconds).count()));
  out.set_context_id(event.context_id);
  out.set_stream_id(event.stream_id);
  out.set_trace_id(event.trace_id);
  std::visit(WhatWriter{out}, event.what);
}

// A unary call whose answer comes from the loop. Cancelled or not, it is finished there.
class LoopCall final : public grpc::ServerUnaryReactor {
 public:
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

// One watcher: writes the events one by one, at the pace at which the client reads. Both gRPC and
// the callbacks that may be under way hold it.
class Watch final : public grpc::ServerWriteReactor<v1::MediaEvent>,
                    public std::enable_shared_from_this<Watch> {
 public:
  Watch(EventLog& events, std::uint64_t next) : events_(events), next_(next) {}

  void begin(rpc::Drain& drain) {
    self_ = shared_from_this();
    // Tells the client that it misses nothing from here on.
    StartSendInitialMetadata();
    subscription_ = events_.watch([watch = shared_from_this()] { watch->write_next(); });
    drain_ticket_ = drain.join([watch = shared_from_this()] {
      watch->end({grpc::StatusCode::UNAVAILABLE, "the MRFP stops"});
    });
    write_next();
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok && !end_) end_ = grpc::Status::CANCELLED;
    }
    finish_if_ended();
    write_next();
  }
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override {
    drain_ticket_.leave();
    subscription_.reset();
    self_.reset();
  }

 private:
  // gRPC is never called with the lock held: its callbacks may run inside the call.
  void write_next() {
    {
      const std::lock_guard lock(mutex_);
      if (writing_ || end_) return;
      const auto event = events_.at(next_);
      if (event && !*event) return;
      if (event) {
        set_event(message_, **event, events_.instance_id());
        ++next_;
        writing_ = true;
      } else {
        end_ = rpc::to_status(event.error());
      }
    }
    if (!finish_if_ended()) StartWrite(&message_);
  }

  void end(grpc::Status status) {
    {
      const std::lock_guard lock(mutex_);
      if (!end_) end_ = std::move(status);
    }
    finish_if_ended();
  }

  // True if the call is over, or will be once the write under way is done.
  bool finish_if_ended() {
    {
      const std::lock_guard lock(mutex_);
      if (!end_) return false;
      if (writing_ || finished_) return true;
      finished_ = true;
    }
    Finish(*end_);
    return true;
  }

  EventLog& events_;
  std::shared_ptr<Watch> self_;
  EventLog::Subscription subscription_;
  rpc::Drain::Ticket drain_ticket_;
  std::mutex mutex_;
  std::uint64_t next_;
  v1::MediaEvent message_;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> end_;
};

class RefusedWatch final : public grpc::ServerWriteReactor<v1::MediaEvent> {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

}  // namespace

std::vector<rpc::MethodRule> media_control_rules(const std::vector<std::string>& names) {
  std::vector<rpc::MethodRule> rules;
  for (const char* method :
       {kReserve, kConfigure, kStart, kModify, kRelease, kList, kWatchEvents}) {
    rules.push_back({method, rpc::CallerKind::certificate, names});
  }
  return rules;
}

Result<void> MediaControlService::admit(const grpc::CallbackServerContext& context,
                                        const char* method) const {
  TRY(guard_.admit(context, method));
  const rpc::Drain* drain = drain_;
  if (drain == nullptr || drain->draining()) {
    return fail(Category::unavailable, "the MRFP stops: ask another one");
  }
  return {};
}

grpc::Status MediaControlService::refuse(std::string_view method, const std::string& trace_id,
                                         const Error& error) {
  log_.warning("request refused", {{"trace_id", trace_id},
                                   {"method", method},
                                   {"category", category_name(error.category())},
                                   {"reason", error.describe()}});
  return rpc::to_status(error);
}

template <class Work>
grpc::ServerUnaryReactor* MediaControlService::on_loop(grpc::CallbackServerContext* context,
                                                       const char* method,
                                                       const std::string& trace_id, Work work) {
  auto* const call = new LoopCall;
  std::string trace = rpc::valid_trace_id(trace_id) ? trace_id : rpc::trace_id_of(*context);
  if (const auto admitted = admit(*context, method); !admitted) {
    call->Finish(refuse(method, trace, admitted.error()));
    return call;
  }
  plane_.loop().post(
      [this, call, method, trace = std::move(trace), work = std::move(work)]() mutable {
        const Result<void> done = work(trace);
        call->Finish(done ? grpc::Status::OK : refuse(method, trace, done.error()));
      });
  return call;
}

grpc::ServerUnaryReactor* MediaControlService::Reserve(grpc::CallbackServerContext* context,
                                                       const v1::ReserveRequest* request,
                                                       v1::ReserveResponse* response) {
  if (request->transport() == v1::TRANSPORT_TCP_TLS_BFCP && admit(*context, kReserve)) {
    auto* const call = new LoopCall;
    call->Finish({grpc::StatusCode::UNIMPLEMENTED, "this MRFP does not serve TCP/TLS/BFCP yet"});
    return call;
  }
  return on_loop(context, kReserve, request->trace_id(),
                 [this, request, response](const std::string& trace_id) -> Result<void> {
                   if (request->transport() != v1::TRANSPORT_TCP_TLS_MSRP) {
                     return fail(Category::malformed, "transport must be TCP/TLS/MSRP");
                   }
                   const ReservedStream reserved =
                       TRY(plane_.reserve({request->context_id(), request->local_ip(), trace_id}));
                   response->set_context_id(reserved.context_id);
                   response->set_stream_id(reserved.stream_id);
                   set_address(*response->mutable_local(), reserved.local);
                   response->mutable_msrp()->set_local_path(reserved.msrp_path);
                   return {};
                 });
}

grpc::ServerUnaryReactor* MediaControlService::Configure(grpc::CallbackServerContext* context,
                                                         const v1::ConfigureRequest* request,
                                                         v1::ConfigureResponse*) {
  return on_loop(
      context, kConfigure, request->trace_id(),
      [this, request, read = read_configure(*request)](const std::string&) mutable -> Result<void> {
        return plane_.configure(request->context_id(), request->stream_id(), TRY(std::move(read)));
      });
}

grpc::ServerUnaryReactor* MediaControlService::Start(grpc::CallbackServerContext* context,
                                                     const v1::StartRequest* request,
                                                     v1::StartResponse*) {
  return on_loop(context, kStart, request->trace_id(),
                 [this, request](const std::string&) -> Result<void> {
                   return plane_.start(request->context_id(), request->stream_id(), request->tcp(),
                                       request->tls());
                 });
}

grpc::ServerUnaryReactor* MediaControlService::Modify(grpc::CallbackServerContext* context,
                                                      const v1::ModifyRequest* request,
                                                      v1::ModifyResponse*) {
  return on_loop(
      context, kModify, request->trace_id(),
      [this, request, keys = take_keys(*request)](const std::string&) mutable -> Result<void> {
        return plane_.modify(
            request->context_id(), request->stream_id(),
            {std::move(keys), request->msrp().local_path(), request->msrp().remote_path()});
      });
}

grpc::ServerUnaryReactor* MediaControlService::Release(grpc::CallbackServerContext* context,
                                                       const v1::ReleaseRequest* request,
                                                       v1::ReleaseResponse*) {
  return on_loop(context, kRelease, request->trace_id(),
                 [this, request](const std::string&) -> Result<void> {
                   return plane_.release(request->context_id(), request->stream_id());
                 });
}

grpc::ServerUnaryReactor* MediaControlService::List(grpc::CallbackServerContext* context,
                                                    const v1::ListRequest*,
                                                    v1::ListResponse* response) {
  return on_loop(context, kList, {}, [this, response](const std::string&) -> Result<void> {
    // On the loop, where events are made: the list and the sequence belong together.
    response->set_instance_id(plane_.events().instance_id());
    response->set_sequence(plane_.events().last_sequence());
    for (const StreamStatus& status : plane_.list()) {
      set_status(*response->add_streams(), status);
    }
    return {};
  });
}

grpc::ServerWriteReactor<v1::MediaEvent>* MediaControlService::WatchEvents(
    grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) {
  if (const auto admitted = admit(*context, kWatchEvents); !admitted) {
    return new RefusedWatch(refuse(kWatchEvents, rpc::trace_id_of(*context), admitted.error()));
  }
  EventLog& events = plane_.events();
  const std::uint64_t first =
      request->from_sequence() != 0 ? request->from_sequence() : events.last_sequence() + 1;
  const auto watch = std::make_shared<Watch>(events, first);
  watch->begin(*drain_);
  return watch.get();
}

}  // namespace keystub::mrfp
