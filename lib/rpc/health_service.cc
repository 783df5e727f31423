#include "rpc/health_service.h"

#include <utility>
#include <vector>

#include "rpc/status.h"

namespace keystub::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr std::string_view kCheck = "/grpc.health.v1.Health/Check";
constexpr std::string_view kWatch = "/grpc.health.v1.Health/Watch";

class RefusedWatch final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

// A header holds printable ASCII.
std::string header_text(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = ' ';
  }
  return text;
}

}  // namespace

// One that watches: writes the newest state whenever it differs from what was written last.
class HealthService::WatchStream final : public grpc::ServerWriteReactor<HealthCheckResponse>,
                                         public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(HealthService& service, std::string name)
      : service_(service), name_(std::move(name)) {}

  const std::string& name() const noexcept { return name_; }

  void begin(Drain& drain, Status status) {
    self_ = shared_from_this();
    membership_ = drain.join([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->end(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is stopping"));
      }
    });
    tell(status);
  }

  void tell(Status status) {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = status;
      if (writing_ || finished_ || wanted_ == written_) return;
      begin_write();
    }
    StartWrite(&response_);
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
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      if (!finished_ && !ok) {
        finished_ = true;
        last_ = grpc::Status::CANCELLED;
      } else if (!finished_) {
        again = wanted_ != written_;
        if (!again) return;
        begin_write();
      }
    }
    if (again) {
      StartWrite(&response_);
    } else {
      Finish(last_);
    }
  }
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override {
    membership_.leave();
    const auto self = std::exchange(self_, nullptr);
    const std::lock_guard lock(service_.mutex_);
    service_.watching_.erase(self);
  }

 private:
  void begin_write() {
    writing_ = true;
    written_ = wanted_;
    response_.set_status(written_);
  }

  HealthService& service_;
  const std::string name_;
  std::shared_ptr<WatchStream> self_;
  Drain::Ticket membership_;
  std::mutex mutex_;
  HealthCheckResponse response_;  // gRPC's while writing_
  Status wanted_ = HealthCheckResponse::UNKNOWN;
  Status written_ = HealthCheckResponse::UNKNOWN;
  grpc::Status last_;
  bool writing_ = false;
  bool finished_ = false;
};

HealthService::HealthService(const Guard& guard) : guard_(guard) {
  reasons_[""] = "the server is starting";
}
HealthService::~HealthService() = default;

HealthService::Status HealthService::status_of(const std::string& service) const {
  const auto found = reasons_.find(service);
  if (found == reasons_.end()) return HealthCheckResponse::SERVICE_UNKNOWN;
  return found->second.empty() ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

void HealthService::set(const std::string& service, const std::string& reason) {
  std::vector<std::shared_ptr<WatchStream>> told;
  Status status = HealthCheckResponse::UNKNOWN;
  {
    const std::lock_guard lock(mutex_);
    reasons_[service] = reason;
    status = status_of(service);
    for (const auto& stream : watching_) {
      if (stream->name() == service) told.push_back(stream);
    }
  }
  for (const auto& stream : told) stream->tell(status);
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  auto* const reactor = context->DefaultReactor();
  const auto caller = guard_.admit(*context, kCheck);
  if (!caller) {
    reactor->Finish(to_status(caller.error()));
    return reactor;
  }
  std::string reason;
  {
    const std::lock_guard lock(mutex_);
    response->set_status(status_of(request->service()));
    const auto found = reasons_.find(request->service());
    if (found != reasons_.end()) reason = found->second;
  }
  if (response->status() == HealthCheckResponse::SERVICE_UNKNOWN) {
    reactor->Finish({grpc::StatusCode::NOT_FOUND, "there is no service of this name here"});
    return reactor;
  }
  const bool known =
      caller->kind == CallerKind::certificate || caller->kind == CallerKind::unix_peer;
  if (!reason.empty() && known) context->AddTrailingMetadata(kHealthReasonKey, header_text(reason));
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* context, const HealthCheckRequest* request) {
  const auto caller = guard_.admit(*context, kWatch);
  if (!caller) return new RefusedWatch(to_status(caller.error()));
  Drain* const drain = drain_.load();
  if (drain == nullptr) {
    return new RefusedWatch({grpc::StatusCode::UNAVAILABLE, "the server is starting"});
  }
  auto stream = std::make_shared<WatchStream>(*this, request->service());
  Status status = HealthCheckResponse::UNKNOWN;
  {
    const std::lock_guard lock(mutex_);
    watching_.insert(stream);
    status = status_of(request->service());
  }
  stream->begin(*drain, status);
  return stream.get();
}

}  // namespace keystub::rpc
