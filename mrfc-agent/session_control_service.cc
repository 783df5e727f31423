#include "mrfc-agent/session_control_service.h"

#include <google/protobuf/util/time_util.h>

#include "mrfc-agent/setup_refusal.h"
#include "rpc/call.h"
#include "rpc/status.h"

namespace keystub::mrfc {
namespace {

constexpr const char* kCreateOffer = "/keystub.v1.SessionControl/CreateOffer";
constexpr const char* kAcceptAnswer = "/keystub.v1.SessionControl/AcceptAnswer";
constexpr const char* kAcceptOffer = "/keystub.v1.SessionControl/AcceptOffer";
constexpr const char* kReleaseSession = "/keystub.v1.SessionControl/ReleaseSession";
constexpr const char* kListSessions = "/keystub.v1.SessionControl/ListSessions";
constexpr const char* kWatchSessionEvents = "/keystub.v1.SessionControl/WatchSessionEvents";

Parties parties_of(const v1::Parties& parties) {
  return {parties.served(), parties.asserted_peer(), parties.claimed_peer()};
}

v1::MediaState state_of(MediaState state) {
  switch (state) {
    case MediaState::offered: return v1::MEDIA_STATE_OFFERED;
    case MediaState::connecting: return v1::MEDIA_STATE_CONNECTING;
    case MediaState::established: return v1::MEDIA_STATE_ESTABLISHED;
    case MediaState::failed: return v1::MEDIA_STATE_FAILED;
    case MediaState::released: return v1::MEDIA_STATE_RELEASED;
    case MediaState::rejected: return v1::MEDIA_STATE_REJECTED;
  }
  return v1::MEDIA_STATE_UNSPECIFIED;
}

// A call without a trace id is traced by its session.
std::string_view trace_of(const std::string& trace_id, const std::string& session_id) {
  return trace_id.empty() ? session_id : trace_id;
}

void fill_media(const std::vector<MediaStatus>& media,
                google::protobuf::RepeatedPtrField<v1::MediaStatus>* out) {
  for (const MediaStatus& status : media) {
    v1::MediaStatus& added = *out->Add();
    added.set_index(status.index);
    added.set_kind(v1::MEDIA_KIND_MSRP);
    added.set_state(state_of(status.state));
    added.set_tcp_active(status.roles.tcp_client);
    added.set_tls_client(status.roles.tls_client);
  }
}

void fill_event(const EventHistory& history, const SessionEvent& event, v1::SessionEvent& out) {
  out.Clear();
  out.set_instance_id(history.instance_id());
  out.set_sequence(event.sequence);
  *out.mutable_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      event.time.time_since_epoch().count());
  out.set_session_id(event.session_id);
  out.set_dialog_id(event.dialog_id);
  out.set_media_index(event.media_index);
  out.set_state(state_of(event.state));
  out.set_detail(event.detail);
  out.set_trace_id(event.trace_id);
}

// One watcher. gRPC owns it until OnDone; a listener call that is under way then still holds it.
class Watch final : public grpc::ServerWriteReactor<v1::SessionEvent>,
                    public std::enable_shared_from_this<Watch> {
 public:
  Watch(EventHistory& events, std::string session_id, std::uint64_t next)
      : events_(events), session_id_(std::move(session_id)), next_(next) {}

  void begin(rpc::Drain& drain) {
    self_ = shared_from_this();
    // The client knows then that it misses nothing from here on.
    StartSendInitialMetadata();
    subscription_ = events_.subscribe([watch = shared_from_this()] { watch->pump(); });
    drain_ticket_ = drain.join([watch = shared_from_this()] {
      watch->finish({grpc::StatusCode::UNAVAILABLE, "the server stops"});
    });
    pump();
  }

  void OnWriteDone(bool ok) override {
    std::optional<grpc::Status> finish_now;
    {
      const std::scoped_lock lock(mutex_);
      writing_ = false;
      if (!ok && !finish_with_) finish_with_ = grpc::Status::CANCELLED;
      finish_now = take_finish();
    }
    if (finish_now) return Finish(*finish_now);
    pump();
  }
  void OnCancel() override { finish(grpc::Status::CANCELLED); }
  void OnDone() override {
    drain_ticket_.leave();
    subscription_.reset();
    self_.reset();
  }

 private:
  // Writes the next event, if there is one and no write is under way.
  void pump() {
    std::optional<grpc::Status> finish_now;
    {
      const std::scoped_lock lock(mutex_);
      if (writing_ || finish_with_) return;
      const Result<bool> found = next_event();
      if (found && !*found) return;
      if (found) {
        writing_ = true;
      } else {
        // It read too slowly: what comes next is no longer kept.
        finish_with_ = rpc::to_status(found.error());
        finish_now = take_finish();
      }
    }
    // Without the lock: what follows may run inside these calls.
    if (finish_now) return Finish(*finish_now);
    StartWrite(&message_);
  }
  // With the lock held: fills message_; false where there is nothing to write yet.
  Result<bool> next_event() {
    for (;;) {
      const auto event = TRY(events_.at(next_));
      if (!event) return false;
      ++next_;
      if (!session_id_.empty() && event->session_id != session_id_) continue;
      fill_event(events_, *event, message_);
      return true;
    }
  }
  // A write that is under way ends first; then OnWriteDone finishes.
  void finish(const grpc::Status& status) {
    std::optional<grpc::Status> finish_now;
    {
      const std::scoped_lock lock(mutex_);
      if (!finish_with_) finish_with_ = status;
      finish_now = take_finish();
    }
    if (finish_now) Finish(*finish_now);
  }
  // With the lock held: the status to finish with now, at most once.
  std::optional<grpc::Status> take_finish() {
    if (!finish_with_ || writing_ || finished_) return std::nullopt;
    finished_ = true;
    return finish_with_;
  }

  EventHistory& events_;
  const std::string session_id_;
  std::shared_ptr<Watch> self_;
  EventHistory::Subscription subscription_;
  rpc::Drain::Ticket drain_ticket_;
  std::mutex mutex_;
  std::uint64_t next_;
  v1::SessionEvent message_;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> finish_with_;
};

// A call that is refused before it begins.
class RefusedWatch final : public grpc::ServerWriteReactor<v1::SessionEvent> {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

}  // namespace

std::vector<rpc::MethodRule> session_control_rules(const std::vector<std::string>& clients) {
  std::vector<rpc::MethodRule> rules;
  for (const char* method : {kCreateOffer, kAcceptAnswer, kAcceptOffer, kReleaseSession,
                             kListSessions, kWatchSessionEvents}) {
    rules.push_back({method, rpc::CallerKind::certificate, clients});
  }
  return rules;
}

grpc::Status SessionControlService::refuse(std::string_view method, const std::string& trace_id,
                                           const Error& error) {
  log_.warning("refused", {{"method", method},
                           {"category", category_name(error.category())},
                           {"reason", error.describe()},
                           {"trace_id", trace_id}});
  const std::optional<SetupRefusal> refusal = setup_refusal_for(error);
  if (!refusal) return rpc::to_status(error);
  v1::SetupRefusal detail;
  detail.set_sip_status(refusal->sip_status);
  detail.set_warning_code(refusal->warning_code);
  detail.set_warning_text(refusal->warning_text);
  const grpc::Status plain = rpc::to_status(error);
  return rpc::to_status(plain.error_code(), plain.error_message(), detail);
}

void SessionControlService::count(std::string_view method, std::string_view result,
                                  SteadyTime since) {
  const std::string name(method.substr(method.rfind('/') + 1));
  metrics_
      .counter("mrfc_requests_total", "Calls of the session control interface, by their outcome",
               {{"method", name}, {"result", std::string(result)}})
      .add();
  metrics_
      .histogram("mrfc_request_seconds", "Time from a call to its answer",
                 service::latency_buckets(), {{"method", name}})
      .observe(std::chrono::duration<double>(clock_.steady_now() - since).count());
  sessions_.set(static_cast<double>(controller_.session_count()));
}

template <class Step>
grpc::ServerUnaryReactor* SessionControlService::run(grpc::CallbackServerContext* context,
                                                     const char* method,
                                                     const std::string& trace_id, Step step) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const auto caller = guard_.admit(*context, method); !caller) {
    log_.warning(
        "caller refused",
        {{"method", method}, {"reason", caller.error().describe()}, {"address", context->peer()}});
    reactor->Finish(rpc::to_status(caller.error()));
    return reactor;
  }
  if (!trace_id.empty() && !rpc::valid_trace_id(trace_id)) {
    reactor->Finish({grpc::StatusCode::INVALID_ARGUMENT, "trace_id: 1 to 64 of A-Z a-z 0-9 . _ -"});
    return reactor;
  }
  const SteadyTime since = clock_.steady_now();
  const bool taken = pool_.submit([this, reactor, method, trace_id, since, step = std::move(step)] {
    const Result<void> done = step();
    count(method, done ? "ok" : category_name(done.error().category()), since);
    reactor->Finish(done ? grpc::Status::OK : refuse(method, trace_id, done.error()));
  });
  if (!taken) {
    count(method, category_name(Category::busy), since);
    reactor->Finish(refuse(method, trace_id,
                           Error(Category::busy,
                                 "as many calls as are allowed are under way: try "
                                 "again, or raise limits.workers or limits.queue")));
  }
  return reactor;
}

