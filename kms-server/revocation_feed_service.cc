#include "kms-server/revocation_feed_service.h"

#include <memory>
#include <mutex>
#include <utility>

#include "kms-server/revocation_message.h"
#include "rpc/status.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kWatch = "/keystub.v1.RevocationFeed/WatchRevocations";

using Response = v1::WatchRevocationsResponse;

class RefusedWatch final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

// One subscriber. One message at a time is with gRPC; the next is asked for when it is written.
class WatchStream final : public grpc::ServerWriteReactor<Response>,
                          public RevocationFeed::Sink,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  // Owns itself until OnDone.
  void begin(RevocationFeed& feed, rpc::Drain& drain, std::optional<std::uint64_t> after) {
    self_ = shared_from_this();
    membership_ = drain.join([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->end({grpc::StatusCode::UNAVAILABLE, "the server is stopping"});
      }
    });
    auto subscriber = feed.subscribe(after, self_);
    if (!subscriber) return end(rpc::to_status(subscriber.error()));
    const std::lock_guard lock(mutex_);
    subscriber_ = std::move(*subscriber);
    // An event may have been told, and written, before there was anybody to ask for the next.
    if (written_early_) subscriber_->ready();
  }

  void tell(const RevocationEvent& event) override {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
      writing_ = true;
      response_.Clear();
      response_.set_sequence(event.sequence);
      switch (event.kind) {
        case RevocationEvent::Kind::revocation:
          set_revocation(*response_.mutable_revocation(), *event.revocation);
          break;
        case RevocationEvent::Kind::heartbeat: response_.mutable_heartbeat(); break;
        case RevocationEvent::Kind::reset: response_.mutable_reset(); break;
      }
    }
    StartWrite(&response_);
  }

  // Ends when gRPC gets rid of the message that it has: when the client reads, or goes.
  void drop() override {
    end({grpc::StatusCode::RESOURCE_EXHAUSTED,
         "this subscriber did not read in time; come back with the last sequence"});
  }

  void end(const grpc::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(finished_, true)) return;
      last_ = status;
      if (writing_) return;  // OnWriteDone ends it
    }
    Finish(status);
  }

  void OnWriteDone(bool ok) override {
    bool finish = false;
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      if (!finished_ && !ok) {
        finished_ = true;
        last_ = grpc::Status::CANCELLED;
      }
      finish = finished_;
      if (!finish && subscriber_ == nullptr) written_early_ = true;
      if (!finish && subscriber_ != nullptr) subscriber_->ready();
    }
    if (finish) Finish(last_);
  }
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override {
    membership_.leave();
    std::unique_ptr<RevocationFeed::Subscriber> leaving;
    {
      const std::lock_guard lock(mutex_);
      leaving = std::move(subscriber_);
    }
    leaving.reset();
    const auto self = std::exchange(self_, nullptr);
  }

 private:
  std::shared_ptr<WatchStream> self_;
  rpc::Drain::Ticket membership_;
  std::mutex mutex_;
  std::unique_ptr<RevocationFeed::Subscriber> subscriber_;
  Response response_;  // gRPC's while writing_
  grpc::Status last_;
  bool written_early_ = false;
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace

grpc::ServerWriteReactor<Response>* RevocationFeedService::WatchRevocations(
    grpc::CallbackServerContext* context, const v1::WatchRevocationsRequest* request) {
  const auto caller = guard_.admit(*context, kWatch);
  if (!caller) return new RefusedWatch(rpc::to_status(caller.error()));
  rpc::Drain* const drain = drain_.load();
  if (drain == nullptr || drain->draining()) {
    return new RefusedWatch({grpc::StatusCode::UNAVAILABLE, "the server is starting or stopping"});
  }
  std::optional<std::uint64_t> after;
  if (request->has_after_sequence()) after = request->after_sequence();
  auto stream = std::make_shared<WatchStream>();
  stream->begin(feed_, *drain, after);
  return stream.get();
}

}  // namespace keystub::kms
