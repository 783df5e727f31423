// The client's end of the revocations of a KMS: it goes on where it was, whatever comes between.
#include "kms-client/revocation_watch.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <deque>
#include <mutex>

#include "keystub/v1/revocation.grpc.pb.h"
#include "rpc/server.h"

namespace keystub::kms_client {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Response = v1::WatchRevocationsResponse;

// What one call is answered with. `hangs`: then nothing, until it is cancelled.
struct Script {
  std::vector<Response> messages;
  grpc::Status end = {grpc::StatusCode::UNAVAILABLE, "stopping"};
  bool hangs = false;
};

class FakeFeed final : public v1::RevocationFeed::CallbackService {
 public:
  std::mutex mutex;
  std::deque<Script> scripts;  // one per call; without one it is refused
  std::vector<std::optional<std::uint64_t>> asked;

  grpc::ServerWriteReactor<Response>* WatchRevocations(
      grpc::CallbackServerContext*, const v1::WatchRevocationsRequest* request) override {
    const std::scoped_lock lock(mutex);
    asked.push_back(request->has_after_sequence() ? std::optional(request->after_sequence())
                                                  : std::nullopt);
    Script script{{}, {grpc::StatusCode::PERMISSION_DENIED, "no more"}, false};
    if (!scripts.empty()) {
      script = std::move(scripts.front());
      scripts.pop_front();
    }
    return new Stream(std::move(script));
  }

 private:
  class Stream final : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Stream(Script script) : script_(std::move(script)) { next(); }
    void OnWriteDone(bool ok) override {
      if (ok) next();
    }
    void OnCancel() override {
      if (script_.hangs) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    void next() {
      if (at_ < script_.messages.size()) {
        StartWrite(&script_.messages[at_++]);
      } else if (!script_.hangs) {
        Finish(script_.end);
      }
    }
    Script script_;
    std::size_t at_ = 0;
  };
};

Response heartbeat(std::uint64_t sequence) {
  Response response;
  response.set_sequence(sequence);
  response.mutable_heartbeat();
  return response;
}
Response ticket(std::uint64_t sequence) {
  Response response;
  response.set_sequence(sequence);
  response.mutable_revocation()->set_sequence(sequence);
  response.mutable_revocation()->set_ticket_id(std::string(16, 't'));
  return response;
}

struct RevocationWatchTest : ::testing::Test {
  OpenSslRandom random;
  FakeFeed service;
  std::unique_ptr<rpc::Server> server;
  std::vector<Revoked> heard;
  std::vector<Error> losses;

  RevocationWatchTest() {
    rpc::ServerOptions options;
    options.listeners.push_back({"tickets", "127.0.0.1:0", grpc::InsecureServerCredentials()});
    options.services = {&service};
    server = rpc::Server::start(options).value();
  }
  // Watches until the KMS denies it.
  Error watch(WatchOptions options = {}) {
    options.first_delay = 1ms;
    options.max_delay = 2ms;
    RevocationWatch watch(
        KmsConnection::open({.server = server->address("tickets"), .allow_plaintext = true})
            .value(),
        options, random,
        {.revoked = [this](const Revoked& revoked) { heard.push_back(revoked); },
         .lost =
             [this](const Error& why) {
               losses.push_back(why);
               return why.category() == Category::unavailable;
             }});
    return watch.wait();
  }
  std::vector<std::uint64_t> sequences() const {
    std::vector<std::uint64_t> out;
    for (const Revoked& revoked : heard) out.push_back(revoked.sequence);
    return out;
  }
};

TEST_F(RevocationWatchTest, ComesBackWithTheLastSequenceAndHearsNothingTwice) {
  service.scripts = {{{heartbeat(4), ticket(5)}}, {}, {{ticket(8), heartbeat(9)}}};
  const Error why = watch();
  EXPECT_EQ(why.category(), Category::denied);
  EXPECT_EQ(losses.size(), 4U);
  EXPECT_THAT(sequences(), ElementsAre(5, 8));
  EXPECT_THAT(service.asked, ElementsAre(std::nullopt, 5, 5, 9));
}

TEST_F(RevocationWatchTest, BeginsWhereItIsTold) {
  service.scripts = {{{ticket(43)}}};
  watch({.after = 42});
  EXPECT_THAT(service.asked, ElementsAre(42, 43));
}

TEST_F(RevocationWatchTest, TellsWhatIsRevokedAndThatSomethingIsMissing) {
  Response reset = heartbeat(0);
  reset.mutable_reset();
  Response identity = ticket(6);
  identity.mutable_revocation()->mutable_identity()->set_uri("sip:a@x");
  identity.mutable_revocation()->mutable_identity()->add_aliases("tel:+1");
  identity.mutable_revocation()->mutable_identity()->add_owned_patterns("sip:conf-*@x");
  Response tpk = ticket(7);
  tpk.mutable_revocation()->set_tpk_id("tpk-1");
  Response before = ticket(8);
  before.mutable_revocation()->mutable_tickets_before()->set_seconds(1767323045);
  Response newer = heartbeat(9);
  newer.mutable_revocation();  // of a kind that this client does not know
  service.scripts = {{{reset, identity, tpk, before, newer}}};
  watch();
  ASSERT_EQ(heard.size(), 4U);
  EXPECT_EQ(heard[0].kind, Revoked::Kind::reset);
  EXPECT_EQ(heard[1].kind, Revoked::Kind::identity);
  EXPECT_EQ(heard[1].uri, "sip:a@x");
  EXPECT_THAT(heard[1].aliases, ElementsAre("tel:+1"));
  EXPECT_THAT(heard[1].owned_patterns, ElementsAre("sip:conf-*@x"));
  EXPECT_EQ(as_text(heard[2].id), "tpk-1");
  EXPECT_EQ(heard[3].before, WallTime(std::chrono::seconds(1767323045)));
  EXPECT_EQ(service.asked.back(), 9U);
}

TEST_F(RevocationWatchTest, GivesUpAKmsThatHasFallenSilent) {
  service.scripts = {{{heartbeat(3)}, grpc::Status::OK, true}};
  watch({.silence = 100ms});
  ASSERT_GE(losses.size(), 2U);  // more on a slow machine, where the next one seems silent too
  EXPECT_THAT(losses[0].text(), HasSubstr("silent"));
  EXPECT_EQ(losses[0].category(), Category::unavailable);
  ASSERT_GE(service.asked.size(), 2U);
  EXPECT_EQ(service.asked[0], std::nullopt);
  EXPECT_EQ(service.asked[1], 3U);
}

TEST_F(RevocationWatchTest, EndsWhileTheKmsIsSilent) {
  service.scripts = {{{heartbeat(3)}, grpc::Status::OK, true}};
  std::mutex mutex;
  std::condition_variable alive;
  bool heard_it = false;
  const RevocationWatch watch(
      KmsConnection::open({.server = server->address("tickets"), .allow_plaintext = true}).value(),
      {}, random,
      {.revoked = [](const Revoked&) {},
       .alive =
           [&](std::uint64_t) {
             const std::scoped_lock lock(mutex);
             heard_it = true;
             alive.notify_one();
           },
       .lost = [](const Error&) { return true; }});
  std::unique_lock lock(mutex);
  EXPECT_TRUE(alive.wait_for(lock, 20s, [&] { return heard_it; }));
}

}  // namespace
}  // namespace keystub::kms_client
