// The replay window: KMS-6 (KMS) and MRFC-R5 (MRFC) stand on it.
#include "replay/replay_window.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>
#include <tuple>
#include <vector>

#include "replay/replay_file.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::replay {
namespace {

using namespace std::chrono_literals;
using testing::FakeClock;
using ::testing::HasSubstr;
using testing::kTestTime;
using testing::TempDir;

// Tags that look like MACs: spread evenly, told by a number.
Tag tag(std::uint64_t number) {
  Tag out{};
  for (int half = 0; half < 2; ++half) {
    std::uint64_t x = number * 2 + static_cast<std::uint64_t>(half) + 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    std::memcpy(out.data() + half * 8, &x, sizeof(x));
  }
  return out;
}
// All in one shard.
Tag tag_in_shard_0(std::uint64_t number) {
  Tag out = tag(number);
  out.back() = 0;
  return out;
}

// The smallest window: 64 slots per shard and generation, 48 of them filled at most.
const Options kSmall{.skew = 60s, .capacity = 1, .boot_id = "boot-1"};
constexpr std::uint64_t kPerGeneration = 48;

Category category(const Result<void>& result) { return result.error().category(); }

struct InMemory : ::testing::Test {
  FakeClock clock;
  std::unique_ptr<ReplayWindow> window = ReplayWindow::in_memory(clock, kSmall).value();
};

// KMS-6
// [3830-5.4-04]
TEST_F(InMemory, KMS_6_AdmitsAMessageOnce) {
  EXPECT_TRUE(window->admit(tag(1), kTestTime).has_value());
  const auto again = window->admit(tag(1), kTestTime);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(category(again), Category::expired);
  EXPECT_THAT(again.error().text(), HasSubstr("replay"));
  EXPECT_TRUE(window->admit(tag(2), kTestTime).has_value());
  EXPECT_FALSE(window->admit(tag(1), kTestTime + 1s).has_value()) << "the MAC is the message";
}

// KMS-6, MRFC-R5
// [3830-5.4-03]
TEST_F(InMemory, KMS_6_RefusesWhatIsOutsideTheClockSkew) {
  EXPECT_TRUE(window->admit(tag(1), kTestTime - 60s).has_value());
  EXPECT_TRUE(window->admit(tag(2), kTestTime + 60s).has_value());
  const auto old = window->admit(tag(3), kTestTime - 60s - 1ns);
  ASSERT_FALSE(old.has_value());
  EXPECT_EQ(category(old), Category::expired);
  EXPECT_THAT(old.error().text(), HasSubstr("behind"));
  const auto early = window->admit(tag(4), kTestTime + 60s + 1ns);
  ASSERT_FALSE(early.has_value());
  EXPECT_THAT(early.error().text(), HasSubstr("ahead"));
  EXPECT_FALSE(window->admit(tag(5), WallTime::min()).has_value());
  EXPECT_FALSE(window->admit(tag(6), WallTime::max()).has_value());
}

// KMS-6: the clock goes forth and back; what was accepted in between stays refused.
TEST_F(InMemory, KMS_6_RefusesAReplayAfterTheClockSteppedBack) {
  ASSERT_TRUE(window->admit(tag(1), kTestTime).has_value());
  clock.set_now(kTestTime + 24h);
  EXPECT_FALSE(window->admit(tag(1), kTestTime).has_value());
  for (std::uint64_t i = 0; i < 64 * kPerGeneration * 4; ++i) {
    std::ignore = window->admit(tag(1000 + i), clock.now());
    if (i % 1000 == 0) clock.advance(1s);
  }
  clock.set_now(kTestTime);
  EXPECT_FALSE(window->admit(tag(1), kTestTime).has_value());
}

// KMS-6: what had to be forgotten is below the floor, whatever the clock says.
TEST_F(InMemory, KMS_6_ForgetsOnlyBelowTheFloorAndTheFloorOnlyRises) {
  WallTime floor = window->floor();
  for (std::uint64_t i = 0; i < 40 * kPerGeneration; ++i) {
    clock.advance(1s);
    ASSERT_TRUE(window->admit(tag_in_shard_0(i), clock.now()).has_value()) << i;
    EXPECT_GE(window->floor(), floor);
    floor = window->floor();
  }
  EXPECT_GT(floor, kTestTime);
  EXPECT_EQ(window->effective_skew(), 60s) << "48 messages in 48 s fit without a smaller skew";
  for (std::uint64_t i = 0; i < 40 * kPerGeneration; ++i) {
    clock.set_now(kTestTime + std::chrono::seconds(i + 1));
    EXPECT_FALSE(window->admit(tag_in_shard_0(i), clock.now()).has_value()) << i;
  }
}

// KMS-6: full. The skew shrinks, and nothing that could still be admitted is forgotten.
// [3830-5.4-02]
TEST_F(InMemory, KMS_6_ShrinksTheSkewWhenFullAndEvictsNothingUnexpired) {
  std::vector<std::pair<std::uint64_t, WallTime>> admitted;
  std::uint64_t number = 0;
  for (int second = 0; second < 300; ++second) {
    clock.advance(1s);
    for (int i = 0; i < 4; ++i, ++number) {
      const WallTime t = clock.now() + std::chrono::seconds(i % 3 - 1);
      if (window->admit(tag_in_shard_0(number), t)) admitted.emplace_back(number, t);
    }
    for (const auto& [old, t] : admitted) {
      ASSERT_FALSE(window->admit(tag_in_shard_0(old), t).has_value()) << old << " at " << second;
    }
  }
  EXPECT_LT(window->effective_skew(), 60s);
  EXPECT_GE(window->effective_skew(), 1s);
  EXPECT_GT(admitted.size(), number * 9 / 10) << "messages with a good clock still pass";
  clock.advance(120s);
  EXPECT_EQ(window->effective_skew(), 60s) << "the skew recovers";
}

// KMS-6
TEST_F(InMemory, KMS_6_IsBusyWhenFullEvenWithTheSmallestSkew) {
  std::uint64_t number = 0;
  Result<void> last;
  while ((last = window->admit(tag_in_shard_0(number), kTestTime))) ++number;
  EXPECT_EQ(category(last), Category::busy);
  EXPECT_GE(number, 2 * kPerGeneration);
  for (std::uint64_t i = 0; i < number; ++i) {
    EXPECT_FALSE(window->admit(tag_in_shard_0(i), kTestTime).has_value());
  }
  clock.advance(2s);
  EXPECT_TRUE(window->admit(tag_in_shard_0(number), clock.now()).has_value());
  for (std::uint64_t i = 0; i < number; ++i) {
    EXPECT_FALSE(window->admit(tag_in_shard_0(i), kTestTime).has_value());
  }
}

TEST_F(InMemory, OneClientWithAFastClockDoesNotShutTheOthersOut) {
  for (std::uint64_t i = 0; i < 3000; ++i) {
    clock.advance(100ms);
    const bool fast = i % 20 == 0;
    const auto t = clock.now() + (fast ? 55s : 0s);
    const bool admitted = window->admit(tag_in_shard_0(i), t).has_value();
    if (!fast) {
      ASSERT_TRUE(admitted) << i;
    }
  }
}

TEST_F(InMemory, KMS_6_AdmitsEachOfManyThreadsMessagesExactlyOnce) {
  const auto large = ReplayWindow::in_memory(clock, {.skew = 60s, .capacity = 1 << 16}).value();
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < 5000; ++i) {
        if (large->admit(tag(i), kTestTime)) ++admitted;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(admitted, 5000);
}

TEST_F(InMemory, KMS_6_ManyThreadsInAFullShardStillAdmitNothingTwice) {
  std::vector<std::atomic<int>> admitted(4000);
  std::vector<std::thread> threads;
  for (int n = 0; n < 3; ++n) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < admitted.size(); ++i) {
        const WallTime t = kTestTime + std::chrono::milliseconds(i * 20);
        if (window->admit(tag_in_shard_0(i), t)) ++admitted[i];
      }
    });
  }
  for (int i = 0; i < 80; ++i) {
    clock.advance(1s);
    std::this_thread::sleep_for(100us);
  }
  for (auto& thread : threads) thread.join();
  for (const auto& count : admitted) EXPECT_LE(count, 1);
}

