// The KMS client over gRPC's callback API, see kms_client.h.
#include "kms-client/kms_client.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <utility>

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace keystub::kms_client {
namespace {

constexpr std::size_t kSpiOctets = 4;
constexpr std::uint16_t kTgkOctets = 32;
// A difference of clocks that is worth telling a person about.
constexpr std::chrono::seconds kClockDifference{2};

std::string as_string(Bytes octets) { return std::string(as_text(octets)); }

// What a refusing KMS said, for a person: its reason, how far the clocks are apart, when to come
// back.
Error refusal(const grpc::Status& status, std::string_view what, WallTime now) {
  Error plain = rpc::to_error(status, what);
  const auto detail = rpc::detail_of<v1::Refusal>(status);
  if (!detail) return plain;
  std::string text(what);
  text += ": " + (detail->reason().empty() ? status.error_message() : detail->reason());
  if (detail->has_server_time() && plain.category() == Category::expired) {
    const WallTime server(std::chrono::seconds(detail->server_time().seconds()));
    const auto ahead = std::chrono::round<std::chrono::seconds>(server - now);
    if (std::chrono::abs(ahead) >= kClockDifference) {
      text += " (the KMS's clock is " + std::to_string(std::chrono::abs(ahead).count()) + " s " +
              (ahead.count() > 0 ? "ahead of" : "behind") + " ours)";
    }
  }
  if (detail->has_retry_after()) {
    const auto after = detail->retry_after();
    text += " (try again in " + std::to_string(after.seconds() * 1000 + after.nanos() / 1'000'000) +
            " ms)";
  }
  return {plain.category(), std::move(text)};
}

// A ticket that does not depend on its message: the octets as in a TICKET payload, and the view.
class OwnedTicket {
 public:
  static Result<OwnedTicket> copy(const mikey::TicketView& ticket) {
    ByteWriter writer(ticket.body.size() + 2 + ticket.initiator_data.size());
    writer.bytes(ticket.body);
    writer.u16(static_cast<std::uint16_t>(ticket.initiator_data.size()));
    writer.bytes(ticket.initiator_data);
    OwnedTicket owned;
    owned.octets_ = std::move(writer).take();
    ByteReader reader("TICKET", owned.octets_);
    owned.view_ = mikey::decode_ticket(reader);
    TRY(reader.finish());
    return owned;
  }
  const mikey::TicketView& view() const noexcept { return view_; }

 private:
  ByteVector octets_;  // a vector's octets stay where they are when it moves, so the view holds
  mikey::TicketView view_;
};

}  // namespace

struct KmsConnection::Impl {
  explicit Impl(std::shared_ptr<grpc::Channel> opened)
      : channel(std::move(opened)), stub(v1::TicketService::NewStub(channel)) {}
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::TicketService::Stub> stub;
};

KmsConnection::KmsConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KmsConnection::~KmsConnection() = default;
std::shared_ptr<grpc::Channel> KmsConnection::channel() const { return impl_->channel; }

Result<std::shared_ptr<KmsConnection>> KmsConnection::open(const ConnectionOptions& options) {
  if (options.server.empty() && options.unix_socket.empty()) {
    return fail(Category::malformed, "the KMS's address is missing: \"name:port\"");
  }
  const rpc::ChannelOptions channel_options{.server_name = options.server_name};
  std::shared_ptr<grpc::Channel> channel;
  if (!options.unix_socket.empty()) {
    channel = rpc::open_unix_channel(options.unix_socket, channel_options);
  } else if (options.allow_plaintext) {
    channel = rpc::open_plaintext_channel(options.server, channel_options);
  } else {
    channel = TRY(rpc::open_tls_channel(
        options.server, {options.ca, options.certificate, options.private_key}, channel_options));
  }
  return std::shared_ptr<KmsConnection>(
      new KmsConnection(std::make_unique<Impl>(std::move(channel))));
}

struct PendingCall::State {
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  virtual ~State() = default;
  virtual void cancel() = 0;
};

void PendingCall::cancel() {
  if (const auto state = state_.lock()) state->cancel();
}

// The operations that run. They belong to it, so that a client can wait for them.
struct KmsClient::Running {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::shared_ptr<Operation>> operations;
};

// One request or resolve with all its attempts. Its steps follow each other on gRPC's threads, one
// at a time; only cancel() comes from elsewhere.
class KmsClient::Operation : public PendingCall::State,
                             public std::enable_shared_from_this<Operation> {
 public:
  Operation(const KmsClient& client, const CallOptions& options)
      : connection_(client.connection_),
        env_(client.env_),
        options_(options),
        running_(client.running_),
        backoff_(options.retry),
        end_(env_.clock.steady_now() + options.timeout) {}

  void attempt() {
    const Result<void> built = build();
    if (!built) return finish(built.error());
    const auto remaining =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - env_.clock.steady_now());
    auto context = std::make_unique<grpc::ClientContext>();
    rpc::prepare(*context, std::max(remaining, std::chrono::milliseconds{1}), options_.trace_id);
    {
      const std::scoped_lock lock(mutex_);
      if (cancelled_) context->TryCancel();
      context_ = std::move(context);
    }
    call(*connection_->impl_->stub, *context_,
         [self = shared_from_this()](const grpc::Status& status) { self->answered(status); });
  }

  void cancel() override {
    const std::scoped_lock lock(mutex_);
    cancelled_ = true;
    if (context_ != nullptr) context_->TryCancel();
    if (alarm_ != nullptr) alarm_->Cancel();
  }

 protected:
  using Answered = std::function<void(grpc::Status)>;

  // A new message in a new request.
  virtual Result<void> build() = 0;
  virtual void call(v1::TicketService::Stub& stub, grpc::ClientContext& context,
                    Answered answered) = 0;
  // Judges the answer and hands out the result.
  virtual void succeed() = 0;
  virtual void fail_with(Error error) = 0;
  // Reads the MIKEY Error message of a refusal, for its number.
  virtual std::optional<std::uint8_t> error_number(Bytes mikey_error) const = 0;
  virtual std::string_view what() const noexcept = 0;

  const std::string& trace_id() const noexcept { return options_.trace_id; }

  const std::shared_ptr<KmsConnection> connection_;
  const mikey::Environment env_;

 private:
  void answered(const grpc::Status& status) {
    if (status.ok()) {
      succeed();
      return leave();
    }
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE && wait_for_next_attempt()) return;
    Error error = refusal(status, what(), env_.clock.now());
    if (const auto detail = rpc::detail_of<v1::Refusal>(status)) {
      if (const auto number = error_number(as_bytes(detail->mikey_error()))) {
        error.set_mikey_error_no(*number);
      }
    }
    finish(std::move(error));
  }

  bool wait_for_next_attempt() {
    std::chrono::milliseconds delay{};
    if (!backoff_.next(env_.random, delay) || env_.clock.steady_now() + delay >= end_) {
      return false;
    }
    const std::scoped_lock lock(mutex_);
    if (cancelled_) return false;
    alarm_ = std::make_unique<grpc::Alarm>();
    // Weak: the alarm belongs to this and keeps its function.
    const gpr_timespec next = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                           gpr_time_from_millis(delay.count(), GPR_TIMESPAN));
    alarm_->Set(next, [weak = weak_from_this()](bool fired) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      if (fired) return self->attempt();
      self->finish(Error(Category::unavailable, std::string(self->what()) + ": cancelled"));
    });
    return true;
  }

  void finish(Error error) {
    fail_with(std::move(error));
    leave();
  }

  // The last step.
  void leave() {
    const std::scoped_lock lock(running_->mutex);
    running_->operations.erase(shared_from_this());
    running_->changed.notify_all();
  }

  const CallOptions options_;
  const std::shared_ptr<Running> running_;
  rpc::Backoff backoff_;
  const SteadyTime end_;
  std::mutex mutex_;
  bool cancelled_ = false;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::Alarm> alarm_;
};

