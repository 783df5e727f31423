// The Mp client against an MRFP of the test's own, over real gRPC with mutual TLS.
#include "mrfc-agent/media_control_client.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include "keystub/v1/media_control.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/lab_ca.h"
#include "rpc/server.h"
#include "tests/support/temp_dir.h"

namespace keystub::mrfc {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Remembers the last request of each kind; its events are what the test puts in.
class FakeMrfp final : public v1::MediaControl::Service {
 public:
  grpc::Status Reserve(grpc::ServerContext*, const v1::ReserveRequest* request,
                       v1::ReserveResponse* response) override {
    const std::scoped_lock lock(mutex);
    reserve = *request;
    response->set_context_id("c1");
    response->set_stream_id("s1");
    response->mutable_local()->set_ip("192.0.2.1");
    response->mutable_local()->set_port(port);
    response->mutable_msrp()->set_local_path("msrps://192.0.2.1:9/x;tcp");
    return next();
  }
  grpc::Status Configure(grpc::ServerContext*, const v1::ConfigureRequest* request,
                         v1::ConfigureResponse*) override {
    const std::scoped_lock lock(mutex);
    configure = *request;
    return next();
  }
  grpc::Status Start(grpc::ServerContext*, const v1::StartRequest* request,
                     v1::StartResponse*) override {
    const std::scoped_lock lock(mutex);
    start = *request;
    return next();
  }
  grpc::Status Modify(grpc::ServerContext*, const v1::ModifyRequest* request,
                      v1::ModifyResponse*) override {
    const std::scoped_lock lock(mutex);
    modify = *request;
    return next();
  }
  grpc::Status Release(grpc::ServerContext*, const v1::ReleaseRequest* request,
                       v1::ReleaseResponse*) override {
    const std::scoped_lock lock(mutex);
    release = *request;
    return next();
  }
  grpc::Status List(grpc::ServerContext*, const v1::ListRequest*,
                    v1::ListResponse* response) override {
    const std::scoped_lock lock(mutex);
    *response = list;
    response->set_instance_id(instance);
    response->set_sequence(last_sequence);
    return grpc::Status::OK;
  }
  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::MediaEvent>* writer) override {
    std::unique_lock lock(mutex);
    watched_from.push_back(request->from_sequence());
    changed.notify_all();
    for (;;) {
      while (!changed.wait_for(lock, 5ms, [&] { return !events.empty() || end_watch; })) {
        if (context->IsCancelled()) return grpc::Status::CANCELLED;
      }
      if (end_watch) {
        const grpc::Status status = *end_watch;
        end_watch.reset();
        return status;
      }
      const v1::MediaEvent event = events.front();
      events.pop_front();
      lock.unlock();
      writer->Write(event);
      lock.lock();
    }
  }

  v1::MediaEvent& push_event() {
    events.emplace_back();
    events.back().set_instance_id(instance);
    events.back().set_sequence(++last_sequence);
    events.back().set_context_id("c1");
    events.back().set_stream_id("s1");
    changed.notify_all();
    return events.back();
  }

  std::mutex mutex;
  std::condition_variable changed;
  grpc::Status answer;  // to the next request
  std::uint32_t port = 4242;
  v1::ReserveRequest reserve;
  v1::ConfigureRequest configure;
  v1::StartRequest start;
  v1::ModifyRequest modify;
  v1::ReleaseRequest release;
  v1::ListResponse list;
  std::string instance = "run-1";
  std::uint64_t last_sequence = 0;
  std::deque<v1::MediaEvent> events;
  std::optional<grpc::Status> end_watch;
  std::vector<std::uint64_t> watched_from;

 private:
  grpc::Status next() { return std::exchange(answer, grpc::Status::OK); }
};

// Writes down what it is told.
class Listener final : public MediaEventHandler {
 public:
  void on_media_event(const MediaEvent& event) override {
    constexpr std::array kNames{"established", "tcp_failure", "tls_failure", "released"};
    say(std::string(kNames.at(static_cast<std::size_t>(event.kind))) + " " +
        event.stream.stream_id + " " + event.detail);
  }
  std::vector<StreamKey> expected_streams() const override { return {{"c1", "s1"}}; }
  void on_streams_lost(const std::vector<StreamKey>& streams) override {
    for (const StreamKey& stream : streams) say("lost " + stream.stream_id);
  }
  void on_gateway_back() override { say("back"); }

  // Waits until it was told `count` things.
  std::vector<std::string> told(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 10s, [&] { return said_.size() >= count; });
    return said_;
  }

 private:
  void say(std::string text) {
    const std::scoped_lock lock(mutex_);
    said_.push_back(std::move(text));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> said_;
};

