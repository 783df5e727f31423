// KMS-7: limits that slow a sender down, in a table of fixed size.
#include "kms-server/rate_limiter.h"

#include <gtest/gtest.h>

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPeer = "ipv4:192.0.2.1:40000";
constexpr const char* kAlice = "sip:alice@example.com";

struct RateLimiterTest : ::testing::Test {
  std::unique_ptr<RateLimiter> make(const LimitSettings& settings) {
    return RateLimiter::make(settings, random).value();
  }
  OpenSslRandom random;
  SteadyTime now{1h};
};

// [6043-12.3-01]
TEST_F(RateLimiterTest, KMS_7_ABucketEmptiesAndFillsAgain) {
  const auto limiter = make({.per_identity = {10, 3}});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(limiter->authenticated(kAlice, now));
  EXPECT_EQ(limiter->authenticated(kAlice, now), 100ms) << "a tenth of a second for one";
  EXPECT_FALSE(limiter->authenticated("sip:bob@example.com", now)) << "a bucket of its own";
  EXPECT_FALSE(limiter->authenticated(kAlice, now + 100ms));
  EXPECT_TRUE(limiter->authenticated(kAlice, now + 100ms));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(limiter->authenticated(kAlice, now + 1h));
  EXPECT_TRUE(limiter->authenticated(kAlice, now + 1h)) << "never more than the burst";
}

// [6043-12.3-01]
TEST_F(RateLimiterTest, KMS_7_OnePeerDoesNotUseUpWhatIsThereForAll) {
  const auto limiter = make({.overall = {1, 3}, .per_peer = {1, 1}});
  EXPECT_FALSE(limiter->message("ipv4:192.0.2.1:1", now));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter->message("ipv4:192.0.2.1:2", now));
  EXPECT_FALSE(limiter->message("ipv4:192.0.2.2:1", now));
  EXPECT_FALSE(limiter->message("ipv6:%5B2001:db8::1%5D:1", now));
  EXPECT_TRUE(limiter->message("ipv4:192.0.2.3:1", now)) << "the limit of all";
}

TEST_F(RateLimiterTest, KMS_7_ZeroIsNoLimit) {
  const auto limiter = make({.per_peer = {0, 0}, .per_identity = {0, 0}, .free_failures = 0});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(limiter->message(kPeer, now));
    ASSERT_FALSE(limiter->authenticated(kAlice, now));
    limiter->failed(kPeer, kAlice, now);
    ASSERT_FALSE(limiter->attempt(kPeer, kAlice, now).wait);
  }
}

TEST_F(RateLimiterTest, KMS_7_EachFailureDoublesTheWaitUpToTheLongest) {
  const auto limiter = make({.free_failures = 2, .first_backoff = 1s, .longest_backoff = 5s});
  limiter->failed(kPeer, kAlice, now);
  EXPECT_FALSE(limiter->attempt(kPeer, kAlice, now).wait);
  for (const auto wait : {1s, 2s, 4s, 5s, 5s}) {
    limiter->failed(kPeer, kAlice, now);
    EXPECT_EQ(limiter->attempt(kPeer, kAlice, now).wait, wait);
    now += wait;
    EXPECT_FALSE(limiter->attempt(kPeer, kAlice, now).wait);
  }
  limiter->succeeded(kPeer, kAlice);
  limiter->failed(kPeer, kAlice, now);
  EXPECT_FALSE(limiter->attempt(kPeer, kAlice, now).wait) << "a success begins anew";
}

TEST_F(RateLimiterTest, KMS_7_FailuresOfLongAgoAreForgotten) {
  const auto limiter = make({.free_failures = 2, .longest_backoff = 60s});
  limiter->failed(kPeer, kAlice, now);
  limiter->failed(kPeer, kAlice, now + 121s);
  EXPECT_FALSE(limiter->attempt(kPeer, kAlice, now + 121s).wait);
}

TEST_F(RateLimiterTest, KMS_7_AFullTableForgetsAndRefusesNobody) {
  const auto limiter =
      make({.per_peer = {0, 0}, .per_identity = {1, 1}, .free_failures = 1, .slots = 128});
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = "sip:user" + std::to_string(i) + "@example.com";
    ASSERT_FALSE(limiter->attempt(kPeer, name, now).wait);
    ASSERT_FALSE(limiter->authenticated(name, now));
    limiter->failed(kPeer, name, now);
  }
  // What limits longest stays: the latest failures, not the buckets.
  EXPECT_TRUE(limiter->attempt(kPeer, "sip:user9999@example.com", now).wait);
}

TEST_F(RateLimiterTest, KMS_7_ThePortIsNoPartOfAPeer) {
  EXPECT_EQ(without_port("ipv4:192.0.2.1:40000"), "ipv4:192.0.2.1");
  EXPECT_EQ(without_port("ipv6:%5B2001:db8::1%5D:40000"), "ipv6:%5B2001:db8::1%5D");
  EXPECT_EQ(without_port("fd:9"), "fd:9");
  EXPECT_EQ(without_port(""), "");
}

}  // namespace
}  // namespace keystub::kms
