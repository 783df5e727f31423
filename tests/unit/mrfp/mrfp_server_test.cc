// The daemon as an object, over real gRPC with mutual TLS: the guard's table, and stops that
// cannot hang (MRFC-B8).
#include "mrfp-agent/mrfp_server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "keystub/v1/media_control.grpc.pb.h"
#include "mrfp-agent/media_control_service.h"
#include "rpc/call.h"
#include "rpc/credentials.h"
#include "rpc/lab_ca.h"
#include "tests/support/temp_dir.h"

namespace keystub::mrfp {
namespace {

using namespace std::chrono_literals;

rpc::Caller caller_of(rpc::CallerKind kind) {
  rpc::Caller caller;
  caller.kind = kind;
  return caller;
}

TEST(MediaControlService, MRFC_B8_EveryMethodHasARowAndAsksForACertificate) {
  // MRFC-B8
  const rpc::Guard guard(media_control_rules({}));
  EXPECT_THAT(guard.uncovered({"keystub.v1.MediaControl"}), ::testing::IsEmpty());
  for (const auto& rule : media_control_rules({"sip:mrfc@example.com"})) {
    for (const rpc::CallerKind kind :
         {rpc::CallerKind::plaintext, rpc::CallerKind::anonymous_tls, rpc::CallerKind::unix_peer}) {
      EXPECT_FALSE(guard.check(caller_of(kind), rule.method).has_value()) << rule.method;
    }
    EXPECT_TRUE(guard.check(caller_of(rpc::CallerKind::certificate), rule.method)) << rule.method;
    EXPECT_THAT(rule.names, ::testing::ElementsAre("sip:mrfc@example.com"));
  }
}

class MrfpServerTest : public ::testing::Test {
 protected:
  MrfpServerTest() {
    auto ca = rpc::LabCa::create(folder.path(), "test CA").value();
    rpc::LabCertificate mrfp;
    mrfp.name = "mrfp";
    mrfp.ip_addresses = {"127.0.0.1"};
    rpc::LabCertificate mrfc;
    mrfc.name = "mrfc";
    mrfc.uris = {"sip:mrfc@example.com"};
    EXPECT_TRUE(ca.issue(mrfp));
    EXPECT_TRUE(ca.issue(mrfc));
    settings.control_address = "127.0.0.1:0";
    settings.certificate = ca.certificate_file("mrfp");
    settings.private_key = ca.key_file("mrfp");
    settings.client_ca = ca.certificate_file();
    settings.client_names = {"sip:mrfc@example.com"};
    settings.drain_time = 300ms;
    settings.cancel_after = 300ms;
    server = MrfpServer::start(settings, {clock, random, log}).value();
    // A window that does not grow: a watcher that does not read is soon paused.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 16 * 1024);
    channel = grpc::CreateCustomChannel(
        server->endpoints()[0].address,
        rpc::channel_credentials(
            {ca.certificate_file(), ca.certificate_file("mrfc"), ca.key_file("mrfc")})
            .value(),
        arguments);
    stub = v1::MediaControl::NewStub(channel);
  }

  v1::ReserveResponse reserve() {
    grpc::ClientContext context;
    rpc::prepare(context, 5s);
    v1::ReserveRequest request;
    request.set_transport(v1::TRANSPORT_TCP_TLS_MSRP);
    v1::ReserveResponse response;
    const auto status = stub->Reserve(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  void release(const v1::ReserveResponse& stream) {
    grpc::ClientContext context;
    rpc::prepare(context, 5s);
    v1::ReleaseRequest request;
    request.set_context_id(stream.context_id());
    v1::ReleaseResponse response;
    EXPECT_TRUE(stub->Release(&context, request, &response).ok());
  }
  std::chrono::milliseconds stop() {
    const auto begin = std::chrono::steady_clock::now();
    server->stop();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 begin);
  }

  keystub::testing::TempDir folder;
  SystemClock clock;
  OpenSslRandom random;
  service::Log log{"test", service::LogLevel::off};
  AgentSettings settings;
  std::unique_ptr<MrfpServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::MediaControl::Stub> stub;
};

TEST_F(MrfpServerTest, StopsWithAnIdleWatcher) {
  grpc::ClientContext context;
  auto idle = stub->WatchEvents(&context, {});
  idle->WaitForInitialMetadata();
  EXPECT_LT(stop(), 5s);
  v1::MediaEvent event;
  EXPECT_FALSE(idle->Read(&event));
  EXPECT_EQ(idle->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(MrfpServerTest, StopsWithBusyAndPausedWatchers) {
  grpc::ClientContext paused_context;
  auto paused = stub->WatchEvents(&paused_context, {});
  paused->WaitForInitialMetadata();
  grpc::ClientContext busy_context;
  auto busy = stub->WatchEvents(&busy_context, {});
  busy->WaitForInitialMetadata();
  std::atomic<int> seen{0};
  std::thread reader([&] {
    v1::MediaEvent event;
    while (busy->Read(&event)) ++seen;
  });
  // Far more than a window: the one that does not read is paused by flow control.
  constexpr int kStreams = 1500;
  for (int i = 0; i < kStreams; ++i) release(reserve());

  EXPECT_LT(stop(), 10s);
  reader.join();
  EXPECT_EQ(busy->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(seen, kStreams);
  // What was on its way still arrives; then the end.
  v1::MediaEvent event;
  int late = 0;
  while (paused->Read(&event)) ++late;
  EXPECT_FALSE(paused->Finish().ok());
  EXPECT_LT(late, kStreams) << "it was never paused";
}

TEST_F(MrfpServerTest, AWatcherThatIsCancelledLeavesNothingBehind) {
  {
    grpc::ClientContext context;
    auto watch = stub->WatchEvents(&context, {});
    watch->WaitForInitialMetadata();
    context.TryCancel();
    EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  release(reserve());
  EXPECT_LT(stop(), 5s);
}

TEST_F(MrfpServerTest, RequestsAfterTheStopAreUnavailable) {
  const auto stream = reserve();
  stop();
  grpc::ClientContext context;
  rpc::prepare(context, 2s);
  v1::ListResponse response;
  EXPECT_EQ(stub->List(&context, {}, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace keystub::mrfp