class MediaControlClientTest : public ::testing::Test {
 protected:
  MediaControlClientTest() {
    const auto ca = rpc::LabCa::create(folder.path(), "lab").value();
    for (const std::string name : {"mrfp", "mrfc"}) {
      rpc::LabCertificate certificate;
      certificate.name = name;
      certificate.ip_addresses = {"127.0.0.1"};
      EXPECT_TRUE(ca.issue(certificate));
    }
    rpc::ServerOptions options;
    options.listeners.push_back(
        {"mp", "127.0.0.1:0",
         rpc::server_credentials({folder / "mrfp.pem", folder / "mrfp.key", folder / "ca.pem",
                                  rpc::ClientCertificate::required})
             .value()});
    options.services.push_back(&mrfp);
    server = rpc::Server::start(options).value();
    client = connect(true);
  }
  ~MediaControlClientTest() override {
    client.reset();
    server->stop(100ms, 100ms);
  }

  std::unique_ptr<MediaControlClient> connect(bool with_certificate) {
    rpc::ChannelTls tls{folder / "ca.pem", {}, {}};
    if (with_certificate) {
      tls.certificate = folder / "mrfc.pem";
      tls.private_key = folder / "mrfc.key";
    }
    MediaControlOptions options;
    options.timeout = 5s;
    options.reconnect_after = 5ms;
    return std::make_unique<MediaControlClient>(
        rpc::open_tls_channel(server->address("mp"), tls).value(), options, log);
  }
  static PskCandidate key(const std::string& identity) {
    return {identity, Psk(as_bytes("0123456789abcdef0123456789abcdef")), "d1"};
  }

  keystub::testing::TempDir folder;
  FakeMrfp mrfp;
  service::Log log{"test", service::LogLevel::off};
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<MediaControlClient> client;
  const StreamKey stream{"c1", "s1"};
};

TEST_F(MediaControlClientTest, MRFC_B6_ReservesByTheNameOfTheTransport) {
  const auto reserved = client->reserve_msrp("c0", "trace-1");
  ASSERT_TRUE(reserved) << reserved.error().describe();
  EXPECT_EQ(mrfp.reserve.transport(), v1::TRANSPORT_TCP_TLS_MSRP);
  EXPECT_EQ(mrfp.reserve.context_id(), "c0");
  EXPECT_EQ(mrfp.reserve.trace_id(), "trace-1");
  EXPECT_EQ(reserved->key, stream);
  EXPECT_EQ(reserved->local, (MediaAddress{"192.0.2.1", 4242}));
  EXPECT_EQ(reserved->msrp_path, "msrps://192.0.2.1:9/x;tcp");
  mrfp.port = 0;
  EXPECT_EQ(client->reserve_msrp("", "").error().category(), Category::internal);
}