struct OnFile : ::testing::Test {
  TempDir folder;
  FakeClock clock;
  std::filesystem::path file = folder / "replay.window";

  std::unique_ptr<ReplayWindow> open(const std::string& boot_id = "boot-1") {
    Options options = kSmall;
    options.boot_id = boot_id;
    auto window = ReplayWindow::open(file, clock, options);
    EXPECT_TRUE(window.has_value()) << window.error().text();
    return window ? std::move(*window) : nullptr;
  }
  // Runs `work` on the window in a process of its own, which then dies without any clean-up.
  void in_killed_process(const std::function<void(ReplayWindow&)>& work,
                         const std::string& boot_id = "boot-1") {
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto window = open(boot_id);
      work(*window);
      ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
  }
};

TEST_F(OnFile, AFreshWindowAdmitsAtOnce) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const auto window = open();
  EXPECT_EQ(window->memory(), Memory::fresh);
  EXPECT_TRUE(window->admit(tag(1), kTestTime).has_value());
  EXPECT_EQ(ReplayWindow::create(file, kSmall).error().category(), Category::conflict);
}

// KMS-6, MRFC-R5: kill -9 right after admit() returned.
TEST_F(OnFile, KMS_6_MRFC_R5_RefusesAReplayAfterTheProcessWasKilled) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  in_killed_process([](ReplayWindow& window) {
    for (std::uint64_t i = 0; i < 100; ++i) {
      if (!window.admit(tag(i), kTestTime)) ::_exit(1);
    }
  });
  const auto window = open();
  EXPECT_EQ(window->memory(), Memory::kept);
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_FALSE(window->admit(tag(i), kTestTime).has_value()) << i;
  }
  EXPECT_TRUE(window->admit(tag(100), kTestTime).has_value()) << "new ones pass at once";
}

