// The session control interface over real gRPC with mutual TLS, and mrfcctl as its client.
#include "mrfc-agent/session_control_service.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include <grpcpp/channel.h>
#include <nlohmann/json.hpp>

#include "mrfc-agent/mrfcctl/mrfcctl_client.h"
#include "mrfc-agent/revocation_client.h"
#include "rpc/channel.h"
#include "rpc/lab_ca.h"
#include "rpc/status.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/mrfc/mrfc_fixture.h"

namespace keystub::mrfc::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Json = nlohmann::json;

class ServiceTest : public MrfcTest {
 protected:
  ServiceTest() {
    const auto ca = rpc::LabCa::create(folder.path(), "lab").value();
    for (const std::string name : {"mrfc", "front", "stranger"}) {
      rpc::LabCertificate certificate;
      certificate.name = name;
      certificate.dns_names = {name + ".example.com"};
      certificate.ip_addresses = {"127.0.0.1"};
      EXPECT_TRUE(ca.issue(certificate));
    }
    rpc::ServerOptions options;
    options.listeners.push_back(
        {"sessions", "127.0.0.1:0",
         rpc::server_credentials({folder / "mrfc.pem", folder / "mrfc.key", folder / "ca.pem",
                                  rpc::ClientCertificate::required})
             .value()});
    options.services.push_back(&service);
    server = rpc::Server::start(options).value();
    service.serve_streams(server->drain());
    stub = v1::SessionControl::NewStub(channel("front"));
  }
  ~ServiceTest() override {
    server->stop(500ms, 500ms);
    pool.stop();
  }

  std::shared_ptr<grpc::Channel> channel(const std::string& name) {
    return rpc::open_tls_channel(
               server->address("sessions"),
               {folder / "ca.pem", folder / (name + ".pem"), folder / (name + ".key")})
        .value();
  }
  MrfcCtlClient ctl(OutputFormat format) { return {channel("front"), format, 10s}; }

  keystub::testing::TempDir folder;
  WorkPool pool{2, 8};
  const rpc::Guard guard{session_control_rules({"front.example.com"})};
  service::Log log{"test", service::LogLevel::off};
  service::Metrics metrics;
  SessionControlService service{*controller, events, pool, guard, clock, log, metrics};
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<v1::SessionControl::Stub> stub;
};

