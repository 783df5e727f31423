// MediaControlService: the Mp interface (proto/keystub/v1/media_control.proto) in front of a media
// plane. Requests are read here, on gRPC's threads, keys are moved out of them into Secrets, and
// the work is done on the plane's event loop.
#pragma once

#include <string>
#include <vector>

#include "keystub/v1/media_control.grpc.pb.h"
#include "mrfp-agent/media_plane.h"
#include "rpc/guard.h"
#include "rpc/server.h"
#include "service/log.h"

namespace keystub::mrfp {

// A row per method: only callers with a verified certificate (MRFC-B8), and if there are `names`,
// one that bears one of them.
std::vector<rpc::MethodRule> media_control_rules(const std::vector<std::string>& names);

// Thread-safe. Everything handed in must outlive it; the plane's loop must run until the server
// has stopped, as calls that are under way end there.
class MediaControlService final : public v1::MediaControl::CallbackService {
 public:
  MediaControlService(MediaPlane& plane, const rpc::Guard& guard, service::Log& log)
      : plane_(plane), guard_(guard), log_(log) {}
  // Once, right after the server has started: without it nothing but a refusal is served.
  void set_drain(rpc::Drain& drain) noexcept { drain_ = &drain; }

  grpc::ServerUnaryReactor* Reserve(grpc::CallbackServerContext* context,
                                    const v1::ReserveRequest* request,
                                    v1::ReserveResponse* response) override;
  grpc::ServerUnaryReactor* Configure(grpc::CallbackServerContext* context,
                                      const v1::ConfigureRequest* request,
                                      v1::ConfigureResponse* response) override;
  grpc::ServerUnaryReactor* Start(grpc::CallbackServerContext* context,
                                  const v1::StartRequest* request,
                                  v1::StartResponse* response) override;
  grpc::ServerUnaryReactor* Modify(grpc::CallbackServerContext* context,
                                   const v1::ModifyRequest* request,
                                   v1::ModifyResponse* response) override;
  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* context,
                                    const v1::ReleaseRequest* request,
                                    v1::ReleaseResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::ListRequest* request,
                                 v1::ListResponse* response) override;
  grpc::ServerWriteReactor<v1::MediaEvent>* WatchEvents(
      grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) override;

 private:
  // Admits the caller, then runs `work` on the loop and finishes the call with what it returns.
  template <class Work>
  grpc::ServerUnaryReactor* on_loop(grpc::CallbackServerContext* context, const char* method,
                                    const std::string& trace_id, Work work);
  Result<void> admit(const grpc::CallbackServerContext& context, const char* method) const;
  grpc::Status refuse(std::string_view method, const std::string& trace_id, const Error& error);

  MediaPlane& plane_;
  const rpc::Guard& guard_;
  service::Log& log_;
  std::atomic<rpc::Drain*> drain_ = nullptr;
};

}  // namespace keystub::mrfp