grpc::ServerUnaryReactor* SessionControlService::CreateOffer(grpc::CallbackServerContext* context,
                                                             const v1::CreateOfferRequest* request,
                                                             v1::CreateOfferResponse* response) {
  return run(context, kCreateOffer, request->trace_id(), [=, this]() -> Result<void> {
    OfferRequest offer;
    offer.parties = parties_of(request->parties());
    offer.conference_id = request->conference_id();
    offer.trace_id = request->trace_id();
    for (const v1::MediaRequest& media : request->media()) {
      if (media.kind() != v1::MEDIA_KIND_MSRP) {
        return fail(Category::malformed, "media.kind: only MEDIA_KIND_MSRP is served");
      }
      offer.media.emplace_back(media.accept_types().begin(), media.accept_types().end());
    }
    const CreatedOffer created = TRY(controller_.create_offer(std::move(offer)));
    if (context->IsCancelled()) {
      // Nobody learns of this session, so nobody would ever release it.
      return controller_.release(created.session_id, request->trace_id());
    }
    response->set_session_id(created.session_id);
    response->set_conference_id(created.conference_id);
    response->set_sdp_offer(created.sdp_offer);
    response->set_key_source(created.key_source == KeySource::kms_issued
                                 ? v1::KEY_SOURCE_KMS_ISSUED
                                 : v1::KEY_SOURCE_SELF_ISSUED);
    log_.info("offer made", {{"session_id", created.session_id},
                             {"peer", request->parties().claimed_peer()},
                             {"trace_id", trace_of(request->trace_id(), created.session_id)}});
    return {};
  });
}