// KMS-6: killed at any moment, in the middle of whatever the window was doing, also while
// generations change hands. What the child reported as admitted is refused afterwards.
TEST_F(OnFile, KMS_6_RefusesAReplayWheneverTheProcessWasKilled) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  std::uint64_t base = 0;
  for (int round = 0; round < 30; ++round, base += 1'000'000) {
    int reports[2];
    ASSERT_EQ(::pipe(reports), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto window = open();
      for (std::uint64_t i = base;; ++i) {
        clock.advance(50ms);
        const std::int64_t t = clock.now().time_since_epoch().count();
        if (!window->admit(tag_in_shard_0(i), clock.now())) continue;
        const std::uint64_t report[2] = {i, static_cast<std::uint64_t>(t)};
        if (::write(reports[1], report, sizeof(report)) < 0) ::_exit(1);
      }
    }
    ::close(reports[1]);
    std::vector<std::pair<std::uint64_t, WallTime>> admitted;
    std::uint64_t report[2];
    const auto read_one = [&] {
      if (::read(reports[0], report, sizeof(report)) != static_cast<ssize_t>(sizeof(report))) {
        return false;
      }
      admitted.emplace_back(
          report[0], WallTime(std::chrono::nanoseconds(static_cast<std::int64_t>(report[1]))));
      return true;
    };
    for (int i = 0; i < 150 + round * 7; ++i) ASSERT_TRUE(read_one());
    ::kill(pid, SIGKILL);
    while (read_one()) {
    }
    ::close(reports[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    const auto window = open();
    ASSERT_EQ(window->memory(), Memory::kept);
    for (const auto& [number, t] : admitted) {
      clock.set_now(t);
      ASSERT_FALSE(window->admit(tag_in_shard_0(number), t).has_value()) << number;
    }
    clock.set_now(admitted.back().second + 10s);
  }
}

// KMS-6, MRFC-R5
TEST_F(OnFile, KMS_6_MRFC_R5_KeepsEverythingOverACleanRestartOfTheMachine) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  ASSERT_TRUE(open("boot-1")->admit(tag(1), kTestTime).has_value());
  const auto window = open("boot-2");
  EXPECT_EQ(window->memory(), Memory::kept);
  EXPECT_FALSE(window->admit(tag(1), kTestTime).has_value());
  EXPECT_TRUE(window->admit(tag(2), kTestTime).has_value());
}

