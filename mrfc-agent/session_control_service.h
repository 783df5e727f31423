// SessionControl over gRPC (callback API): the northbound interface of the MRFC. An adapter; what
// happens is SessionController's.
//
// The steps of a session wait for KMS and MRFP, so no RPC thread runs them: each call is handed to
// the work pool and finished from there. A full pool is RESOURCE_EXHAUSTED.
#pragma once

#include <atomic>

#include "keystub/v1/session_control.grpc.pb.h"
#include "mrfc-agent/session_controller.h"
#include "mrfc-agent/work_pool.h"
#include "rpc/guard.h"
#include "rpc/server.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::mrfc {

// Who may call: a row per method. `clients`: names of certificates; empty: any verified one.
std::vector<rpc::MethodRule> session_control_rules(const std::vector<std::string>& clients);

// Everything handed in must outlive the server that serves it.
class SessionControlService final : public v1::SessionControl::CallbackService {
 public:
  SessionControlService(SessionController& controller, EventHistory& events, WorkPool& pool,
                        const rpc::Guard& guard, const Clock& clock, service::Log& log,
                        service::Metrics& metrics)
      : controller_(controller),
        events_(events),
        pool_(pool),
        guard_(guard),
        clock_(clock),
        log_(log),
        metrics_(metrics),
        sessions_(metrics.gauge("mrfc_sessions", "Sessions that exist")) {}

  // Streams of events join the server's drain. Until then they are refused as UNAVAILABLE.
  void serve_streams(rpc::Drain& drain) { drain_ = &drain; }

  grpc::ServerUnaryReactor* CreateOffer(grpc::CallbackServerContext* context,
                                        const v1::CreateOfferRequest* request,
                                        v1::CreateOfferResponse* response) override;
  grpc::ServerUnaryReactor* AcceptAnswer(grpc::CallbackServerContext* context,
                                         const v1::AcceptAnswerRequest* request,
                                         v1::AcceptAnswerResponse* response) override;
  grpc::ServerUnaryReactor* AcceptOffer(grpc::CallbackServerContext* context,
                                        const v1::AcceptOfferRequest* request,
                                        v1::AcceptOfferResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseSession(grpc::CallbackServerContext* context,
                                           const v1::ReleaseSessionRequest* request,
                                           v1::ReleaseSessionResponse* response) override;
  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* context,
                                         const v1::ListSessionsRequest* request,
                                         v1::ListSessionsResponse* response) override;
  grpc::ServerWriteReactor<v1::SessionEvent>* WatchSessionEvents(
      grpc::CallbackServerContext* context, const v1::WatchSessionEventsRequest* request) override;

 private:
  // Admits the caller, then runs `step` on the pool and finishes the call with its status.
  template <class Step>
  grpc::ServerUnaryReactor* run(grpc::CallbackServerContext* context, const char* method,
                                const std::string& trace_id, Step step);
  grpc::Status refuse(std::string_view method, const std::string& trace_id, const Error& error);
  void count(std::string_view method, std::string_view result, SteadyTime since);

  SessionController& controller_;
  EventHistory& events_;
  WorkPool& pool_;
  const rpc::Guard& guard_;
  const Clock& clock_;
  service::Log& log_;
  service::Metrics& metrics_;
  service::Gauge sessions_;
  std::atomic<rpc::Drain*> drain_ = nullptr;
};

}  // namespace keystub::mrfc
