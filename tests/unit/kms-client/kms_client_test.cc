// The client library against a KMS in the test's own process, behind real gRPC.
#include "kms-client/kms_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "mikey/transfer_exchange.h"
#include "rpc/call.h"
#include "rpc/credentials.h"
#include "rpc/lab_ca.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_clock.h"
#include "tests/support/lab_kms.h"
#include "tests/support/scripted_random.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms_client {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* kAlice = "sip:alice@example.com";
constexpr const char* kBob = "sip:bob@example.com";

// A thread-safe TicketService around LabKms, with faults on demand.
class FakeKms final : public v1::TicketService::CallbackService {
 public:
  explicit FakeKms(testing::LabKms& kms) : kms_(kms) {}

  std::atomic<int> unavailable_first{0};  // so many calls are refused as UNAVAILABLE
  std::atomic<bool> tampers{false};       // answers have their last octet flipped
  std::atomic<bool> hangs{false};         // calls are answered only when they are cancelled
  std::atomic<int> calls{0};
  std::optional<v1::Refusal> refusal;  // every call is refused with it
  std::mutex mutex;
  std::set<std::string> messages;  // every distinct message that came in
  std::string trace_id;

  grpc::ServerUnaryReactor* RequestTicket(grpc::CallbackServerContext* context,
                                          const v1::RequestTicketRequest* request,
                                          v1::RequestTicketResponse* response) override {
    return serve(context, *request, *response, &testing::LabKms::handle_request);
  }
  grpc::ServerUnaryReactor* ResolveTicket(grpc::CallbackServerContext* context,
                                          const v1::ResolveTicketRequest* request,
                                          v1::ResolveTicketResponse* response) override {
    return serve(context, *request, *response, &testing::LabKms::handle_resolve);
  }

 private:
  class Hanging final : public grpc::ServerUnaryReactor {
   public:
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };

  template <class Request, class Response, class Handle>
  grpc::ServerUnaryReactor* serve(grpc::CallbackServerContext* context, const Request& request,
                                  Response& response, Handle handle) {
    ++calls;
    if (hangs) return new Hanging;
    auto* reactor = context->DefaultReactor();
    const std::scoped_lock lock(mutex);
    messages.insert(request.mikey());
    trace_id = rpc::trace_id_of(*context);
    if (unavailable_first > 0) {
      --unavailable_first;
      reactor->Finish({grpc::StatusCode::UNAVAILABLE, "draining"});
    } else if (refusal) {
      reactor->Finish(rpc::to_status(static_cast<grpc::StatusCode>(refusal->code()),
                                     refusal->reason(), *refusal));
    } else if (auto answer = (kms_.*handle)(as_bytes(request.mikey())); answer) {
      if (tampers) answer->back() ^= 1;
      response.set_mikey(to_string(*answer));
      reactor->Finish(grpc::Status::OK);
    } else {
      reactor->Finish({rpc::ticket_status_code(answer.error().category()), "refused"});
    }
    return reactor;
  }

  testing::LabKms& kms_;
};

struct KmsClientTest : ::testing::Test {
  SystemClock clock;
  OpenSslRandom random;
  testing::LabKms lab{clock, random};
  FakeKms service{lab};
  std::unique_ptr<rpc::Server> server;

  KmsClientTest() {
    lab.add(kAlice);
    lab.add(kBob);
    start(grpc::InsecureServerCredentials());
  }
  void start(std::shared_ptr<grpc::ServerCredentials> credentials) {
    rpc::ServerOptions options;
    options.listeners.push_back({"tickets", "127.0.0.1:0", std::move(credentials)});
    options.services = {&service};
    server = rpc::Server::start(options).value();
  }
  std::shared_ptr<KmsConnection> connect() const {
    return KmsConnection::open({.server = server->address("tickets"), .allow_plaintext = true})
        .value();
  }
  std::unique_ptr<KmsClient> client(const std::string& uri) {
    return std::make_unique<KmsClient>(connect(), lab.credentials(uri), clock, random);
  }
  // A TRANSFER_INIT from alice to bob.
  ByteVector offer(mikey::GrantedTicket ticket) {
    const mikey::Environment env{clock, random};
    auto shared = std::make_shared<const mikey::GrantedTicket>(std::move(ticket));
    const auto transfer = mikey::TransferOffer::start(env, shared,
                                                      {mikey::Identity::uri(kAlice),
                                                       mikey::Identity::uri(kBob),
                                                       mikey::tls_session(shared->session_keys),
                                                       {},
                                                       {}});
    return to_vector(transfer.value().message());
  }
};

constexpr CallOptions quick() {
  return {.timeout = 5s, .trace_id = {}, .retry = {.attempts = 4, .first_delay = 5ms}};
}

