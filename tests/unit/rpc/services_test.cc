// Health and reflection behind the guard, and names that a certificate cannot claim.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <thread>

#include "rpc/call.h"
#include "rpc/health.h"
#include "rpc/health_service.h"
#include "rpc/reflection_service.h"
#include "rpc/unix_listener.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace keystub::rpc {
namespace {

using namespace std::chrono_literals;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

struct ServicesTest : RpcFixture {
  Guard open_guard{
      {{"/grpc.health.v1.Health/Check", CallerKind::plaintext},
       {"/grpc.health.v1.Health/Watch", CallerKind::plaintext},
       {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", CallerKind::plaintext}}};
  HealthService health{open_guard};
  ReflectionService reflection{{"keystub.v1.TicketService"}, open_guard};

  void serve() {
    ServerOptions options;
    options.listeners.push_back({"main", "127.0.0.1:0", grpc::InsecureServerCredentials()});
    options.services = {&health, &reflection};
    options.health = false;
    server = Server::start(options).value();
    health.set_drain(server->drain());
  }
  std::shared_ptr<grpc::Channel> channel() {
    return open_plaintext_channel(server->address("main"));
  }
  grpc::Status check(const std::string& name, HealthCheckResponse& response) {
    grpc::ClientContext context;
    prepare(context, 5s);
    HealthCheckRequest request;
    request.set_service(name);
    return grpc::health::v1::Health::NewStub(channel())->Check(&context, request, &response);
  }
};

TEST_F(ServicesTest, HealthSaysWhatItWasTold) {
  serve();
  HealthCheckResponse response;
  ASSERT_TRUE(check("", response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING) << "not before it was told";
  health.set("", "");
  ASSERT_TRUE(check("", response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  EXPECT_EQ(check("no.such", response).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(check_health(channel(), 5s).has_value());
}

TEST_F(ServicesTest, TheReasonIsForThoseWhoProvedWhoTheyAre) {
  serve();
  health.set("", "audit: the disk is full");
  EXPECT_THAT(check_health(channel(), 5s).error().text(), Not(HasSubstr("the disk is full")));

  const auto path = folder / "admin.sock";
  auto listener = UnixListener::open(path).value();
  const Guard guard({{"/grpc.health.v1.Health/Check", CallerKind::unix_peer}}, listener.get());
  HealthService told(guard);
  ServerOptions options;
  options.unix_listener = listener.get();
  options.services = {&told};
  options.health = false;
  server = Server::start(options).value();
  told.set("", "audit: the disk\nis full");
  EXPECT_THAT(check_health(open_unix_channel(path), 5s).error().text(),
              HasSubstr("audit: the disk is full"));
  server.reset();
}

TEST_F(ServicesTest, WhoWatchesHealthIsToldOfChangesAndOfTheEnd) {
  serve();
  health.set("", "");
  grpc::ClientContext context;
  prepare(context, 20s);
  const auto stub = grpc::health::v1::Health::NewStub(channel());
  const auto stream = stub->Watch(&context, {});
  HealthCheckResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  health.set("", "store: gone");
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  std::thread stopping([this] { server->stop(5s, 5s); });
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stopping.join();
}

TEST_F(ServicesTest, AWatchThatIsCancelledIsForgotten) {
  serve();
  const auto stub = grpc::health::v1::Health::NewStub(channel());
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    const auto stream = stub->Watch(&context, {});
    HealthCheckResponse response;
    ASSERT_TRUE(stream->Read(&response));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  server->stop(5s, 5s);
}

TEST_F(ServicesTest, ReflectionTellsServicesAndTheirFiles) {
  serve();
  grpc::ClientContext context;
  prepare(context, 20s);
  const auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel());
  const auto stream = stub->ServerReflectionInfo(&context);
  ServerReflectionRequest request;
  ServerReflectionResponse response;
  request.set_list_services("");
  ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
  ASSERT_EQ(response.list_services_response().service_size(), 1);
  EXPECT_EQ(response.list_services_response().service(0).name(), "keystub.v1.TicketService");

  request.set_file_containing_symbol("keystub.v1.TicketService");
  ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
  // The file itself, duration.proto and timestamp.proto.
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 3);

  request.set_file_by_filename("no/such.proto");
  ASSERT_TRUE(stream->Write(request) && stream->Read(&response));
  EXPECT_EQ(response.error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServicesTest, ReflectionAsksTheGuard) {
  serve();
  open_guard.replace({});
  grpc::ClientContext context;
  prepare(context, 20s);
  const auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel());
  EXPECT_EQ(stub->ServerReflectionInfo(&context)->Finish().error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  HealthCheckResponse response;
  EXPECT_EQ(check("", response).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

// KMS-7: what the kernel says about a Unix peer, no certificate may say.
TEST_F(ServicesTest, ACertificateCannotClaimAUserId) {
  make_certificates();
  ASSERT_TRUE(LabCa::open(folder.path()).value().issue({.name = "claims-root", .uris = {"uid:0"}}));
  start(server_credentials(server_tls(ClientCertificate::required)).value());
  const auto channel =
      open_tls_channel(server->address("main"), channel_tls("claims-root")).value();
  grpc::ClientContext context;
  prepare(context, 5s);
  v1::RequestTicketResponse response;
  ASSERT_TRUE(v1::TicketService::NewStub(channel)->RequestTicket(&context, {}, &response).ok());
  EXPECT_EQ(service.callers.back().kind, CallerKind::certificate);
  EXPECT_THAT(service.callers.back().names, Not(Contains(HasSubstr("uid:"))));
}

}  // namespace
}  // namespace keystub::rpc
