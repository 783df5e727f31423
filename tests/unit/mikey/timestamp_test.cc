// Timestamps: the roll-over of 2036, their order, and where the T of a message comes from.
#include <gtest/gtest.h>

#include "mikey/timestamp_memory.h"
#include "mikey/timestamp_source.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"
#include "tests/unit/mikey/refused.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;

constexpr WallTime at(std::chrono::sys_days day, std::chrono::nanoseconds time = 0ns) {
  return WallTime(day) + time;
}
constexpr std::chrono::sys_days day(int year, unsigned month, unsigned day_of_month) {
  return std::chrono::year(year) / month / day_of_month;
}

// RFC 4330 section 3: NTP's 32 bits of seconds overflow on 7 February 2036 at 06:28:16.
constexpr WallTime kRollOver = at(day(2036, 2, 7), 6h + 28min + 16s);

// [6043-6.3-01] [6043-6.10-25] [6043-6.10-26]
// [3830-4.2.8-01]
TEST(Timestamps, AreReadAsTimesFrom1968To2104) {
  struct Row {
    WallTime time;
    std::uint32_t seconds;
  };
  const Row rows[] = {
      {at(day(1968, 1, 20), 3h + 14min + 8s), 0x80000000},
      {at(day(2011, 3, 1)), 0xD116B580},
      {kRollOver - 1s, 0xFFFFFFFF},
      {kRollOver, 0},
      {kRollOver + 1s, 1},
      {at(day(2104, 2, 26), 9h + 42min + 23s), 0x7FFFFFFF},
  };
  for (const Row& row : rows) {
    for (const TsType type : {TsType::ntp_utc, TsType::ntp, TsType::ntp_utc_32}) {
      const Timestamp timestamp = Timestamp::from(row.time, type);
      EXPECT_EQ(timestamp.as_64_bits(), std::uint64_t{row.seconds} << 32) << row.seconds;
      EXPECT_EQ(timestamp.to_wall_time(), row.time) << row.seconds;
    }
  }
}

// RFC 3830 6.6: COUNTER is padded with leading zeros. [6043-6.3-02]
// [3830-6.6-01]
TEST(Timestamps, OfThirtyTwoBitsArePaddedToSixtyFour) {
  EXPECT_EQ((Timestamp{TsType::counter, 0x01020304}.as_64_bits()), 0x0000000001020304U);
  EXPECT_EQ((Timestamp{TsType::ntp_utc_32, 0x01020304}.as_64_bits()), 0x0102030400000000U);
}

TEST(Timestamps, KeepTheirOrderAcrossTheRollOver) {
  const Timestamp before = Timestamp::from(kRollOver - 1ns);
  const Timestamp after = Timestamp::from(kRollOver + 1ns, TsType::ntp);
  EXPECT_TRUE(std::is_lt(compare(before, after)));
  EXPECT_TRUE(std::is_gt(compare(after, before)));
  EXPECT_TRUE(std::is_eq(
      compare(Timestamp::from(kRollOver), Timestamp::from(kRollOver, TsType::ntp_utc_32))));
  EXPECT_TRUE(std::is_lt(compare({TsType::counter, 7}, {TsType::counter, 0x80000000})));
}

TEST(Timestamps, OfATimeAndACounterHaveNoOrder) {
  EXPECT_EQ(compare({TsType::counter, 7}, {TsType::ntp_utc, 7}), std::partial_ordering::unordered);
}

TEST(Timestamps, ComeFromTheClockInTheTypeThatIsWishedFor) {
  FakeClock clock(kRollOver + 1500ms);
  for (const TsType type : {TsType::ntp_utc, TsType::ntp}) {
    EXPECT_EQ(ClockTimestamps(clock, type).next().value(), (Timestamp{type, 0x1'80000000}));
  }
  EXPECT_EQ(ClockTimestamps(clock, TsType::ntp_utc_32).next().value(),
            (Timestamp{TsType::ntp_utc_32, 1}));
}

TEST(Timestamps, OfACounterNeverRepeat) {
  CounterTimestamps counter(0xFFFFFFFD);
  EXPECT_EQ(counter.next().value(), (Timestamp{TsType::counter, 0xFFFFFFFE}));
  EXPECT_EQ(counter.next().value(), (Timestamp{TsType::counter, 0xFFFFFFFF}));
  EXPECT_EQ(counter.last(), 0xFFFFFFFF);
  const auto used_up = counter.next();
  ASSERT_FALSE(used_up.has_value());
  EXPECT_EQ(used_up.error().category(), Category::conflict);
  EXPECT_FALSE(counter.next().has_value());
}

// --- What a bundle remembers of them ------------------------------------------------------------

class Memory : public ::testing::Test {
 protected:
  static constexpr Place kPlace{"TRANSFER_INIT", "T", "RFC 6043 5.2", 12};

  FakeClock clock_{kRollOver};
  testing::ScriptedRandom random_;
  Environment env_{clock_, random_};
  CounterTimestamps counter_{0xFFFFFFFD};
  TimestampMemory memory_;
};

TEST_F(Memory, TheClockMayStandStillOrStepBack) {
  const Timestamp first = memory_.next_ours(env_).value();
  const Timestamp second = memory_.next_ours(env_).value();
  EXPECT_TRUE(std::is_gt(compare(second, first)));
  clock_.set_now(kRollOver - 10s);
  EXPECT_TRUE(std::is_gt(compare(memory_.next_ours(env_).value(), second)));
}

TEST_F(Memory, OneSideKeepsToTimesOrToCounters) {
  memory_.start_with_ours(Timestamp::from(kRollOver));
  env_.timestamps = &counter_;
  expect_refused(memory_.next_ours(env_), {Category::internal, "keep to one source"});
}

TEST_F(Memory, CountersOfABundleEnd) {
  memory_.start_with_theirs({TsType::counter, 0xFFFFFFFF});
  CounterTimestamps last(0xFFFFFFFE);
  env_.timestamps = &last;
  expect_refused(memory_.next_ours(env_),
                 {Category::conflict, "counters of this bundle are used up"});
}

TEST_F(Memory, IsBounded) {
  for (std::uint64_t i = 0; i < TimestampMemory::kMaxMessages; ++i) {
    ASSERT_TRUE(memory_.admit_theirs({TsType::ntp_utc, i << 32}, kPlace).has_value()) << i;
  }
  const Timestamp next{TsType::ntp_utc, std::uint64_t{TimestampMemory::kMaxMessages} << 32};
  expect_refused(memory_.admit_theirs(next, kPlace),
                 {Category::conflict, "has seen 4096 messages: start a new Ticket Transfer"});
  expect_refused(memory_.next_ours(env_), {Category::conflict, "has seen 4096 messages"});
}

}  // namespace
}  // namespace keystub::mikey