namespace {

std::optional<std::uint8_t> number_of(const Error& error) { return error.mikey_error_no(); }

}  // namespace

class KmsClient::RequestOperation final : public Operation {
 public:
  RequestOperation(const KmsClient& client, mikey::TicketPolicy wish, const CallOptions& options,
                   TicketDone done)
      : Operation(client, options),
        credentials_(client.credentials_),
        wish_(std::move(wish)),
        done_(std::move(done)) {}

 private:
  Result<void> build() override {
    exchange_.emplace(TRY(
        std::visit([&](const auto& own) { return mikey::TicketRequest::start(env_, own, wish_); },
                   credentials_)));
    request_.set_mikey(as_string(exchange_->message()));
    request_.set_trace_id(trace_id());
    response_.Clear();
    return {};
  }
  void call(v1::TicketService::Stub& stub, grpc::ClientContext& context,
            Answered answered) override {
    stub.async()->RequestTicket(&context, &request_, &response_, std::move(answered));
  }
  void succeed() override {
    auto ticket = exchange_->finish(as_bytes(response_.mikey()));
    if (!ticket) return fail_with(std::move(ticket.error()).with_context(what()));
    done_(std::move(ticket));
  }
  void fail_with(Error error) override { done_(std::unexpected(std::move(error))); }
  std::optional<std::uint8_t> error_number(Bytes mikey_error) const override {
    const auto verdict = exchange_->finish(mikey_error);
    return verdict ? std::nullopt : number_of(verdict.error());
  }
  std::string_view what() const noexcept override { return "request ticket"; }

  const Credentials& credentials_;
  const mikey::TicketPolicy wish_;
  const TicketDone done_;
  std::optional<mikey::TicketRequest> exchange_;
  v1::RequestTicketRequest request_;
  v1::RequestTicketResponse response_;
};

class KmsClient::ResolveOperation final : public Operation {
 public:
  ResolveOperation(const KmsClient& client, OwnedTicket ticket, const CallOptions& options,
                   ResolveDone done)
      : Operation(client, options),
        credentials_(client.credentials_),
        ticket_(std::move(ticket)),
        done_(std::move(done)) {}

