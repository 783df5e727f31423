// The ticket port over real gRPC: both unary calls, the rules of the stream, and a stop that cannot
// hang. KMS-1, KMS-2, KMS-7.
#include "kms-server/ticket_service.h"

#include "kms-server/identity_admin_service.h"
#include "tests/unit/kms/pk_vector_kms.h"
#include "tests/unit/kms/server_fixture.h"
#include "tests/unit/kms/vector_kms.h"

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using Stream = grpc::ClientReaderWriter<v1::ExchangeRequest, v1::ExchangeResponse>;

// Look-ups in the store wait here until they are let through.
class Gate {
 public:
  std::optional<Error> wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    return std::nullopt;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait_for(std::size_t waiting) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return waiting_ >= waiting; });
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0;
  bool open_ = false;
};

class TicketServiceTest : public ServerFixture {
 protected:
  TicketServiceTest() {
    add(kAlice);
    add(kBob);
  }
  ~TicketServiceTest() override { gate.open(); }

  grpc::Status request(v1::TicketService::Stub& stub, const std::string& message,
                       std::string* answer = nullptr) {
    grpc::ClientContext context;
    rpc::prepare(context, kTimeout);
    v1::RequestTicketRequest call;
    call.set_mikey(message);
    v1::RequestTicketResponse response;
    const grpc::Status status = stub.RequestTicket(&context, call, &response);
    if (answer != nullptr) *answer = response.mikey();
    return status;
  }
  void close_gate() {
    store->trouble = [this] { return gate.wait(); };
  }
  static bool send(Stream& stream, std::uint64_t sequence, const std::string& message) {
    v1::ExchangeRequest exchange;
    exchange.set_sequence(sequence);
    exchange.set_mikey(message);
    return stream.Write(exchange);
  }
  std::size_t audit_lines() {
    const std::string text = testing::TempDir::read(settings.audit.path);
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  Gate gate;
};

TEST_F(TicketServiceTest, KMS_1_KMS_2_RequestsAndResolvesOverTlsWithoutAClientCertificate) {
  start();
  const auto stub = tickets();
  const mikey::KmsCredentials alice = credentials(kAlice);
  const auto exchange = request_exchange(alice);
  std::string answer;
  const grpc::Status status = request(*stub, to_string(exchange.message()), &answer);
  ASSERT_TRUE(status.ok()) << status.error_message();
  auto granted = exchange.finish(as_bytes(answer));
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();

  const auto ticket = std::make_shared<const mikey::GrantedTicket>(std::move(*granted));
  const auto made = mikey::TransferOffer::start({clock, random}, ticket,
                                                {mikey::Identity::uri(kAlice),
                                                 mikey::Identity::uri(kBob),
                                                 mikey::tls_session(ticket->session_keys),
                                                 {},
                                                 {}});
  ASSERT_TRUE(made.has_value());
  const auto received = mikey::ReceivedTransfer::parse(made->message()).value();
  const mikey::KmsCredentials bob = credentials(kBob);
  const auto resolve = mikey::TicketResolve::start({clock, random}, bob, received.ticket()).value();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  v1::ResolveTicketRequest call;
  call.set_mikey(to_string(resolve.message()));
  v1::ResolveTicketResponse response;
  const grpc::Status resolved = stub->ResolveTicket(&context, call, &response);
  ASSERT_TRUE(resolved.ok()) << resolved.error_message();
  EXPECT_TRUE(resolve.finish(as_bytes(response.mikey())).has_value());
}

TEST_F(TicketServiceTest, ARefusalIsAStatusWithOneRefusalAsDetail) {
  start();
  const auto stub = tickets();
  mikey::KmsCredentials alice = credentials(kAlice);
  const std::string message = request_init(alice);
  ASSERT_TRUE(request(*stub, message).ok());
  const grpc::Status replayed = request(*stub, message);
  EXPECT_EQ(replayed.error_code(), StatusCode::OUT_OF_RANGE);
  auto refusal = rpc::detail_of<v1::Refusal>(replayed);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), StatusCode::OUT_OF_RANGE);
  EXPECT_FALSE(refusal->mikey_error().empty());
  EXPECT_EQ(refusal->reason(), replayed.error_message());
  EXPECT_EQ(
      refusal->server_time().seconds(),
      std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count());
  EXPECT_TRUE(refusal->has_clock_skew());
  const grpc::Status junk = request(*stub, "junk");
  EXPECT_EQ(junk.error_code(), StatusCode::INVALID_ARGUMENT);
  refusal = rpc::detail_of<v1::Refusal>(junk);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_TRUE(refusal->has_server_time()) << "for everybody";
  EXPECT_FALSE(refusal->has_clock_skew()) << "for those who proved who they are";
}