// MRFC-B8
TEST_F(ServiceTest, MRFC_B8_EveryMethodHasARowAndStrangersMayCallNone) {
  EXPECT_THAT(guard.uncovered({"keystub.v1.SessionControl"}), IsEmpty());
  const auto strangers = v1::SessionControl::NewStub(channel("stranger"));
  grpc::ClientContext list_context;
  v1::ListSessionsResponse sessions_seen;
  EXPECT_EQ(strangers->ListSessions(&list_context, {}, &sessions_seen).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext offer_context;
  v1::CreateOfferResponse created;
  EXPECT_EQ(strangers->CreateOffer(&offer_context, {}, &created).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext watch_context;
  v1::SessionEvent event;
  const auto reader = strangers->WatchSessionEvents(&watch_context, {});
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(media.calls.empty());
}

TEST_F(ServiceTest, MRFC_I1_ADialOutThroughMrfcctl) {
  auto client = ctl(OutputFormat::json);
  OfferArguments offer;
  offer.peer = kAlice;
  offer.sdp_out = folder / "offer.sdp";
  offer.trace_id = "trace-7";
  const auto made = client.offer(offer);
  ASSERT_TRUE(made) << made.error().describe();
  const std::string session = Json::parse(made->result).at("session");
  const std::string sdp = keystub::testing::TempDir::read(folder / "offer.sdp");
  EXPECT_THAT(sdp, HasSubstr("TCP/TLS/MSRP"));

  AcceptAnswerArguments answer;
  answer.session = session;
  answer.dialog = "to-tag";
  answer.sdp = folder.write("answer.sdp", user_answers(sdp, kAlice).sdp("passive"));
  answer.asserted = kAlice;
  const auto accepted = client.accept_answer(answer);
  ASSERT_TRUE(accepted) << accepted.error().describe();
  const Json status = Json::parse(accepted->result);
  EXPECT_EQ(status.at("dialog"), "to-tag");
  EXPECT_EQ(status.at("media").at(0).at("state"), "connecting");
  EXPECT_EQ(status.at("media").at(0).at("tls_client"), true);

  const Json listed = Json::parse(client.list()->result);
  EXPECT_EQ(listed.at(0).at("authenticated_peer"), kAlice);
  EXPECT_EQ(listed.at(0).at("trace_id"), "trace-7");
  const auto table = ctl(OutputFormat::table).list();
  EXPECT_THAT(table->result, StartsWith("SESSION"));
  EXPECT_THAT(table->result, HasSubstr("0: connecting (TCP client, TLS client)"));

  ASSERT_TRUE(client.release(session));
  EXPECT_EQ(client.release(session).error().category(), Category::not_found);
  EXPECT_TRUE(media.streams.empty());
  EXPECT_THAT(metrics.render(), HasSubstr("keystub_mrfc_requests_total{method=\"CreateOffer\","
                                          "result=\"ok\"} 1"));
}

TEST_F(ServiceTest, MRFC_R3_ADialInThroughMrfcctl) {
  const UserOffer offered = user_offers();
  AcceptOfferArguments arguments;
  arguments.sdp = folder.write("offer.sdp", offered.sdp());
  arguments.from = kAlice;
  arguments.sdp_out = "-";
  const auto accepted = ctl(OutputFormat::table).accept_offer(arguments);
  ASSERT_TRUE(accepted) << accepted.error().describe();
  EXPECT_THAT(accepted->result, HasSubstr("session"));
  EXPECT_TRUE(offered.transfer->accept(mikey_of(accepted->sdp)));
}

TEST_F(ServiceTest, MRFC_R5_ARefusalTellsWhatSipHasToSay) {
  const std::string sdp = user_offers().sdp();
  clock.advance(10min);
  v1::AcceptOfferRequest request;
  request.set_sdp_offer(sdp);
  request.mutable_parties()->set_claimed_peer(kAlice);
  grpc::ClientContext context;
  v1::AcceptOfferResponse response;
  const grpc::Status status = stub->AcceptOffer(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const auto detail = rpc::detail_of<v1::SetupRefusal>(status);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->sip_status(), 488U);

  AcceptOfferArguments arguments;
  arguments.sdp = folder.write("offer.sdp", sdp);
  arguments.from = kAlice;
  const auto refused = ctl(OutputFormat::table).accept_offer(arguments);
  EXPECT_THAT(refused.error().text(), HasSubstr("for SIP: 488, Warning 399"));
  EXPECT_EQ(refused.error().category(), Category::expired);
}

TEST_F(ServiceTest, MRFC_I3_TheKmsUnreachableIs503OverTheWire) {
  kms.unreachable = true;
  v1::CreateOfferRequest request;
  request.mutable_parties()->set_claimed_peer(kAlice);
  request.add_media()->set_kind(v1::MEDIA_KIND_MSRP);
  grpc::ClientContext context;
  v1::CreateOfferResponse response;
  const grpc::Status status = stub->CreateOffer(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(rpc::detail_of<v1::SetupRefusal>(status)->sip_status(), 503U);
  expect_nothing_happened();
}

TEST_F(ServiceTest, MRFC_I6_AWatcherSeesWhatHappenedAndWhatHappens) {
  const CreatedOffer created = create_offer();
  std::vector<std::string> lines;
  std::mutex mutex;
  std::condition_variable changed;
  Result<void> done;
  std::thread watcher([&] {
    WatchArguments arguments;
    arguments.session = created.session_id;
    arguments.from = 1;
    arguments.until = "established";
    done = ctl(OutputFormat::table).watch(arguments, [&](const std::string& line) {
      const std::scoped_lock lock(mutex);
      lines.push_back(line);
      changed.notify_all();
    });
  });
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return lines.size() == 1; }));
  }
  EXPECT_TRUE(controller->create_offer(offer_to(kBob))) << "another session's event";
  ASSERT_TRUE(controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp())));
  controller->on_media_event(
      {MediaEvent::Kind::established, media.streams.begin()->first, "TLSv1.3 X"});
  watcher.join();
  EXPECT_TRUE(done) << done.error().describe();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0], HasSubstr(created.session_id + " media 0 offered"));
  EXPECT_THAT(lines[2], HasSubstr("established: TLSv1.3 X"));
}

TEST_F(ServiceTest, MRFC_B5_AWatchForEstablishedEndsWithTheFailure) {
  const CreatedOffer created = create_offer();
  controller->on_media_event(
      {MediaEvent::Kind::tls_failure, media.streams.begin()->first, "wrong key"});
  WatchArguments arguments;
  arguments.from = 1;
  arguments.until = "established";
  const auto done = ctl(OutputFormat::json).watch(arguments, [](const std::string&) {});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().text(), HasSubstr("TLS: wrong key"));
}

