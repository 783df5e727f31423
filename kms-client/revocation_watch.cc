#include "kms-client/revocation_watch.h"

#include <future>
#include <limits>
#include <thread>
#include <utility>

#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>

#include "keystub/v1/revocation.grpc.pb.h"
#include "rpc/call.h"
#include "rpc/retry.h"
#include "rpc/status.h"
#include "rpc/timestamp.h"

namespace keystub::kms_client {
namespace {

constexpr const char* kWhat = "watch revocations";

// None: of a kind that is newer than this client.
std::optional<Revoked> revoked_of(const v1::Revocation& message) {
  Revoked out;
  out.time = rpc::from_timestamp(message.time());
  switch (message.revoked_case()) {
    case v1::Revocation::kTicketId:
      out.kind = Revoked::Kind::ticket;
      out.id = to_vector(as_bytes(message.ticket_id()));
      return out;
    case v1::Revocation::kTicketsBefore:
      out.kind = Revoked::Kind::tickets_before;
      out.before = rpc::from_timestamp(message.tickets_before());
      return out;
    case v1::Revocation::kIdentity:
      out.kind = Revoked::Kind::identity;
      out.uri = message.identity().uri();
      out.aliases.assign(message.identity().aliases().begin(), message.identity().aliases().end());
      out.owned_patterns.assign(message.identity().owned_patterns().begin(),
                                message.identity().owned_patterns().end());
      return out;
    case v1::Revocation::kTpkId:
      out.kind = Revoked::Kind::tpk;
      out.id = to_vector(as_bytes(message.tpk_id()));
      return out;
    case v1::Revocation::REVOKED_NOT_SET: break;
  }
  return std::nullopt;
}

}  // namespace

struct RevocationWatch::Impl {
  Impl(std::shared_ptr<KmsConnection> given, WatchOptions given_options, RandomSource& source,
       Callbacks given_callbacks)
      : connection(std::move(given)),
        options(given_options),
        random(source),
        callbacks(std::move(given_callbacks)),
        position(given_options.after),
        thread([this] { run(); }) {}
  ~Impl() {
    cancellation.cancel();
    thread.join();
  }

  rpc::Backoff new_backoff() const {
    return rpc::Backoff({.attempts = std::numeric_limits<int>::max(),
                         .first_delay = options.first_delay,
                         .max_delay = options.max_delay});
  }

  void run() {
    rpc::Backoff backoff = new_backoff();
    for (;;) {
      heard = false;
      const grpc::Status status = watch_once();
      if (cancellation.cancelled()) return ended.set_value(Error(Category::unavailable, "ended"));
      Error why = status.ok() ? Error(Category::unavailable,
                                      std::string(kWhat) + ": the KMS ended the watch")
                              : rpc::to_error(status, kWhat);
      if (!callbacks.lost(why)) return ended.set_value(std::move(why));
      if (heard) backoff = new_backoff();
      std::chrono::milliseconds delay{};
      if (!backoff.next(random, delay) || cancellation.wait_for(delay)) {
        return ended.set_value(std::move(why));
      }
    }
  }

  // One call, from its start to its end. Everything is waited for on one queue, so that silence can
  // end the wait; only this thread is there.
  grpc::Status watch_once() {
    grpc::ClientContext context;
    const rpc::AttachedCall attached(cancellation, context);
    v1::WatchRevocationsRequest request;
    if (position) request.set_after_sequence(*position);
    grpc::CompletionQueue queue;
    const auto stub = v1::RevocationFeed::NewStub(connection->channel());
    const auto reader = stub->PrepareAsyncWatchRevocations(&context, request, &queue);
    bool silent = false;
    // The next completion, whatever it is of: at most one is under way.
    const auto completed = [&] {
      void* tag = nullptr;
      bool ok = false;
      const gpr_timespec patience =
          gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                       gpr_time_from_millis(options.silence.count(), GPR_TIMESPAN));
      if (queue.AsyncNext(&tag, &ok, patience) == grpc::CompletionQueue::TIMEOUT) {
        silent = true;
        context.TryCancel();
        queue.Next(&tag, &ok);
      }
      return ok;
    };
    reader->StartCall(this);
    bool going = completed();
    v1::WatchRevocationsResponse response;
    while (going) {
      reader->Read(&response, this);
      going = completed();
      if (going) take(response);
    }
    grpc::Status status;
    reader->Finish(&status, this);
    completed();
    queue.Shutdown();
    for (void* tag = nullptr; queue.Next(&tag, &going);) {
    }
    if (silent) return {grpc::StatusCode::UNAVAILABLE, "the KMS has fallen silent"};
    return status;
  }

  void take(const v1::WatchRevocationsResponse& response) {
    heard = true;
    if (response.has_revocation()) {
      if (auto revoked = revoked_of(response.revocation())) {
        revoked->sequence = response.sequence();
        callbacks.revoked(*revoked);
      }
    } else if (response.has_reset()) {
      Revoked reset;
      reset.kind = Revoked::Kind::reset;
      reset.sequence = response.sequence();
      callbacks.revoked(reset);
    }
    // Only now: what a callback has not seen through is told again.
    position = response.sequence();
    if (callbacks.alive) callbacks.alive(response.sequence());
  }

  const std::shared_ptr<KmsConnection> connection;
  const WatchOptions options;
  RandomSource& random;
  const Callbacks callbacks;
  const rpc::Cancellation cancellation;
  std::optional<std::uint64_t> position;  // the thread's, as is `heard`
  bool heard = false;
  std::promise<Error> ended;
  std::thread thread;
};

RevocationWatch::RevocationWatch(std::shared_ptr<KmsConnection> connection, WatchOptions options,
                                 RandomSource& random, Callbacks callbacks)
    : impl_(std::make_unique<Impl>(std::move(connection), options, random, std::move(callbacks))) {}
RevocationWatch::~RevocationWatch() = default;

Error RevocationWatch::wait() { return impl_->ended.get_future().get(); }

}  // namespace keystub::kms_client