 private:
  Result<void> build() override {
    exchange_.emplace(TRY(std::visit(
        [&](const auto& own) { return mikey::TicketResolve::start(env_, own, ticket_.view()); },
        credentials_)));
    request_.set_mikey(as_string(exchange_->message()));
    request_.set_trace_id(trace_id());
    response_.Clear();
    return {};
  }
  void call(v1::TicketService::Stub& stub, grpc::ClientContext& context,
            Answered answered) override {
    stub.async()->ResolveTicket(&context, &request_, &response_, std::move(answered));
  }
  void succeed() override {
    auto resolved = exchange_->finish(as_bytes(response_.mikey()));
    if (!resolved) return fail_with(std::move(resolved.error()).with_context(what()));
    done_(std::move(resolved));
  }
  void fail_with(Error error) override { done_(std::unexpected(std::move(error))); }
  std::optional<std::uint8_t> error_number(Bytes mikey_error) const override {
    const auto verdict = exchange_->finish(mikey_error);
    return verdict ? std::nullopt : number_of(verdict.error());
  }
  std::string_view what() const noexcept override { return "resolve ticket"; }

  const Credentials& credentials_;
  const OwnedTicket ticket_;
  const ResolveDone done_;
  std::optional<mikey::TicketResolve> exchange_;
  v1::ResolveTicketRequest request_;
  v1::ResolveTicketResponse response_;
};

KmsClient::KmsClient(std::shared_ptr<KmsConnection> connection, Credentials credentials,
                     const mikey::Environment& env)
    : connection_(std::move(connection)),
      credentials_(std::move(credentials)),
      env_(env),
      running_(std::make_shared<Running>()) {}

KmsClient::KmsClient(std::shared_ptr<KmsConnection> connection, mikey::KmsCredentials credentials,
                     const Clock& clock, RandomSource& random)
    : KmsClient(std::move(connection), Credentials(std::move(credentials)), {clock, random}) {}

KmsClient::KmsClient(std::shared_ptr<KmsConnection> connection, mikey::PkCredentials credentials,
                     const Clock& clock, RandomSource& random)
    : KmsClient(std::move(connection), Credentials(std::move(credentials)), {clock, random}) {}

KmsClient::~KmsClient() {
  std::unique_lock lock(running_->mutex);
  const auto operations = running_->operations;
  lock.unlock();
  for (const auto& operation : operations) operation->cancel();
  lock.lock();
  running_->changed.wait(lock, [this] { return running_->operations.empty(); });
}

Result<mikey::TicketPolicy> KmsClient::ticket_wish(const std::vector<std::string>& responders,
                                                   std::chrono::seconds validity) const {
  const WallTime now = env_.clock.now();
  mikey::TicketPolicy wish;
  wish.flags = mikey::kMode1Flags;
  std::visit(
      [&](const auto& own) {
        wish.idr_kms = own.kms;
        wish.idr_i = own.self;
      },
      credentials_);
  wish.tre = mikey::Timestamp::from(now + validity);
  ByteVector spi = TRY(env_.random.bytes(kSpiOctets));
  wish.keys.push_back({mikey::KeyType::tgk, kTgkOctets, 0, std::move(spi)});
  for (const auto& responder : responders) {
    wish.idr_r.push_back(mikey::Identity::uri(responder));
  }
  return wish;
}

PendingCall KmsClient::launch(const std::shared_ptr<Operation>& operation) {
  {
    const std::scoped_lock lock(running_->mutex);
    running_->operations.insert(operation);
  }
  PendingCall pending(std::weak_ptr<PendingCall::State>{operation});
  operation->attempt();
  return pending;
}

PendingCall KmsClient::start_request(mikey::TicketPolicy wish, const CallOptions& options,
                                     TicketDone done) {
  return launch(
      std::make_shared<RequestOperation>(*this, std::move(wish), options, std::move(done)));
}

PendingCall KmsClient::start_resolve(const mikey::TicketView& ticket, const CallOptions& options,
                                     ResolveDone done) {
  auto owned = OwnedTicket::copy(ticket);
  if (!owned) {
    done(std::unexpected(std::move(owned.error())));
    return {};
  }
  return launch(
      std::make_shared<ResolveOperation>(*this, std::move(*owned), options, std::move(done)));
}

Result<mikey::GrantedTicket> KmsClient::request_ticket(mikey::TicketPolicy wish,
                                                       const CallOptions& options) {
  // Shared with the callback, which may still be inside set_value when get() returns.
  const auto answer = std::make_shared<std::promise<Result<mikey::GrantedTicket>>>();
  start_request(std::move(wish), options, [answer](Result<mikey::GrantedTicket> result) {
    answer->set_value(std::move(result));
  });
  return answer->get_future().get();
}

Result<mikey::ResolvedTicket> KmsClient::resolve_ticket(const mikey::TicketView& ticket,
                                                        const CallOptions& options) {
  // Shared with the callback, which may still be inside set_value when get() returns.
  const auto answer = std::make_shared<std::promise<Result<mikey::ResolvedTicket>>>();
  start_resolve(ticket, options, [answer](Result<mikey::ResolvedTicket> result) {
    answer->set_value(std::move(result));
  });
  return answer->get_future().get();
}

}  // namespace keystub::kms_client