TEST_F(ServiceTest, MRFC_I6_EventsThatCannotBeHadAreRefused) {
  EventHistory& history = events;
  for (int i = 0; i < 9000; ++i) history.record({});
  for (const std::uint64_t from : {std::uint64_t{1}, std::uint64_t{9002}}) {
    v1::WatchSessionEventsRequest request;
    request.set_from_sequence(from);
    grpc::ClientContext context;
    v1::SessionEvent event;
    const auto reader = stub->WatchSessionEvents(&context, request);
    EXPECT_FALSE(reader->Read(&event));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  }
}

TEST_F(ServiceTest, MRFC_I6_TheServerStopsWithIdleAndBusyWatchers) {
  create_offer();
  std::vector<std::thread> watchers;
  std::atomic<int> ended = 0;
  for (const std::uint64_t from : {0, 1, 1}) {
    watchers.emplace_back([&, from] {
      v1::WatchSessionEventsRequest request;
      request.set_from_sequence(from);
      grpc::ClientContext context;
      const auto reader = stub->WatchSessionEvents(&context, request);
      reader->WaitForInitialMetadata();
      v1::SessionEvent event;
      while (reader->Read(&event)) {
      }
      EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
      ++ended;
    });
  }
  std::this_thread::sleep_for(100ms);
  const auto before = std::chrono::steady_clock::now();
  server->stop(2s, 2s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 2s);
  for (std::thread& watcher : watchers) watcher.join();
  EXPECT_EQ(ended, 3);
}

TEST_F(ServiceTest, MRFC_I1_TheMetricsAreTheDocumentedOnes) {
  ASSERT_TRUE(ctl(OutputFormat::table).list());
  server->stop(1s, 1s);
  const RevocationMetrics revocation_metrics(metrics);
  const std::string page = metrics.render();
  const std::string document = keystub::testing::TempDir::read(
      std::filesystem::path(KEYSTUB_SOURCE_DIR) / "docs/mrfc-agent.md");
  std::set<std::string> shown;
  for (std::size_t at = page.find("# TYPE "); at != std::string::npos;
       at = page.find("# TYPE ", at + 1)) {
    shown.insert(page.substr(at + 7, page.find(' ', at + 7) - at - 7));
  }
  std::set<std::string> documented;
  for (std::size_t at = document.find("`keystub_"); at != std::string::npos;
       at = document.find("`keystub_", at + 1)) {
    documented.insert(document.substr(at + 1, document.find('`', at + 1) - at - 1));
  }
  EXPECT_EQ(shown, documented);
}

// Occupies both threads of the pool until it is opened.
class Gate {
 public:
  explicit Gate(WorkPool& pool) {
    closed_.lock();
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(pool.submit([this] {
        ++waiting_;
        const std::scoped_lock wait(closed_);
      }));
    }
    while (waiting_ < 2) std::this_thread::yield();
  }
  void open() { closed_.unlock(); }

 private:
  std::mutex closed_;
  std::atomic<int> waiting_ = 0;
};

TEST_F(ServiceTest, MRFC_I1_AFullPoolIsBusy) {
  Gate gate(pool);
  while (pool.submit([] {})) {
  }
  grpc::ClientContext context;
  v1::ListSessionsResponse response;
  const grpc::Status status = stub->ListSessions(&context, {}, &response);
  gate.open();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(rpc::detail_of<v1::SetupRefusal>(status)->sip_status(), 503U);
  pool.stop();
}

TEST_F(ServiceTest, MRFC_I1_ASessionOfACallerThatIsGoneIsReleased) {
  Gate gate(pool);
  v1::CreateOfferRequest request;
  request.mutable_parties()->set_claimed_peer(kAlice);
  request.add_media()->set_kind(v1::MEDIA_KIND_MSRP);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 200ms);
  v1::CreateOfferResponse response;
  EXPECT_EQ(stub->CreateOffer(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  std::this_thread::sleep_for(200ms);  // for the cancellation to arrive
  gate.open();
  server->stop(2s, 2s);
  pool.stop();
  expect_nothing_happened();
  EXPECT_TRUE(media.asked("release"));
}

}  // namespace
}  // namespace keystub::mrfc::testing
