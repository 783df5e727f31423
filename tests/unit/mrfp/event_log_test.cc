// The numbered, bounded history of events.
#include "mrfp-agent/event_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/fake_clock.h"

namespace keystub::mrfp {
namespace {

StreamEvent event(const std::string& stream) {
  StreamEvent made;
  made.stream_id = stream;
  made.what = Released{"done", 1, 2};
  return made;
}

TEST(EventLog, NumbersFromOneAndKeepsTheNewest) {
  keystub::testing::FakeClock clock;
  EventLog log("instance", 3, clock);
  EXPECT_EQ(log.last_sequence(), 0u);
  EXPECT_FALSE(log.at(1).value().has_value());
  for (const char* name : {"a", "b", "c", "d"}) log.append(event(name));
  EXPECT_EQ(log.last_sequence(), 4u);
  EXPECT_EQ(log.at(4).value()->stream_id, "d");
  EXPECT_EQ(log.at(2).value()->stream_id, "b");
  EXPECT_EQ(log.at(2).value()->sequence, 2u);
  EXPECT_EQ(log.at(2).value()->time, clock.now());
  EXPECT_FALSE(log.at(5).value().has_value());
  EXPECT_EQ(log.at(1).error().category(), Category::expired);
  EXPECT_EQ(log.at(0).error().category(), Category::expired);
}

TEST(EventLog, WatchersAreCalledForEveryEventUntilTheyLeave) {
  SystemClock clock;
  EventLog log("instance", 10'000, clock);
  std::atomic<std::uint64_t> seen{0};
  auto subscription = log.watch([&] { ++seen; });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) log.append(event("s"));
    });
  }
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(seen, 600u);
  EXPECT_EQ(log.at(600).value()->sequence, 600u);
  subscription.reset();
  log.append(event("late"));
  EXPECT_EQ(seen, 600u);
}

}  // namespace
}  // namespace keystub::mrfp
