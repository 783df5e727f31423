// RevocationFeed over gRPC: a stream per subscriber. One of these per port, each with the guard of
// its port; all stand on the same feed.
#pragma once

#include <atomic>

#include "keystub/v1/revocation.grpc.pb.h"
#include "kms-server/revocation_feed.h"
#include "rpc/guard.h"
#include "rpc/server.h"

namespace keystub::kms {

class RevocationFeedService final : public v1::RevocationFeed::CallbackService {
 public:
  // Both must outlive the server that this is registered with.
  RevocationFeedService(RevocationFeed& feed, const rpc::Guard& guard)
      : feed_(feed), guard_(guard) {}

  // The drain of that server, as soon as it runs; calls are refused (UNAVAILABLE) until then.
  void set_drain(rpc::Drain& drain) noexcept { drain_ = &drain; }

  grpc::ServerWriteReactor<v1::WatchRevocationsResponse>* WatchRevocations(
      grpc::CallbackServerContext* context, const v1::WatchRevocationsRequest* request) override;

 private:
  RevocationFeed& feed_;
  const rpc::Guard& guard_;
  std::atomic<rpc::Drain*> drain_{nullptr};
};

}  // namespace keystub::kms
