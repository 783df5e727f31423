// grpc.health.v1.Health, guarded, and with the reason where the caller may know it: gRPC's own
// health service asks no guard and has no words for why.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/guard.h"
#include "rpc/health.h"
#include "rpc/server.h"

namespace keystub::rpc {

// Thread-safe.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  // `guard` must outlive the server that this is registered with. Until set() says otherwise the
  // whole server ("") is NOT_SERVING.
  explicit HealthService(const Guard& guard);
  ~HealthService() override;

  // The state of a service ("": the whole server); an empty reason: SERVING. Streams that watch it
  // are told.
  void set(const std::string& service, const std::string& reason);
  // The drain of the server, as soon as it runs: streams that watch end with it.
  void set_drain(Drain& drain) noexcept { drain_ = &drain; }

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class WatchStream;
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  Status status_of(const std::string& service) const;  // under mutex_

  const Guard& guard_;
  std::atomic<Drain*> drain_{nullptr};
  mutable std::mutex mutex_;
  std::map<std::string, std::string> reasons_;  // by service; empty: it serves
  std::set<std::shared_ptr<WatchStream>> watching_;
};

}  // namespace keystub::rpc