grpc::ServerUnaryReactor* SessionControlService::AcceptAnswer(
    grpc::CallbackServerContext* context, const v1::AcceptAnswerRequest* request,
    v1::AcceptAnswerResponse* response) {
  return run(context, kAcceptAnswer, request->trace_id(), [=, this]() -> Result<void> {
    AnswerRequest answer;
    answer.dialog_id = request->dialog_id();
    answer.sdp = request->sdp_answer();
    answer.asserted_peer = request->asserted_peer();
    answer.final = request->final();
    answer.trace_id = request->trace_id();
    const SessionStatus status = TRY(controller_.accept_answer(request->session_id(), answer));
    response->set_session_id(status.session_id);
    response->set_dialog_id(status.dialog_id);
    fill_media(status.media, response->mutable_media());
    log_.info("answer accepted", {{"session_id", status.session_id},
                                  {"dialog_id", status.dialog_id},
                                  {"peer", status.authenticated_peer},
                                  {"final", request->final()},
                                  {"trace_id", trace_of(request->trace_id(), status.session_id)}});
    return {};
  });
}

grpc::ServerUnaryReactor* SessionControlService::AcceptOffer(grpc::CallbackServerContext* context,
                                                             const v1::AcceptOfferRequest* request,
                                                             v1::AcceptOfferResponse* response) {
  return run(context, kAcceptOffer, request->trace_id(), [=, this]() -> Result<void> {
    IncomingOffer offer;
    offer.parties = parties_of(request->parties());
    offer.conference_id = request->conference_id();
    offer.sdp = request->sdp_offer();
    offer.trace_id = request->trace_id();
    const AcceptedOffer accepted = TRY(controller_.accept_offer(std::move(offer)));
    const SessionStatus& status = accepted.status;
    if (context->IsCancelled()) {
      return controller_.release(status.session_id, request->trace_id());
    }
    response->set_session_id(status.session_id);
    response->set_dialog_id(status.dialog_id);
    response->set_conference_id(status.conference_id);
    response->set_sdp_answer(accepted.sdp_answer);
    fill_media(status.media, response->mutable_media());
    log_.info("offer accepted", {{"session_id", status.session_id},
                                 {"peer", status.authenticated_peer},
                                 {"trace_id", trace_of(request->trace_id(), status.session_id)}});
    return {};
  });
}