// KMS-1, KMS-2, KMS-4, seen from the outside.
// [3830-7-02]
TEST_F(KmsClientTest, RequestsATicketThatTheResponderResolves) {
  const auto alice = client(kAlice);
  auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value());
  ASSERT_TRUE(ticket.has_value()) << ticket.error().describe();
  EXPECT_TRUE(ticket->policy.names_responder(kBob));
  ASSERT_EQ(ticket->session_keys.size(), 1U);
  EXPECT_EQ(ticket->session_keys[0].key.size(), 32U);

  const ByteVector transfer_init = offer(std::move(*ticket));
  const auto received = mikey::ReceivedTransfer::parse(transfer_init).value();
  auto resolved = client(kBob)->resolve_ticket(received.ticket());
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_TRUE(received.verify(std::move(*resolved), mikey::Identity::uri(kBob)).has_value());
}

TEST_F(KmsClientTest, ProvesItselfWithACertificate) {
  const testing::TestCa ca("anybody");
  const auto certify = [&](const std::string& uri) {
    testing::CertificateText text{uri, "URI:" + uri};
    text.not_after = clock.now() + 1h;
    return ca.issue(text, testing::rsa_key(uri));
  };
  const auto kms = certify(lab.uri().data);
  const auto certificate_i = certify(kAlice);
  const auto certificate_r = certify(kBob);
  const auto holder = [&](const char* uri, const mikey::Certificate& certificate) {
    return std::make_unique<KmsClient>(
        connect(),
        mikey::PkCredentials{mikey::Identity::uri(uri),
                             lab.uri(),
                             {certificate},
                             testing::rsa_key(uri),
                             mikey::KmsCertificate::pinned(kms).value()},
        clock, random);
  };
  lab.certificates.emplace(testing::LabKms::Certificates{
      mikey::TrustAnchors::make({certificate_i, certificate_r}).value(),
      {mikey::KmsKeyPair::make(kms, testing::rsa_key(lab.uri().data)).value()}});
  const auto alice = holder(kAlice, certificate_i);
  auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 10min).value());
  ASSERT_TRUE(ticket.has_value()) << ticket.error().describe();
  EXPECT_EQ(ticket->policy.idr_i, mikey::Identity::uri(kAlice));

  const ByteVector transfer_init = offer(std::move(*ticket));
  const auto received = mikey::ReceivedTransfer::parse(transfer_init).value();
  auto resolved = holder(kBob, certificate_r)->resolve_ticket(received.ticket());
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_TRUE(received.verify(std::move(*resolved), mikey::Identity::uri(kBob)).has_value());

  const auto stranger = holder(kAlice, certify(kAlice));
  EXPECT_EQ(stranger->request_ticket(alice->ticket_wish({kBob}, 10min).value()).error().category(),
            Category::unauthenticated);
}

TEST_F(KmsClientTest, TriesAgainWithANewMessageWhenTheKmsIsUnavailable) {
  service.unavailable_first = 2;
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_TRUE(ticket.has_value()) << ticket.error().describe();
  EXPECT_EQ(service.calls, 3);
  EXPECT_EQ(service.messages.size(), 3U) << "the same octets again are a replay";
}

TEST_F(KmsClientTest, GivesUpAfterTheLastAttempt) {
  service.unavailable_first = 100;
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::unavailable);
  EXPECT_EQ(service.calls, 4);
}

TEST_F(KmsClientTest, NeverTriesARefusalAgain) {
  service.refusal.emplace();
  service.refusal->set_code(grpc::StatusCode::OUT_OF_RANGE);
  service.refusal->set_reason("the timestamp is outside the clock skew");
  const auto ahead = std::chrono::system_clock::now() + 75s;
  service.refusal->mutable_server_time()->set_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(ahead.time_since_epoch()).count());
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::expired);
  EXPECT_THAT(ticket.error().text(), HasSubstr("outside the clock skew"));
  EXPECT_THAT(ticket.error().text(), HasSubstr("s ahead of ours"));
  EXPECT_EQ(service.calls, 1);
}

TEST_F(KmsClientTest, SaysWhenToComeBack) {
  service.refusal.emplace();
  service.refusal->set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  service.refusal->set_reason("too many requests");
  service.refusal->mutable_retry_after()->set_nanos(250'000'000);
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::busy);
  EXPECT_THAT(ticket.error().text(), HasSubstr("250 ms"));
}

TEST_F(KmsClientTest, RefusesAnAnswerThatTheKmsDidNotMake) {
  service.tampers = true;
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::unauthenticated);
}

TEST_F(KmsClientTest, IsRefusedWithAnotherKeyThanTheKmsHas) {
  const auto alice = client(kAlice);
  lab.add(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::unauthenticated);
}

TEST_F(KmsClientTest, KeepsItsDeadline) {
  service.hangs = true;
  const auto alice = client(kAlice);
  const auto begin = std::chrono::steady_clock::now();
  const auto ticket =
      alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), {.timeout = 200ms});
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  EXPECT_EQ(service.calls, 1) << "only UNAVAILABLE is tried again";
}

