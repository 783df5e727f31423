// UE-1: two whole sessions, with files between them and media on loopback.
#include "ue-agent/ue_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/unit/ue/fake_kms.h"
#include "tlspsk/cipher_suites.h"

namespace keystub::ue {
namespace {

using ::testing::HasSubstr;
using testing::kAlice;
using testing::kBob;
using namespace std::chrono_literals;

class UeSessions : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(create_replay_memory(bob_)); }

  UeConfig config_of(std::string_view user) const {
    UeConfig config;
    config.uri = user;
    config.kms_identity = testing::kKmsIdentity;
    config.ticket_validity = 1h;
    config.replay_file = folder_ / "replay";
    config.replay_skew = 60s;
    config.media_listen = {"127.0.0.1", 0};
    config.cipher_suites = tlspsk::default_cipher_suites();
    config.accept_types = {"text/plain"};
    return config;
  }

  Result<void> offer(SessionOptions session, OfferOptions options = {}) {
    auto kms = kms_.as_seen_by(std::string(kAlice));
    Reporter reporter(Reporter::Format::text,
                      [this](std::string_view line) { alice_events_ += std::string(line) + "\n"; });
    options.to = kBob;
    UeSession alice(env_, alice_, reporter, std::move(session));
    return alice.offer(kms, std::move(options), folder_ / "offer", folder_ / "answer");
  }
  Result<void> answer(SessionOptions session, std::string_view to = "answer") {
    auto kms = kms_.as_seen_by(std::string(kBob));
    Reporter reporter(Reporter::Format::text,
                      [this](std::string_view line) { bob_events_ += std::string(line) + "\n"; });
    UeSession bob(env_, bob_, reporter, std::move(session));
    return bob.answer(kms, {}, folder_ / "offer", folder_ / to);
  }

  testing::TempDir folder_;
  SystemClock clock_;
  OpenSslRandom random_;
  const mikey::Environment env_{clock_, random_};
  const testing::FakeKms kms_{env_};
  UeConfig alice_ = config_of(kAlice);
  UeConfig bob_ = config_of(kBob);
  std::string alice_events_;
  std::string bob_events_;
};

TEST_F(UeSessions, UE_1_OfferAnswerAndMessages) {
  Result<void> bob;
  {
    std::jthread answering([&] {
      bob = answer({.script = {.send = "pong", .send_after = 1, .expect = 1}, .timeout = 20s});
    });
    const auto alice = offer({.script = {.send = "ping", .expect = 1}, .timeout = 20s});
    EXPECT_TRUE(alice) << alice.error().describe();
  }
  ASSERT_TRUE(bob) << bob.error().describe();
  EXPECT_THAT(alice_events_, HasSubstr("pong"));
  EXPECT_THAT(bob_events_, HasSubstr("ping"));
}

TEST_F(UeSessions, UE_1_WrongKeyInTlsIsRefused) {
  Result<void> bob;
  {
    std::jthread answering(
        [&] { bob = answer({.script = {.send = "secret"}, .timeout = 20s, .wrong_psk = true}); });
    const auto alice = offer({.script = {.expect = 1}, .timeout = 20s});
    ASSERT_FALSE(alice);
    EXPECT_EQ(alice.error().category(), Category::unauthenticated) << alice.error().describe();
  }
  ASSERT_FALSE(bob);
  EXPECT_EQ(bob.error().category(), Category::unauthenticated) << bob.error().describe();
  EXPECT_EQ(alice_events_.find("secret"), std::string::npos);
}

// Each answer opens the memory anew, as another process of the same user does.
TEST_F(UeSessions, UE_1_OfferIsAnsweredOnceAndNoMore) {
  std::jthread offering([&] { std::ignore = offer({.timeout = 2s, .no_media = true}); });
  ASSERT_TRUE(answer({.timeout = 20s, .no_media = true}));
  const auto again = answer({.timeout = 20s, .no_media = true}, "second");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().category(), Category::expired);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "second"));
}

TEST_F(UeSessions, UE_1_LostMemoryRefusesWhatMayHaveBeenSeen) {
  std::filesystem::remove(bob_.replay_file);
  std::jthread offering([&] { std::ignore = offer({.timeout = 1s, .no_media = true}); });
  const auto refused = answer({.timeout = 20s, .no_media = true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().category(), Category::expired);
  EXPECT_THAT(bob_events_, HasSubstr("replay memory lost"));
}

TEST_F(UeSessions, UE_1_NoAnswerInTime) {
  const auto alice = offer({.timeout = 0s});
  ASSERT_FALSE(alice);
  EXPECT_EQ(alice.error().category(), Category::unavailable);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "offer"));
}

TEST_F(UeSessions, UE_1_ReplayMemoryIsMadeOnce) {
  EXPECT_EQ(create_replay_memory(bob_).error().category(), Category::conflict);
}

}  // namespace
}  // namespace keystub::ue