grpc::ServerUnaryReactor* SessionControlService::ReleaseSession(
    grpc::CallbackServerContext* context, const v1::ReleaseSessionRequest* request,
    v1::ReleaseSessionResponse*) {
  return run(context, kReleaseSession, request->trace_id(), [=, this]() -> Result<void> {
    return controller_.release(request->session_id(), request->trace_id());
  });
}

grpc::ServerUnaryReactor* SessionControlService::ListSessions(grpc::CallbackServerContext* context,
                                                              const v1::ListSessionsRequest*,
                                                              v1::ListSessionsResponse* response) {
  return run(context, kListSessions, {}, [=, this]() -> Result<void> {
    for (const SessionStatus& session : controller_.list()) {
      v1::SessionStatus& out = *response->add_sessions();
      out.set_session_id(session.session_id);
      out.set_conference_id(session.conference_id);
      out.set_dialog_id(session.dialog_id);
      out.set_authenticated_peer(session.authenticated_peer);
      out.set_trace_id(session.trace_id);
      fill_media(session.media, out.mutable_media());
    }
    return {};
  });
}

grpc::ServerWriteReactor<v1::SessionEvent>* SessionControlService::WatchSessionEvents(
    grpc::CallbackServerContext* context, const v1::WatchSessionEventsRequest* request) {
  if (const auto caller = guard_.admit(*context, kWatchSessionEvents); !caller) {
    return new RefusedWatch(rpc::to_status(caller.error()));
  }
  rpc::Drain* drain = drain_;
  if (drain == nullptr) {
    return new RefusedWatch({grpc::StatusCode::UNAVAILABLE, "the server is starting"});
  }
  const std::uint64_t newest = events_.next_sequence();
  const std::uint64_t from = request->from_sequence() == 0 ? newest : request->from_sequence();
  if (from > newest) {
    return new RefusedWatch({grpc::StatusCode::OUT_OF_RANGE,
                             "from_sequence is beyond the next event of this run: list the "
                             "sessions and watch from 0"});
  }
  if (const auto first = events_.at(from); !first) {
    return new RefusedWatch(rpc::to_status(first.error()));
  }
  const auto watch = std::make_shared<Watch>(events_, request->session_id(), from);
  watch->begin(*drain);
  return watch.get();
}

}  // namespace keystub::mrfc