TEST_F(KmsClientTest, ReportsAServerThatIsNotThere) {
  server->stop(0ms, 0ms);
  const auto alice = client(kAlice);
  const auto ticket = alice->request_ticket(alice->ticket_wish({kBob}, 1h).value(), quick());
  ASSERT_FALSE(ticket.has_value());
  EXPECT_EQ(ticket.error().category(), Category::unavailable);
}

TEST_F(KmsClientTest, RunsManyCallsAtOnceOverOneConnection) {
  const auto alice = client(kAlice);
  std::mutex mutex;
  std::condition_variable changed;
  int good = 0;
  int done = 0;
  for (int i = 0; i < 50; ++i) {
    alice->start_request(alice->ticket_wish({kBob}, 1h).value(), {.trace_id = "many"},
                         [&](Result<mikey::GrantedTicket> ticket) {
                           const std::scoped_lock lock(mutex);
                           good += ticket.has_value() ? 1 : 0;
                           ++done;
                           changed.notify_all();
                         });
  }
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, 20s, [&] { return done == 50; }));
  EXPECT_EQ(good, 50);
  EXPECT_EQ(service.trace_id, "many");
}

TEST_F(KmsClientTest, CancelsACallThatRuns) {
  service.hangs = true;
  const auto alice = client(kAlice);
  std::promise<Category> ended;
  PendingCall call = alice->start_request(
      alice->ticket_wish({kBob}, 1h).value(), {.timeout = 60s},
      [&](Result<mikey::GrantedTicket> ticket) { ended.set_value(ticket.error().category()); });
  while (service.calls == 0) std::this_thread::sleep_for(1ms);
  call.cancel();
  EXPECT_EQ(ended.get_future().get(), Category::unavailable);
}

TEST_F(KmsClientTest, CancelsACallThatWaitsForItsNextAttempt) {
  service.unavailable_first = 100;
  const auto alice = client(kAlice);
  std::promise<Category> ended;
  PendingCall call = alice->start_request(
      alice->ticket_wish({kBob}, 1h).value(),
      {.timeout = 300s, .retry = {.attempts = 9, .first_delay = 100s, .max_delay = 100s}},
      [&](Result<mikey::GrantedTicket> ticket) { ended.set_value(ticket.error().category()); });
  auto future = ended.get_future();
  while (service.calls == 0) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(20ms);
  call.cancel();
  ASSERT_EQ(future.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(future.get(), Category::unavailable);
}

TEST_F(KmsClientTest, EndsItsCallsWhenItIsDestroyed) {
  service.hangs = true;
  std::atomic<int> ended{0};
  {
    const auto alice = client(kAlice);
    for (int i = 0; i < 5; ++i) {
      alice->start_request(alice->ticket_wish({kBob}, 1h).value(), {.timeout = 60s},
                           [&](Result<mikey::GrantedTicket>) { ++ended; });
    }
  }
  EXPECT_EQ(ended, 5);
}

TEST_F(KmsClientTest, SaysAtOnceWhatCannotBeAsked) {
  const auto alice = client(kAlice);
  const auto nobody = alice->request_ticket(alice->ticket_wish({}, 1h).value());
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().category(), Category::malformed);
  EXPECT_EQ(service.calls, 0);
  EXPECT_EQ(KmsConnection::open({.server = "x:1"}).error().category(), Category::not_found);
  EXPECT_EQ(KmsConnection::open({.server = ""}).error().category(), Category::malformed);
}

TEST_F(KmsClientTest, SpeaksTls) {
  const testing::TempDir folder;
  const auto ca = rpc::LabCa::create(folder.path(), "Lab CA").value();
  ASSERT_TRUE(ca.issue({.name = "kms", .dns_names = {"kms.example.com"}}));
  ASSERT_TRUE(ca.issue({.name = "alice"}));
  server->stop(0ms, 0ms);
  start(rpc::server_credentials({folder / "kms.pem", folder / "kms.key", folder / "ca.pem",
                                 rpc::ClientCertificate::required})
            .value());
  const auto connection = KmsConnection::open({.server = server->address("tickets"),
                                               .ca = folder / "ca.pem",
                                               .certificate = folder / "alice.pem",
                                               .private_key = folder / "alice.key",
                                               .server_name = "kms.example.com"});
  ASSERT_TRUE(connection.has_value()) << connection.error().text();
  KmsClient alice(*connection, lab.credentials(kAlice), clock, random);
  const auto ticket = alice.request_ticket(alice.ticket_wish({kBob}, 1h).value());
  EXPECT_TRUE(ticket.has_value()) << ticket.error().describe();
}

}  // namespace
}  // namespace keystub::kms_client
