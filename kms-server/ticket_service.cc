#include "kms-server/ticket_service.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "rpc/call.h"
#include "rpc/status.h"
#include "rpc/timestamp.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kRequestTicket = "/keystub.v1.TicketService/RequestTicket";
constexpr std::string_view kResolveTicket = "/keystub.v1.TicketService/ResolveTicket";
constexpr std::string_view kExchange = "/keystub.v1.TicketService/Exchange";

ByteVector octets_of(const std::string& field) { return to_vector(as_bytes(field)); }

// The message's own trace id goes before the call's.
void prefer_trace_id(rpc::Caller& caller, const std::string& trace_id) {
  if (rpc::valid_trace_id(trace_id)) caller.trace_id = trace_id;
}

template <class Duration>
std::pair<std::int64_t, std::int32_t> seconds_and_nanos(Duration time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return {seconds.count(),
          static_cast<std::int32_t>(
              std::chrono::duration_cast<std::chrono::nanoseconds>(time - seconds).count())};
}

v1::Refusal to_message(const Refusal& refusal) {
  v1::Refusal message;
  message.set_code(static_cast<std::int32_t>(rpc::ticket_status_code(refusal.category)));
  message.set_mikey_error(to_string(Bytes(refusal.mikey_error)));
  message.set_reason(refusal.reason);
  if (refusal.retry_after) {
    const auto [seconds, nanos] = seconds_and_nanos(*refusal.retry_after);
    message.mutable_retry_after()->set_seconds(seconds);
    message.mutable_retry_after()->set_nanos(nanos);
  }
  if (refusal.clock_skew) {
    const auto [seconds, nanos] = seconds_and_nanos(*refusal.clock_skew);
    // A Duration's parts have one sign.
    const bool behind = seconds < 0 && nanos > 0;
    message.mutable_clock_skew()->set_seconds(behind ? seconds + 1 : seconds);
    message.mutable_clock_skew()->set_nanos(behind ? nanos - 1'000'000'000 : nanos);
  }
  rpc::set_timestamp(*message.mutable_server_time(), refusal.server_time);
  return message;
}

// What the guard, or the server itself, refuses before the handler sees it.
grpc::Status to_status(const Error& error, WallTime now) {
  const grpc::Status status = rpc::to_status(error);
  v1::Refusal detail;
  detail.set_code(static_cast<std::int32_t>(status.error_code()));
  detail.set_reason(status.error_message());
  rpc::set_timestamp(*detail.mutable_server_time(), now);
  return rpc::to_status(status.error_code(), status.error_message(), detail);
}

// One stream. What it may do next is decided in next_action() under the mutex and done by one
// thread at a time outside of it: gRPC may run the next callback inside StartRead or StartWrite.
class ExchangeStream final
    : public grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>,
      public std::enable_shared_from_this<ExchangeStream> {
 public:
  ExchangeStream(TicketHandler& handler, rpc::Caller caller, std::size_t max_outstanding)
      : handler_(handler), caller_(std::move(caller)), max_outstanding_(max_outstanding) {}

  // Owns itself until OnDone, and is owned by every answer that is still on its way.
  void begin(rpc::Drain& drain) {
    self_ = shared_from_this();
    membership_ = drain.join([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->update([](State& state) { state.draining = true; });
    });
    act();
  }

  void OnReadDone(bool ok) override {
    std::uint64_t sequence = 0;
    bool accepted = false;
    ByteVector message;
    std::optional<rpc::Caller> caller;  // none: as the stream's
    if (ok) {
      sequence = request_.sequence();
      message = octets_of(request_.mikey());
      if (!request_.trace_id().empty()) {
        prefer_trace_id(caller.emplace(caller_), request_.trace_id());
      }
    }
    update([&](State& state) {
      state.reading = false;
      if (!ok) {
        state.half_closed = true;
      } else if (!state.draining && !state.closing) {
        accepted = state.sequences.insert(sequence).second;
        if (accepted) {
          ++state.outstanding;
        } else {
          state.closing = grpc::Status(
              grpc::StatusCode::INVALID_ARGUMENT,
              "sequence " + std::to_string(sequence) + " is still outstanding on this stream");
        }
      }
    });
    if (!accepted) return;
    handler_.handle(std::move(message), Accepted::both, caller ? *caller : caller_,
                    [self = shared_from_this(), sequence](Answer answer) {
                      self->answer(sequence, std::move(answer));
                    });
  }

  void OnWriteDone(bool ok) override {
    update([ok](State& state) {
      state.writing = false;
      --state.outstanding;
      if (!ok && !state.closing) state.closing = grpc::Status::CANCELLED;
    });
  }

  void OnCancel() override {
    update([](State& state) {
      if (!state.closing) state.closing = grpc::Status::CANCELLED;
    });
  }

  void OnDone() override {
    membership_.leave();
    self_.reset();
  }

 private:
  struct State {
    bool reading = false;
    bool writing = false;
    bool half_closed = false;  // no more messages will come
    bool draining = false;     // the server stops: no more are wanted
    bool finished = false;
    std::optional<grpc::Status> closing;  // ends now, whatever is outstanding
    // A sequence is free again just before its answer leaves: the client may use it again as soon
    // as it has the answer.
    std::unordered_set<std::uint64_t> sequences;
    std::size_t outstanding = 0;  // messages whose answer has not left yet
    std::deque<v1::ExchangeResponse> answers;
  };
  enum class Action { none, read, write, finish };

  void answer(std::uint64_t sequence, Answer answer) {
    v1::ExchangeResponse response;
    response.set_sequence(sequence);
    if (answer) {
      response.set_mikey(to_string(Bytes(*answer)));
    } else {
      *response.mutable_refusal() = to_message(answer.error());
    }
    update([&](State& state) { state.answers.push_back(std::move(response)); });
  }

  template <class Change>
  void update(const Change& change) {
    {
      const std::lock_guard lock(mutex_);
      change(state_);
    }
    act();
  }

  void act() {
    // OnDone may drop the owner as soon as the stream has finished.
    const auto self = shared_from_this();
    std::unique_lock lock(mutex_);
    if (acting_) return;  // that thread will see what changed
    acting_ = true;
    for (;;) {
      const Action action = next_action();
      if (action == Action::none) break;
      lock.unlock();
      switch (action) {
        case Action::read: StartRead(&request_); break;
        case Action::write: StartWrite(&response_, write_options_); break;
        case Action::finish: Finish(status_); break;
        case Action::none: break;
      }
      lock.lock();
    }
    acting_ = false;
  }

  Action next_action() {
    State& state = state_;
    if (state.finished) return Action::none;
    if (state.closing) {
      if (state.writing) return Action::none;
      return finish(*state.closing);
    }
    if (!state.writing && !state.answers.empty()) {
      response_ = std::move(state.answers.front());
      state.answers.pop_front();
      // With the next one right behind it, it need not go on the wire alone.
      write_options_ = grpc::WriteOptions();
      if (!state.answers.empty()) write_options_.set_buffer_hint();
      state.sequences.erase(response_.sequence());
      state.writing = true;
      return Action::write;
    }
    if ((state.half_closed || state.draining) && state.outstanding == 0) {
      return finish(state.half_closed
                        ? grpc::Status::OK
                        : grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is stopping"));
    }
    if (!state.reading && !state.half_closed && !state.draining &&
        state.outstanding < max_outstanding_) {
      state.reading = true;
      return Action::read;
    }
    return Action::none;
  }

  Action finish(grpc::Status status) {
    state_.finished = true;
    status_ = std::move(status);
    return Action::finish;
  }

  TicketHandler& handler_;
  const rpc::Caller caller_;
  const std::size_t max_outstanding_;
  std::shared_ptr<ExchangeStream> self_;
  rpc::Drain::Ticket membership_;

  v1::ExchangeRequest request_;    // gRPC's while state_.reading
  v1::ExchangeResponse response_;  // gRPC's while state_.writing
  grpc::WriteOptions write_options_;
  grpc::Status status_;

  std::mutex mutex_;
  State state_;
  bool acting_ = false;
};

// A stream that is refused; whoever makes it finishes it.
class RefusedStream final
    : public grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse> {
 public:
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

}  // namespace

Result<rpc::Caller> TicketService::admit(const grpc::CallbackServerContext& context,
                                         std::string_view method) const {
  const rpc::Drain* drain = drain_.load();
  if (drain == nullptr || drain->draining()) {
    return fail(Category::unavailable, "the server is starting or stopping");
  }
  return guard_.admit(context, method);
}

void TicketService::refuse(std::function<void()> finish) const {
  rpc::Drain* drain = drain_.load();
  if (drain == nullptr || !drain->draining()) return finish();
  drain->refuse(std::move(finish));
}

template <class Request, class Response>
grpc::ServerUnaryReactor* TicketService::unary(grpc::CallbackServerContext& context,
                                               const Request& request, Response& response,
                                               std::string_view method, Accepted accepted) {
  // Finishes exactly once: when its answer is there, also for a client that has gone. gRPC's own
  // reactor: what is done after a call of any other goes to another thread first.
  grpc::ServerUnaryReactor* const call = context.DefaultReactor();
  auto caller = admit(context, method);
  if (!caller) {
    refuse([call, status = to_status(caller.error(), clock_.now())] { call->Finish(status); });
    return call;
  }
  prefer_trace_id(*caller, request.trace_id());
  handler_.handle(octets_of(request.mikey()), accepted, *caller, [call, &response](Answer answer) {
    if (answer) {
      response.set_mikey(to_string(Bytes(*answer)));
      call->Finish(grpc::Status::OK);
      return;
    }
    const Refusal& refusal = answer.error();
    call->Finish(rpc::to_status(rpc::ticket_status_code(refusal.category), refusal.reason,
                                to_message(refusal)));
  });
  return call;
}

grpc::ServerUnaryReactor* TicketService::RequestTicket(grpc::CallbackServerContext* context,
                                                       const v1::RequestTicketRequest* request,
                                                       v1::RequestTicketResponse* response) {
  return unary(*context, *request, *response, kRequestTicket, Accepted::request);
}

grpc::ServerUnaryReactor* TicketService::ResolveTicket(grpc::CallbackServerContext* context,
                                                       const v1::ResolveTicketRequest* request,
                                                       v1::ResolveTicketResponse* response) {
  return unary(*context, *request, *response, kResolveTicket, Accepted::resolve);
}

grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* TicketService::Exchange(
    grpc::CallbackServerContext* context) {
  auto caller = admit(*context, kExchange);
  if (!caller) {
    auto* const refused = new RefusedStream;
    refuse(
        [refused, status = to_status(caller.error(), clock_.now())] { refused->Finish(status); });
    return refused;
  }
  auto stream = std::make_shared<ExchangeStream>(handler_, std::move(*caller), max_outstanding_);
  stream->begin(*drain_.load());
  return stream.get();
}

}  // namespace keystub::kms