TEST_F(MediaControlClientTest, MRFC_I6_KeysRolesAndSuitesArrive) {
  StreamConfiguration configuration;
  configuration.remote = {"198.51.100.7", 7654};
  configuration.roles = {.tcp_client = true, .tls_client = false};
  configuration.keys.push_back(key("id-1"));
  configuration.cipher_suites = {"A", "B"};
  configuration.remote_msrp_path = "msrps://ue/x;tcp";
  ASSERT_TRUE(client->configure(stream, configuration, "t"));
  EXPECT_EQ(mrfp.configure.tcp_role(), v1::TCP_ROLE_CLIENT);
  EXPECT_EQ(mrfp.configure.tls_role(), v1::TLS_ROLE_SERVER);
  EXPECT_EQ(mrfp.configure.remote().port(), 7654U);
  EXPECT_EQ(mrfp.configure.msrp().remote_path(), "msrps://ue/x;tcp");
  EXPECT_THAT(mrfp.configure.cipher_suites(), ElementsAre("A", "B"));
  ASSERT_EQ(mrfp.configure.keys_size(), 1);
  EXPECT_EQ(mrfp.configure.keys(0).identity(), "id-1");
  EXPECT_EQ(mrfp.configure.keys(0).psk(), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(mrfp.configure.keys(0).dialog_id(), "d1");

  configuration.roles = {};
  configuration.remote = {};
  ASSERT_TRUE(client->configure(stream, configuration, "t"));
  EXPECT_FALSE(mrfp.configure.has_remote());

  ASSERT_TRUE(client->start(stream, {.tcp_client = true, .tls_client = true}, "t"));
  EXPECT_TRUE(mrfp.start.tcp() && mrfp.start.tls());
  std::vector<PskCandidate> keys;
  keys.push_back(key("id-2"));
  ASSERT_TRUE(client->modify(stream, keys, "", "t"));
  EXPECT_EQ(mrfp.modify.keys(0).identity(), "id-2");
  EXPECT_FALSE(mrfp.modify.has_msrp());
  ASSERT_TRUE(client->release(stream, "t"));
  EXPECT_EQ(mrfp.release.stream_id(), "s1");
}

// MRFC-B8
TEST_F(MediaControlClientTest, MRFC_B8_WithoutAClientCertificateThereIsNoMp) {
  const auto reserved = connect(false)->reserve_msrp("", "");
  ASSERT_FALSE(reserved);
  EXPECT_EQ(reserved.error().category(), Category::unavailable);
  EXPECT_TRUE(connect(true)->reserve_msrp("", ""));
}

TEST_F(MediaControlClientTest, MRFC_B6_RefusalsOfTheMrfpAreNoVerdictOnThePeer) {
  const auto category_after = [&](grpc::StatusCode code, auto call) {
    mrfp.answer = {code, "no"};
    return call().error().category();
  };
  const auto reserve = [&] { return client->reserve_msrp("known", ""); };
  EXPECT_EQ(category_after(grpc::StatusCode::NOT_FOUND, reserve), Category::not_found);
  EXPECT_EQ(category_after(grpc::StatusCode::PERMISSION_DENIED, reserve), Category::internal);
  EXPECT_EQ(category_after(grpc::StatusCode::RESOURCE_EXHAUSTED, reserve), Category::busy);
  EXPECT_EQ(category_after(grpc::StatusCode::UNAVAILABLE, reserve), Category::unavailable);
  EXPECT_EQ(
      category_after(grpc::StatusCode::NOT_FOUND, [&] { return client->start(stream, {}, ""); }),
      Category::internal);
  mrfp.answer = {grpc::StatusCode::NOT_FOUND, "gone"};
  EXPECT_TRUE(client->release(stream, "")) << "what is gone is released";
}

TEST_F(MediaControlClientTest, MRFC_I6_EventsReachTheListener) {
  mrfp.list.add_streams()->set_context_id("c1");
  mrfp.list.mutable_streams(0)->set_stream_id("s1");
  Listener listener;
  client->watch(listener);
  listener.told(1);
  {
    const std::scoped_lock lock(mrfp.mutex);
    mrfp.push_event().mutable_tls_failure()->set_reason("a stranger");
    v1::Established& established = *mrfp.push_event().mutable_established();
    established.set_tls_version("TLSv1.3");
    established.set_cipher_suite("X");
    v1::TcpFailure& failure = *mrfp.push_event().mutable_tcp_failure();
    failure.set_reason("reset");
    failure.set_final(true);
    mrfp.push_event().mutable_released()->set_reason("over");
  }
  EXPECT_THAT(listener.told(4), ElementsAre("back", "established s1 TLSv1.3 X",
                                            "tcp_failure s1 reset", "released s1 over"))
      << "an attempt that is not the last says nothing about the stream";
  EXPECT_TRUE(client->watching());
  client->stop();
  EXPECT_FALSE(client->watching());
}

TEST_F(MediaControlClientTest, MRFC_I6_ABrokenWatchGoesOnWhereItEnded) {
  mrfp.list.add_streams()->set_context_id("c1");
  mrfp.list.mutable_streams(0)->set_stream_id("s1");
  Listener listener;
  client->watch(listener);
  listener.told(1);
  {
    const std::scoped_lock lock(mrfp.mutex);
    mrfp.push_event().mutable_released()->set_reason("1");
  }
  listener.told(2);
  {
    const std::scoped_lock lock(mrfp.mutex);
    mrfp.end_watch = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
    mrfp.list.clear_streams();
  }
  EXPECT_THAT(listener.told(3), ElementsAre("back", "released s1 1", "back"))
      << "the same run of the MRFP: nothing was missed, so nothing is lost";
  std::unique_lock lock(mrfp.mutex);
  mrfp.changed.wait_for(lock, 10s, [&] { return mrfp.watched_from.size() == 2; });
  EXPECT_THAT(mrfp.watched_from, ElementsAre(1U, 2U));
}

TEST_F(MediaControlClientTest, MRFC_I6_ARestartedMrfpIsTakenStockOf) {
  v1::StreamStatus& status = *mrfp.list.add_streams();
  status.set_context_id("c1");
  status.set_stream_id("s1");
  status.set_state(v1::STREAM_STATE_ESTABLISHED);
  status.mutable_session()->set_tls_version("TLSv1.2");
  status.mutable_session()->set_cipher_suite("Y");
  Listener listener;
  client->watch(listener);
  EXPECT_THAT(listener.told(2), ElementsAre("established s1 TLSv1.2 Y", "back"));
  {
    const std::scoped_lock lock(mrfp.mutex);
    mrfp.end_watch = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
    mrfp.instance = "run-2";
    mrfp.list.clear_streams();
  }
  EXPECT_THAT(listener.told(4), ElementsAre("established s1 TLSv1.2 Y", "back", "lost s1", "back"));
  {
    const std::scoped_lock lock(mrfp.mutex);
    mrfp.end_watch = grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "no longer kept");
  }
  EXPECT_EQ(listener.told(6).at(4), "lost s1") << "what was missed is found out anew";
}

}  // namespace
}  // namespace keystub::mrfc