TEST_F(TicketServiceTest, KMS_6_ARefusalForItsTimeTellsTheMeasuredSkew) {
  start();
  const auto stub = tickets();
  mikey::KmsCredentials alice = credentials(kAlice);
  testing::FakeClock behind(clock.now() - std::chrono::milliseconds(90'500));
  mikey::TicketPolicy wish;
  wish.flags = mikey::kMode1Flags;
  wish.idr_i = alice.self;
  wish.idr_r = {mikey::Identity::uri(kBob)};
  const auto late = mikey::TicketRequest::start({behind, random}, alice, wish).value();
  const grpc::Status refused = request(*stub, to_string(late.message()));
  EXPECT_EQ(refused.error_code(), StatusCode::OUT_OF_RANGE);
  const auto refusal = rpc::detail_of<v1::Refusal>(refused);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->clock_skew().seconds(), -90);
  EXPECT_NEAR(refusal->clock_skew().nanos(), -500'000'000, 1000);
}

TEST_F(TicketServiceTest, KMS_7_NobodyLearnsWhoExists) {
  start();
  const auto stub = tickets();
  mikey::KmsCredentials wrong = credentials(kAlice);
  wrong.psk = random.secret<PskTag>(32).value();
  mikey::KmsCredentials unknown = credentials(kAlice);
  unknown.self = mikey::Identity::uri("sip:nobody@example.com");
  const grpc::Status of_wrong = request(*stub, request_init(wrong));
  const grpc::Status of_unknown = request(*stub, request_init(unknown));
  EXPECT_EQ(of_wrong.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(of_wrong.error_code(), of_unknown.error_code());
  EXPECT_EQ(of_wrong.error_message(), of_unknown.error_message());
  EXPECT_EQ(of_wrong.error_details(), of_unknown.error_details());
}

TEST_F(TicketServiceTest, AClientCertificateCanBeRequired) {
  settings.require_client_certificate = true;
  start();
  mikey::KmsCredentials alice = credentials(kAlice);
  EXPECT_EQ(request(*tickets(), request_init(alice)).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(request(*tickets("mrfc"), request_init(alice)).ok());
  const std::string audit = testing::TempDir::read(settings.audit.path);
  EXPECT_NE(audit.find("\"caller\":\"mrfc\""), std::string::npos) << audit;
}

TEST_F(TicketServiceTest, ThePlaintextPortIsThereOnlyWhenItIsAskedFor) {
  start();
  mikey::KmsCredentials alice = credentials(kAlice);
  const auto plaintext = [&] {
    return v1::TicketService::NewStub(rpc::open_plaintext_channel(addresses.at("tickets")));
  };
  EXPECT_EQ(request(*plaintext(), request_init(alice)).error_code(), StatusCode::UNAVAILABLE);
  server.reset();
  server = KmsServer::start(settings, {*store, *kek, *window, clock, random, log, nullptr, true})
               .value();
  addresses["tickets"] = server->endpoints()[0].address;
  EXPECT_TRUE(request(*plaintext(), request_init(alice)).ok());
}

// What each port serves; KmsServer registers the same.
const std::vector<std::string> kTicketPort = {"keystub.v1.TicketService",
                                              "keystub.v1.RevocationFeed", "grpc.health.v1.Health"};
const std::vector<std::string> kAdminPort = {
    "keystub.v1.IdentityAdmin",   "keystub.v1.KmsOperation",
    "keystub.v1.RevocationAdmin", "keystub.v1.RevocationFeed",
    "grpc.health.v1.Health",      "grpc.reflection.v1alpha.ServerReflection"};

TEST(MethodTables, KMS_7_EveryMethodOfEveryServiceOfBothPortsHasARow) {
  const rpc::Guard tickets(ticket_method_rules({}, false, false));
  EXPECT_TRUE(tickets.uncovered(kTicketPort).empty());
  EXPECT_TRUE(rpc::Guard(admin_method_rules({})).uncovered(kAdminPort).empty());
  EXPECT_EQ(tickets.uncovered({"keystub.v1.IdentityAdmin"}).size(), 30U)
      << "the ticket port offers no administration";
}

TEST(MethodTables, KMS_7_EachRoleMayDoItsOwnAndNoMore) {
  const Roles roles{{"boss"}, {"ops", "uid:4711"}, {"eyes"}, {"agent"}, {"mrfc"}};
  const rpc::Guard admin(admin_method_rules(roles));
  const auto may = [&](const char* name, const std::string& method,
                       rpc::CallerKind kind = rpc::CallerKind::certificate) {
    rpc::Caller caller;
    caller.kind = kind;
    caller.names = {name};
    return admin.check(caller, "/" + method).has_value();
  };
  const std::string service = "keystub.v1.IdentityAdmin/";
  const std::string reflection = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  for (const char* name : {"boss", "ops", "eyes"}) {
    EXPECT_TRUE(may(name, service + "ListIdentities"));
    EXPECT_TRUE(may(name, reflection));
    EXPECT_EQ(may(name, service + "SetPsk"), std::string(name) != "eyes");
    EXPECT_EQ(may(name, service + "RevokeTpk"), std::string(name) == "boss");
    EXPECT_EQ(may(name, service + "ShareTpk"), std::string(name) == "boss");
    EXPECT_EQ(may(name, "keystub.v1.RevocationAdmin/RevokeTicket"), std::string(name) != "eyes");
    EXPECT_TRUE(may(name, "keystub.v1.RevocationAdmin/ListRevocations"));
    EXPECT_TRUE(may(name, "keystub.v1.RevocationFeed/WatchRevocations"));
  }
  for (const char* method : {"ListIdentities", "CreateIdentity", "ListTpks"}) {
    EXPECT_FALSE(may("agent", service + method)) << method;
    EXPECT_FALSE(may("stranger", service + method)) << method;
    EXPECT_TRUE(may("uid:0", service + method, rpc::CallerKind::unix_peer)) << method;
    EXPECT_TRUE(may("uid:4711", service + method, rpc::CallerKind::unix_peer)) << method;
    EXPECT_FALSE(may("uid:4712", service + method, rpc::CallerKind::unix_peer)) << method;
  }
  EXPECT_TRUE(may("stranger", "grpc.health.v1.Health/Check"));
  EXPECT_FALSE(may("boss", service + "NoSuchMethod"));
  EXPECT_THAT(uids_of(roles), ::testing::Contains(4711U));

  const rpc::Guard tickets(ticket_method_rules(roles, true, false));
  rpc::Caller caller;
  caller.kind = rpc::CallerKind::certificate;
  caller.names = {"agent"};
  EXPECT_TRUE(tickets.check(caller, "/keystub.v1.TicketService/RequestTicket").has_value());
  caller.names = {"boss"};
  EXPECT_FALSE(tickets.check(caller, "/keystub.v1.TicketService/RequestTicket").has_value());
  caller.kind = rpc::CallerKind::anonymous_tls;
  EXPECT_FALSE(tickets.check(caller, "/keystub.v1.TicketService/RequestTicket").has_value());
}

// They tell who exists.
TEST(MethodTables, KMS_7_RevocationsAreToldToWhoMaySeeIdentitiesAndToWatchers) {
  const std::string watch = "/keystub.v1.RevocationFeed/WatchRevocations";
  const auto may = [&](const Roles& roles, rpc::CallerKind kind, const char* name) {
    rpc::Caller caller;
    caller.kind = kind;
    caller.names = {name};
    return rpc::Guard(ticket_method_rules(roles, false, true)).check(caller, watch).has_value();
  };
  const Roles roles{{"boss"}, {"ops"}, {"eyes"}, {}, {"mrfc"}};
  for (const char* name : {"boss", "ops", "eyes", "mrfc"}) {
    EXPECT_TRUE(may(roles, rpc::CallerKind::certificate, name)) << name;
    EXPECT_FALSE(may(roles, rpc::CallerKind::anonymous_tls, name)) << name;
    EXPECT_FALSE(may(roles, rpc::CallerKind::plaintext, name)) << name;
  }
  EXPECT_FALSE(may(roles, rpc::CallerKind::certificate, "ue"));
  EXPECT_FALSE(may({}, rpc::CallerKind::certificate, "ue")) << "nobody, not everybody";
}

// --------------------------------------------------------------------------------- the stream

TEST_F(TicketServiceTest, TheStreamAnswersEachMessageUnderItsSequence) {
  start();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  std::map<std::uint64_t, mikey::TicketRequest> outstanding;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    const auto [entry, inserted] = outstanding.emplace(i * 7, request_exchange(alice));
    ASSERT_TRUE(send(*stream, entry->first, to_string(entry->second.message())));
  }
  ASSERT_TRUE(send(*stream, 5, "junk"));
  stream->WritesDone();
  v1::ExchangeResponse response;
  bool refused = false;
  while (stream->Read(&response)) {
    if (response.sequence() == 5) {
      refused = response.has_refusal();
      EXPECT_EQ(response.refusal().code(), StatusCode::INVALID_ARGUMENT);
      continue;
    }
    const auto asked = outstanding.find(response.sequence());
    ASSERT_NE(asked, outstanding.end());
    EXPECT_TRUE(asked->second.finish(as_bytes(response.mikey())).has_value())
        << "the answer to another message";
    outstanding.erase(asked);
  }
  EXPECT_TRUE(stream->Finish().ok()) << "half-close: all is answered, then OK";
  EXPECT_TRUE(outstanding.empty());
  EXPECT_TRUE(refused);
}

TEST_F(TicketServiceTest, ASequenceMayBeUsedAgainOnceItsAnswerIsThere) {
  start();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  v1::ExchangeResponse response;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(send(*stream, 1, i % 2 == 0 ? "junk" : request_init(alice)));
    ASSERT_TRUE(stream->Read(&response)) << i;
    EXPECT_EQ(response.sequence(), 1U);
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TicketServiceTest, ADuplicateAmongThoseOutstandingEndsTheStream) {
  start();
  close_gate();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  ASSERT_TRUE(send(*stream, 1, request_init(alice)));
  ASSERT_TRUE(gate.wait_for(1));
  ASSERT_TRUE(send(*stream, 1, request_init(alice)));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(TicketServiceTest, TheServerStopsReadingAtItsLimitOfOutstandingMessages) {
  settings.max_outstanding = 3;
  settings.store_threads = 8;
  start();
  close_gate();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  for (std::uint64_t i = 1; i <= 8; ++i) ASSERT_TRUE(send(*stream, i, request_init(alice)));
  ASSERT_TRUE(gate.wait_for(3));
  std::this_thread::sleep_for(200ms);  // time for a fourth to come, were it read
  EXPECT_EQ(gate.waiting(), 3U);
  gate.open();
  stream->WritesDone();
  v1::ExchangeResponse response;
  int answers = 0;
  while (stream->Read(&response)) answers += response.has_refusal() ? 0 : 1;
  EXPECT_EQ(answers, 8);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TicketServiceTest, WhatWasDecidedIsAuditedAlsoWhenTheClientHasGone) {
  start();
  close_gate();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  ASSERT_TRUE(send(*stream, 1, request_init(alice)));
  ASSERT_TRUE(gate.wait_for(1));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  gate.open();
  for (int i = 0; audit_lines() == 0 && i < 1000; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(audit_lines(), 1U);
}

// ------------------------------------------------------------------------------------ the stop

TEST_F(TicketServiceTest, StopsWithIdleBusyAndPausedStreamsInTime) {
  settings.max_outstanding = 2;
  settings.store_threads = 8;
  settings.drain_time = 300ms;
  settings.cancel_after = 300ms;
  start();
  const auto stub = tickets();
  const mikey::KmsCredentials alice = credentials(kAlice);

  grpc::ClientContext idle_context;
  const auto idle = stub->Exchange(&idle_context);
  ASSERT_TRUE(send(*idle, 1, "junk"));
  v1::ExchangeResponse response;
  ASSERT_TRUE(idle->Read(&response));

  close_gate();
  grpc::ClientContext busy_context;
  const auto busy = stub->Exchange(&busy_context);
  ASSERT_TRUE(send(*busy, 1, request_init(alice)));
  grpc::ClientContext paused_context;
  const auto paused = stub->Exchange(&paused_context);
  for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(send(*paused, i, request_init(alice)));
  ASSERT_TRUE(gate.wait_for(3));

  const auto began = std::chrono::steady_clock::now();
  std::thread opener([this] {
    std::this_thread::sleep_for(1500ms);
    gate.open();  // long after the stop gave up on them
  });
  server->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  EXPECT_EQ(idle->Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(busy->Finish().ok());
  EXPECT_FALSE(paused->Finish().ok());
  opener.join();
  server.reset();
}

// Clients that are refused and try again at once, on the same connection.
TEST_F(TicketServiceTest, CutsOffNobodyWhileItStops) {
  settings.linger_time = std::chrono::milliseconds(50);
  start();
  std::atomic<bool> stopped{false};
  std::array<std::map<StatusCode, int>, 4> seen;
  std::vector<std::thread> clients;
  for (auto& codes : seen) {
    clients.emplace_back([&, stub = std::shared_ptr(tickets())] {
      while (!stopped) ++codes[request(*stub, "no message").error_code()];
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  server->stop();
  stopped = true;
  for (auto& client : clients) client.join();
  for (const auto& codes : seen) {
    for (const auto& [code, count] : codes) {
      EXPECT_TRUE(code == StatusCode::INVALID_ARGUMENT || code == StatusCode::UNAVAILABLE)
          << code << ", " << count << " times";
    }
    EXPECT_TRUE(codes.contains(StatusCode::UNAVAILABLE));
  }
}

TEST_F(TicketServiceTest, AnswersWhatIsInFlightBeforeItStops) {
  start();
  close_gate();
  const auto stub = tickets();
  grpc::ClientContext context;
  rpc::prepare(context, kTimeout);
  const auto stream = stub->Exchange(&context);
  const mikey::KmsCredentials alice = credentials(kAlice);
  const auto exchange = request_exchange(alice);
  ASSERT_TRUE(send(*stream, 9, to_string(exchange.message())));
  ASSERT_TRUE(gate.wait_for(1));
  std::thread stopper([this] { server->stop(); });
  std::this_thread::sleep_for(100ms);
  gate.open();
  v1::ExchangeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(exchange.finish(as_bytes(response.mikey())).has_value());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  stopper.join();
}

// ------------------------------------------------------------------------------- the vectors

// The same server class, with the clock, the randomness and the keys of a scenario.
template <class Vector>
class ScenarioOverGrpc : public ServerFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  ScenarioOverGrpc() {
    vector.fill(*store, *kek);
    settings.identity = vector.identity();
    settings.thdr = vector.thdr();
    settings.policy.require_forking = false;
    settings.pk = vector.pk(folder);
    server = KmsServer::start(settings, {*store, *kek, *vector_window, clock_of_vector, drawn, log})
                 .value();
    addresses["tickets"] = server->endpoints()[0].address;
  }
  ~ScenarioOverGrpc() override { server.reset(); }

  // Both exchanges, byte for byte.
  void play() {
    const auto stub = tickets();
    if (vector.has_request()) {
      vector.script_request(clock_of_vector, drawn);
      v1::RequestTicketRequest request;
      request.set_mikey(to_string(Bytes(vector.message("REQUEST_INIT"))));
      v1::RequestTicketResponse response;
      expect_answer(
          [&](grpc::ClientContext* context) {
            return stub->RequestTicket(context, request, &response);
          },
          response, "REQUEST_RESP");
    }
    vector.script_resolve(clock_of_vector, drawn);
    v1::ResolveTicketRequest request;
    request.set_mikey(to_string(Bytes(vector.message("RESOLVE_INIT"))));
    v1::ResolveTicketResponse response;
    expect_answer(
        [&](grpc::ClientContext* context) {
          return stub->ResolveTicket(context, request, &response);
        },
        response, "RESOLVE_RESP");
  }

  Vector vector{GetParam()};
  testing::VectorClock clock_of_vector;
  testing::ScriptedRandom drawn;
  std::unique_ptr<replay::ReplayWindow> vector_window =
      replay::ReplayWindow::in_memory(clock_of_vector).value();

 private:
  void expect_answer(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                     const auto& response, const char* name) {
    grpc::ClientContext context;
    rpc::prepare(context, kTimeout);
    const grpc::Status status = call(&context);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(to_hex(as_bytes(response.mikey())), to_hex(vector.message(name)));
  }
};

using VectorsOverGrpc = ScenarioOverGrpc<VectorKms>;
TEST_P(VectorsOverGrpc, KMS_1_KMS_2_KMS_8_AreAnsweredByteForByte) { play(); }
INSTANTIATE_TEST_SUITE_P(Scenarios, VectorsOverGrpc,
                         ::testing::Values("a", "b", "c", "d", "e", "f", "m", "n"),
                         [](const auto& tested) { return std::string(tested.param); });

using PkVectorsOverGrpc = ScenarioOverGrpc<PkVectorKms>;
TEST_P(PkVectorsOverGrpc, KMS_1_KMS_2_KMS_8_AreAnsweredByteForByte) { play(); }
INSTANTIATE_TEST_SUITE_P(Scenarios, PkVectorsOverGrpc,
                         ::testing::Values("pk-mode1-256", "pk-mode3-256"), [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace keystub::kms
