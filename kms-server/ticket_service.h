// TicketService over gRPC: adapts the three RPCs to TicketHandler (RFC 6043 4.2.1 and 4.2.3). The
// rules of the stream stand in ticket_service.proto.
#pragma once

#include <atomic>
#include <functional>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "kms-server/ticket_handler.h"
#include "rpc/guard.h"
#include "rpc/server.h"

namespace keystub::kms {

class TicketService final : public v1::TicketService::CallbackService {
 public:
  // Handler, guard and clock must outlive the server that this is registered with.
  // `max_outstanding`: messages of one stream that wait for their answers to leave.
  TicketService(TicketHandler& handler, const rpc::Guard& guard, const Clock& clock,
                std::size_t max_outstanding)
      : handler_(handler), guard_(guard), clock_(clock), max_outstanding_(max_outstanding) {}

  // The drain of that server, as soon as it runs; calls are refused (UNAVAILABLE) until then.
  void set_drain(rpc::Drain& drain) noexcept { drain_ = &drain; }

  grpc::ServerUnaryReactor* RequestTicket(grpc::CallbackServerContext* context,
                                          const v1::RequestTicketRequest* request,
                                          v1::RequestTicketResponse* response) override;
  grpc::ServerUnaryReactor* ResolveTicket(grpc::CallbackServerContext* context,
                                          const v1::ResolveTicketRequest* request,
                                          v1::ResolveTicketResponse* response) override;
  grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* Exchange(
      grpc::CallbackServerContext* context) override;

 private:
  template <class Request, class Response>
  grpc::ServerUnaryReactor* unary(grpc::CallbackServerContext& context, const Request& request,
                                  Response& response, std::string_view method, Accepted accepted);
  // The caller, if it may call `method` and the server takes new work.
  // Ends a call that was not admitted; while the server stops, when that is safe (rpc::Drain).
  void refuse(std::function<void()> finish) const;
  Result<rpc::Caller> admit(const grpc::CallbackServerContext& context,
                            std::string_view method) const;

  TicketHandler& handler_;
  const rpc::Guard& guard_;
  const Clock& clock_;
  const std::size_t max_outstanding_;
  std::atomic<rpc::Drain*> drain_{nullptr};
};

}  // namespace keystub::kms
