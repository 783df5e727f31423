// UE-1: TCP, TLS-PSK and MSRP between two media connections on loopback.
#include "ue-agent/media_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tlspsk/cipher_suites.h"

namespace keystub::ue {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// One end, with what it reported.
struct End {
  MediaListener listener = MediaListener::open({"127.0.0.1", 0}).value();
  std::string events;
  Result<void> outcome{};
};

class MediaConnectionPair : public ::testing::Test {
 protected:
  static msrp::Uri uri_of(const End& end, const std::string& session) {
    return msrp::Uri::parse("msrps://" + end.listener.local().to_string() + "/" + session + ";tcp")
        .value();
  }
  static Psk key(std::uint8_t octet) { return Psk(Bytes(ByteVector(32, octet))); }

  MediaPlan plan(bool active, Psk psk) const {
    const End& self = active ? client_ : server_;
    const End& other = active ? server_ : client_;
    MediaPlan plan;
    plan.active = active;
    plan.remote = other.listener.local();
    plan.local_uri = uri_of(self, active ? "cccc" : "ssss");
    plan.remote_path = {uri_of(other, active ? "ssss" : "cccc")};
    plan.key = {"mikey-ticket;00000001;01;0011223344556677", std::move(psk), {}};
    return plan;
  }

  void run_end(End& end, MediaPlan plan, MediaScript script, std::chrono::milliseconds time) {
    Reporter reporter(Reporter::Format::text,
                      [&end](std::string_view line) { end.events += std::string(line) + "\n"; });
    MediaConnection connection({clock_, random_, reporter, clock_.steady_now() + time}, profile_,
                               std::move(plan), std::move(script));
    end.outcome = connection.run(end.listener);
  }
  void run(MediaPlan client, MediaScript client_script, MediaPlan server, MediaScript server_script,
           std::chrono::milliseconds time = 10s) {
    std::jthread other(
        [&] { run_end(server_, std::move(server), std::move(server_script), time); });
    run_end(client_, std::move(client), std::move(client_script), time);
  }

  SystemClock clock_;
  OpenSslRandom random_;
  std::shared_ptr<const tlspsk::Profile> profile_ =
      tlspsk::Profile::create(tlspsk::default_cipher_suites(), random_).value();
  End client_;
  End server_;
};

TEST_F(MediaConnectionPair, UE_1_MessagesCrossBothWays) {
  run(plan(true, key(1)), {.send = "ping", .expect = 1}, plan(false, key(1)),
      {.send = "pong", .send_after = 1, .expect = 1});
  ASSERT_TRUE(client_.outcome) << client_.outcome.error().describe();
  ASSERT_TRUE(server_.outcome) << server_.outcome.error().describe();
  EXPECT_THAT(client_.events, HasSubstr("pong"));
  EXPECT_THAT(server_.events, HasSubstr("ping"));
  EXPECT_THAT(client_.events, HasSubstr("TLSv1.3"));
  EXPECT_THAT(client_.events, HasSubstr("status      200"));
  EXPECT_THAT(client_.events, HasSubstr("by_both     yes"));
  EXPECT_THAT(server_.events, HasSubstr("by_both     yes"));
}

// RFC 4975 5.4: the active side speaks first even if it has nothing to say.
TEST_F(MediaConnectionPair, UE_1_PassiveSideMaySpeakFirst) {
  run(plan(true, key(1)), {.expect = 1}, plan(false, key(1)), {.send = "welcome"});
  ASSERT_TRUE(client_.outcome) << client_.outcome.error().describe();
  ASSERT_TRUE(server_.outcome) << server_.outcome.error().describe();
  EXPECT_THAT(client_.events, HasSubstr("welcome"));
}

// MRFP-5 from the other side: a peer with another key is refused, and no message crosses.
TEST_F(MediaConnectionPair, UE_1_PeerWithAnotherKeyIsRefused) {
  run(plan(true, key(2)), {.send = "secret"}, plan(false, key(1)), {.expect = 1});
  ASSERT_FALSE(client_.outcome);
  ASSERT_FALSE(server_.outcome);
  EXPECT_EQ(server_.outcome.error().category(), Category::unauthenticated)
      << server_.outcome.error().describe();
  EXPECT_EQ(server_.events.find("secret"), std::string::npos);
}

TEST_F(MediaConnectionPair, UE_1_SaysWhichMessagesAreMissingWhenTheTimeIsOver) {
  run(plan(true, key(1)), {.expect = 2}, plan(false, key(1)), {.send = "one", .expect = 1}, 2s);
  ASSERT_FALSE(client_.outcome);
  EXPECT_EQ(client_.outcome.error().category(), Category::unavailable);
  EXPECT_THAT(client_.outcome.error().text(), HasSubstr("1 of 2"));
}

TEST_F(MediaConnectionPair, UE_1_NobodyConnects) {
  run_end(server_, plan(false, key(1)), {}, 50ms);
  ASSERT_FALSE(server_.outcome);
  EXPECT_EQ(server_.outcome.error().category(), Category::unavailable);
}

TEST_F(MediaConnectionPair, UE_1_NobodyListens) {
  auto lonely = plan(true, key(1));
  {
    const End gone;
    lonely.remote = gone.listener.local();
  }
  run_end(client_, std::move(lonely), {}, 2s);
  ASSERT_FALSE(client_.outcome);
  EXPECT_EQ(client_.outcome.error().category(), Category::unavailable);
}

TEST_F(MediaConnectionPair, UE_1_LongMessageCrossesWhole) {
  std::string text;
  for (int line = 0; line < 20000; ++line) text += "line " + std::to_string(line) + "\n";
  run(plan(true, key(1)), {.send = text}, plan(false, key(1)), {.expect = 1});
  ASSERT_TRUE(client_.outcome) << client_.outcome.error().describe();
  ASSERT_TRUE(server_.outcome) << server_.outcome.error().describe();
  EXPECT_THAT(server_.events, HasSubstr("octets      " + std::to_string(text.size())));
}

}  // namespace
}  // namespace keystub::ue
