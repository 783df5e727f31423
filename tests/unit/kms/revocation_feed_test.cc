// What subscribers of revocations hear: in order, from where they left off, and that they are
// alive.
#include "kms-server/revocation_feed.h"

#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using Kind = RevocationEvent::Kind;
using namespace std::chrono_literals;

// Writes down what it is told. Asks for the next one only when the test does.
class Recorder final : public RevocationFeed::Sink {
 public:
  void tell(const RevocationEvent& event) override {
    events.push_back(event);
    unread = true;
  }
  void drop() override { dropped = true; }
  std::vector<RevocationEvent> events;
  bool unread = false;
  bool dropped = false;
};

class RevocationFeedTest : public KmsFixture {
 protected:
  struct Watch {
    std::shared_ptr<Recorder> sink = std::make_shared<Recorder>();
    std::unique_ptr<RevocationFeed::Subscriber> subscriber;
  };
  Watch watch(std::optional<std::uint64_t> after = {}) {
    Watch made;
    made.subscriber = feed().subscribe(after, made.sink).value();
    return made;
  }
  RevocationFeed& feed() {
    if (feed_ == nullptr) {
      feed_ = std::make_unique<RevocationFeed>(*store, log, feed_settings);
      store->on_revocation([this](const Revocation&) { feed_->wake(); });
    }
    return *feed_;
  }
  // Reads until nothing more is told; what was told since the last time.
  std::vector<RevocationEvent> hear(Watch& who) {
    for (;;) {
      feed().serve(now);
      if (!std::exchange(who.sink->unread, false)) return std::exchange(who.sink->events, {});
      who.subscriber->ready();
    }
  }
  std::uint64_t revoke(std::uint8_t octet) {
    return store->revoke_ticket(ByteVector(16, octet), clock.now() + 1h, Deadline::in(kTimeout))
        .value()
        .sequence;
  }
  static std::vector<std::uint64_t> sequences(const std::vector<RevocationEvent>& events) {
    std::vector<std::uint64_t> out;
    for (const RevocationEvent& event : events) {
      if (event.kind == Kind::revocation) out.push_back(event.revocation->sequence);
    }
    return out;
  }

  RevocationFeedSettings feed_settings{3, 10s, 2000ms};
  SteadyTime now{1h};
  std::unique_ptr<RevocationFeed> feed_;
};

TEST_F(RevocationFeedTest, ANewSubscriberHearsItsPositionAndThenWhatComes) {
  revoke(1);
  Watch one = watch();
  const auto first = hear(one);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].kind, Kind::heartbeat);
  const std::uint64_t second = revoke(2);
  const auto told = hear(one);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::revocation);
  EXPECT_EQ(told[0].revocation->subject, ByteVector(16, 2));
  EXPECT_EQ(told[0].sequence, second);
}

TEST_F(RevocationFeedTest, WhoComesBackWithItsPositionMissesNothing) {
  Watch one = watch();
  std::uint64_t position = hear(one).back().sequence;
  one.subscriber.reset();
  std::vector<std::uint64_t> revoked;
  for (int i = 0; i < 250; ++i) {  // more than two pages
    revoked.push_back(revoke(static_cast<std::uint8_t>(i)));
  }
  one = watch(position);
  const auto told = hear(one);
  EXPECT_EQ(sequences(told), revoked);
  EXPECT_EQ(told.back().sequence, revoked.back());
  one.subscriber.reset();
  one = watch(told.at(100).sequence);
  EXPECT_EQ(sequences(hear(one)), std::vector<std::uint64_t>(revoked.begin() + 101, revoked.end()));
}

TEST_F(RevocationFeedTest, IdentitiesAndTpksAreToldToo) {
  Watch one = watch();
  hear(one);
  ASSERT_TRUE(admin->suspend(operator_caller, kAlice).has_value());
  ASSERT_TRUE(admin->remove(operator_caller, kCarol).has_value());
  const auto told = hear(one);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(as_text(told[0].revocation->subject), kAlice);
  EXPECT_EQ(as_text(told[1].revocation->subject), kCarol);
}

TEST_F(RevocationFeedTest, HeartbeatsComeWhileThereIsNothingToTell) {
  Watch one = watch();
  hear(one);
  now += 9s;
  EXPECT_TRUE(hear(one).empty());
  now += 1s;
  const auto told = hear(one);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, Kind::heartbeat);
}

TEST_F(RevocationFeedTest, NoHeartbeatHidesThatTheStoreDoesNotAnswer) {
  Watch one = watch();
  hear(one);
  const std::uint64_t revoked = revoke(1);
  store->trouble = [] { return Error(Category::unavailable, "no disk"); };
  now += 20s;
  EXPECT_TRUE(hear(one).empty());
  store->trouble = nullptr;
  EXPECT_EQ(sequences(hear(one)), std::vector<std::uint64_t>{revoked});
}

TEST_F(RevocationFeedTest, ASlowSubscriberHoldsNobodyUpIsDroppedAndResumes) {
  Watch slow = watch();
  Watch quick = watch();
  hear(slow);
  hear(quick);
  const std::uint64_t first = revoke(1);
  feed().serve(now);
  ASSERT_EQ(slow.sink->events.size(), 1U) << "and then it does not read on";
  const std::uint64_t second = revoke(2);
  EXPECT_EQ(sequences(hear(quick)), (std::vector<std::uint64_t>{first, second}));
  EXPECT_EQ(slow.sink->events.size(), 1U);
  now += 30s;
  hear(quick);
  EXPECT_TRUE(slow.sink->dropped);
  EXPECT_FALSE(quick.sink->dropped);
  EXPECT_EQ(feed().subscribers(), 1U);

  const std::uint64_t position = slow.sink->events.back().sequence;
  EXPECT_EQ(position, first);
  slow = watch(position);
  EXPECT_EQ(sequences(hear(slow)), (std::vector<std::uint64_t>{second}));
}

TEST_F(RevocationFeedTest, WhoWasAwayForTooLongIsToldSoAndHearsAllThatIsKept) {
  Watch one = watch();
  const std::uint64_t position = hear(one).back().sequence;
  one.subscriber.reset();
  revoke(1);
  clock.advance(2h);
  const std::uint64_t kept = revoke(2);  // the first is over, and gone
  one = watch(position);
  auto told = hear(one);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].kind, Kind::reset);
  EXPECT_EQ(sequences(told), (std::vector<std::uint64_t>{kept}));
  const std::uint64_t newer = revoke(3);
  EXPECT_EQ(sequences(hear(one)), (std::vector<std::uint64_t>{newer})) << "once is enough";
}

TEST_F(RevocationFeedTest, APositionOfAnotherDatabaseIsReset) {
  const std::uint64_t revoked = revoke(1);
  Watch one = watch(revoked + 1000);
  const auto told = hear(one);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].kind, Kind::reset);
  EXPECT_EQ(sequences(told), (std::vector<std::uint64_t>{revoked}));
}

TEST_F(RevocationFeedTest, SubscribersAreBounded) {
  Watch one = watch();
  Watch two = watch();
  Watch three = watch();
  const auto refused = feed().subscribe({}, std::make_shared<Recorder>());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::busy);
  two.subscriber.reset();
  EXPECT_TRUE(feed().subscribe({}, std::make_shared<Recorder>()).has_value());
}

}  // namespace
}  // namespace keystub::kms