// KMS-6: the machine stopped without a clean close: every T not later than start + skew.
TEST_F(OnFile, KMS_6_MRFC_R5_RefusesEverythingUpToStartPlusSkewAfterALostMachine) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  in_killed_process([](ReplayWindow& window) {
    if (!window.admit(tag(1), kTestTime)) ::_exit(1);
  });
  clock.advance(5s);
  const WallTime start = clock.now();
  {
    const auto window = open("boot-2");
    EXPECT_EQ(window->memory(), Memory::lost);
    EXPECT_THAT(window->lost_because(), HasSubstr("without a clean close"));
    EXPECT_FALSE(window->admit(tag(1), kTestTime).has_value());
    EXPECT_FALSE(window->admit(tag(2), start).has_value());
    EXPECT_FALSE(window->admit(tag(3), start + 60s).has_value());
    clock.advance(1ns);
    EXPECT_TRUE(window->admit(tag(4), start + 60s + 1ns).has_value());
  }
  const auto window = open("boot-3");
  EXPECT_EQ(window->memory(), Memory::kept) << "this time the close was clean";
  EXPECT_FALSE(window->admit(tag(5), start + 60s).has_value()) << "the floor stays";
}

// KMS-6
TEST_F(OnFile, KMS_6_TreatsAMissingOrDamagedFileAsLost) {
  {
    const auto window = open();
    EXPECT_EQ(window->memory(), Memory::lost);
    EXPECT_THAT(window->lost_because(), HasSubstr("missing"));
    EXPECT_FALSE(window->admit(tag(1), kTestTime).has_value());
    clock.advance(61s);
    EXPECT_TRUE(window->admit(tag(1), clock.now()).has_value());
  }
  const auto damage = [&](std::streamoff at, std::string_view octets) {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(at);
    out << octets;
  };
  const std::function<void()> damages[] = {
      [&] { damage(0, "X"); },
      [&] { std::filesystem::resize_file(file, 100); },
      [&] { std::filesystem::resize_file(file, 0); },
      [&] { damage(4096 + 24, "\xff"); },
  };
  for (const auto& hurt : damages) {
    clock.advance(200s);
    hurt();
    const auto window = open();
    ASSERT_EQ(window->memory(), Memory::lost);
    EXPECT_FALSE(window->admit(tag(1), clock.now()).has_value());
    EXPECT_FALSE(window->admit(tag(1), clock.now() + 60s).has_value());
  }
}

// KMS-6: killed while a generation is being emptied: what was carried over may be gone.
TEST_F(OnFile, KMS_6_RaisesTheFloorWhenItDiedWhileGenerationsChangedHands) {
  ASSERT_TRUE(ReplayWindow::create(file, kSmall).has_value());
  open().reset();
  const auto until = (kTestTime + 30s).time_since_epoch().count();
  {
    const auto mapping = Mapping::open(file).value();
    for (std::size_t i = 0; i < kShards; ++i) mapping->shard(i).recovery_floor = until;
  }
  const auto window = open();
  EXPECT_EQ(window->memory(), Memory::kept);
  EXPECT_FALSE(window->admit(tag(1), kTestTime + 30s).has_value());
  EXPECT_TRUE(window->admit(tag(1), kTestTime + 31s).has_value());
}

TEST_F(OnFile, BelongsToOneProcess) {
  const auto first = open();
  const auto second = ReplayWindow::open(file, clock, kSmall);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().category(), Category::conflict);
}

TEST_F(OnFile, SaysWhenItCannotBeMade) {
  EXPECT_EQ(ReplayWindow::open(folder / "none/file", clock, kSmall).error().category(),
            Category::unavailable);
  EXPECT_EQ(ReplayWindow::in_memory(clock, {.skew = 0s}).error().category(), Category::malformed);
}

TEST(TagOf, IsTheBeginningOfTheMac) {
  ByteVector mac(32);
  for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(to_hex(tag_of(mac)), "000102030405060708090a0b0c0d0e0f");
}

}  // namespace
}  // namespace keystub::replay
