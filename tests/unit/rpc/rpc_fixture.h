// A real TicketService on loopback whose behaviour the test chooses, and a lab CA, for the tests
// of this room.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/support/server_callback.h>
#include <gtest/gtest.h>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/guard.h"
#include "rpc/lab_ca.h"
#include "rpc/server.h"
#include "tests/support/temp_dir.h"

namespace keystub::rpc {

// The stream of a well-behaved daemon: echoes, or holds its answers back, and obeys Drain.
class EchoStream final : public grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse> {
 public:
  EchoStream(Drain& drain, bool answers, bool reads) : answers_(answers) {
    if (reads) StartRead(&request_);
    ticket_ =
        drain.join([this] { finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining")); });
  }
  void OnReadDone(bool ok) override {
    if (!ok) return finish(grpc::Status::OK);
    if (!answers_) return;
    response_.set_sequence(request_.sequence());
    response_.set_mikey(request_.mikey());
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&request_);
  }
  void OnCancel() override { finish(grpc::Status::CANCELLED); }
  void OnDone() override {
    ticket_.leave();
    delete this;
  }

 private:
  void finish(const grpc::Status& status) {
    if (!finished_.exchange(true)) Finish(status);
  }
  const bool answers_;
  std::atomic<bool> finished_{false};
  v1::ExchangeRequest request_;
  v1::ExchangeResponse response_;
  Drain::Ticket ticket_;
};

class TestService final : public v1::TicketService::CallbackService {
 public:
  using Answer =
      std::function<grpc::Status(const v1::RequestTicketRequest&, v1::RequestTicketResponse&)>;
  std::optional<Guard> guard{
      std::in_place,
      std::vector<MethodRule>{{"/keystub.v1.TicketService/RequestTicket",
                               CallerKind::plaintext | CallerKind::anonymous_tls |
                                   CallerKind::certificate | CallerKind::unix_peer},
                              {"/keystub.v1.TicketService/ResolveTicket",
                               CallerKind::certificate,
                               {"mrfc.example.com"}},
                              {"/keystub.v1.TicketService/Exchange", CallerKind::plaintext}}};
  Answer answer = [](const auto& request, auto& response) {
    response.set_mikey(request.mikey());
    return grpc::Status::OK;
  };
  Drain* drain = nullptr;
  bool stream_answers = true;
  bool stream_reads = true;
  std::mutex mutex;
  std::vector<Caller> callers;

  grpc::ServerUnaryReactor* RequestTicket(grpc::CallbackServerContext* context,
                                          const v1::RequestTicketRequest* request,
                                          v1::RequestTicketResponse* response) override {
    auto* reactor = context->DefaultReactor();
    auto caller = guard->admit(*context, "/keystub.v1.TicketService/RequestTicket");
    if (!caller) {
      reactor->Finish({grpc::StatusCode::PERMISSION_DENIED, caller.error().text()});
      return reactor;
    }
    {
      const std::scoped_lock lock(mutex);
      callers.push_back(*caller);
    }
    reactor->Finish(answer(*request, *response));
    return reactor;
  }
  grpc::ServerUnaryReactor* ResolveTicket(grpc::CallbackServerContext* context,
                                          const v1::ResolveTicketRequest*,
                                          v1::ResolveTicketResponse*) override {
    auto* reactor = context->DefaultReactor();
    auto caller = guard->admit(*context, "/keystub.v1.TicketService/ResolveTicket");
    reactor->Finish(caller ? grpc::Status::OK
                           : grpc::Status(caller.error().category() == Category::unauthenticated
                                              ? grpc::StatusCode::UNAUTHENTICATED
                                              : grpc::StatusCode::PERMISSION_DENIED,
                                          caller.error().text()));
    return reactor;
  }
  grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* Exchange(
      grpc::CallbackServerContext*) override {
    return new EchoStream(*drain, stream_answers, stream_reads);
  }
};

struct RpcFixture : ::testing::Test {
  testing::TempDir folder;
  TestService service;
  std::unique_ptr<Server> server;

  void start(std::shared_ptr<grpc::ServerCredentials> credentials,
             UnixListener* unix_listener = nullptr) {
    ServerOptions options;
    if (credentials != nullptr) {
      options.listeners.push_back({"main", "127.0.0.1:0", std::move(credentials)});
    }
    options.unix_listener = unix_listener;
    options.services = {&service};
    auto started = Server::start(options);
    ASSERT_TRUE(started.has_value()) << started.error().text();
    server = std::move(*started);
    service.drain = &server->drain();
  }
  // The folder's CA with certificates for a server (127.0.0.1) and two clients.
  void make_certificates() {
    const auto ca = LabCa::create(folder.path(), "Lab CA").value();
    ASSERT_TRUE(ca.issue(
        {.name = "server", .dns_names = {"kms.example.com"}, .ip_addresses = {"127.0.0.1"}}));
    ASSERT_TRUE(ca.issue(
        {.name = "mrfc", .dns_names = {"mrfc.example.com"}, .uris = {"sip:mrfc@example.com"}}));
    ASSERT_TRUE(ca.issue({.name = "other", .dns_names = {"other.example.com"}}));
  }
  ServerTls server_tls(ClientCertificate client_certificate) const {
    return {folder / "server.pem", folder / "server.key", folder / "ca.pem", client_certificate};
  }
  ChannelTls channel_tls(const std::string& name = {}) const {
    ChannelTls tls{folder / "ca.pem", {}, {}};
    if (!name.empty())
      tls = {folder / "ca.pem", folder / (name + ".pem"), folder / (name + ".key")};
    return tls;
  }
  grpc::Status request(const std::shared_ptr<grpc::Channel>& channel,
                       const std::string& trace_id = {}, std::string* answer = nullptr) const;
  grpc::Status resolve(const std::shared_ptr<grpc::Channel>& channel) const;
};

}  // namespace keystub::rpc
