// The event loop: tasks from other threads, timers, and safe ends.
#include "mrfp-agent/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <thread>

#include "tests/support/fake_clock.h"

namespace keystub::mrfp {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, RunsTasksOfManyThreadsInTheOrderOfEach) {
  SystemClock clock;
  auto loop = EventLoop::create(clock).value();
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  std::array<int, kThreads> next{};
  int out_of_order = 0;
  int done = 0;
  std::thread runner([&] { loop->run(); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop->post([&, t, i] {
          if (next[static_cast<std::size_t>(t)]++ != i) ++out_of_order;
          if (++done == kThreads * kTasks) loop->stop();
        });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  runner.join();
  EXPECT_EQ(done, kThreads * kTasks);
  EXPECT_EQ(out_of_order, 0);
}

TEST(EventLoop, TimersFireInOrderAndCanBeMovedAndCancelled) {
  keystub::testing::FakeClock clock;
  auto loop = EventLoop::create(clock).value();
  std::string order;
  Timer a(*loop, [&] { order += 'a'; });
  Timer b(*loop, [&] { order += 'b'; });
  Timer c(*loop, [&] { order += 'c'; });
  a.start(30ms);
  b.start(10ms);
  c.start(20ms);
  loop->run_once(0ms);
  EXPECT_EQ(order, "");
  clock.advance(25ms);
  c.cancel();
  loop->run_once(0ms);
  EXPECT_EQ(order, "b");
  a.start(30ms);
  clock.advance(25ms);
  loop->run_once(0ms);
  EXPECT_EQ(order, "b");
  clock.advance(5ms);
  loop->run_once(0ms);
  EXPECT_EQ(order, "ba");
  EXPECT_FALSE(a.running());
}

TEST(EventLoop, ATimerThatRestartsItselfForNowDoesNotStarveTheLoop) {
  keystub::testing::FakeClock clock;
  auto loop = EventLoop::create(clock).value();
  int fired = 0;
  std::function<void()> again;
  Timer timer(*loop, [&] { again(); });
  again = [&] {
    ++fired;
    timer.start(0ms);
  };
  timer.start(0ms);
  loop->run_once(0ms);
  loop->run_once(0ms);
  EXPECT_EQ(fired, 2);
}

TEST(EventLoop, ATimerMayCancelOthersThatAreDueToo) {
  keystub::testing::FakeClock clock;
  auto loop = EventLoop::create(clock).value();
  int fired = 0;
  auto second = std::make_unique<Timer>(*loop, [&] { ++fired; });
  Timer first(*loop, [&] {
    ++fired;
    second.reset();
  });
  first.start(1ms);
  second->start(1ms);
  clock.advance(1ms);
  loop->run_once(0ms);
  EXPECT_EQ(fired, 1);
}

struct Handler final : EventLoop::FdHandler {
  std::function<void()> on_ready;
  void on_fd_ready(std::uint32_t) override { on_ready(); }
};

TEST(EventLoop, AHandlerRemovedInTheSameTurnIsNotCalled) {
  SystemClock clock;
  auto loop = EventLoop::create(clock).value();
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  FileDescriptor left(pair[0]);
  FileDescriptor right(pair[1]);
  int calls = 0;
  Handler a;
  Handler b;
  const auto token_a = loop->add(left.get(), EPOLLOUT, a).value();
  const auto token_b = loop->add(right.get(), EPOLLOUT, b).value();
  a.on_ready = [&] {
    ++calls;
    loop->remove(token_b);
  };
  b.on_ready = [&] {
    ++calls;
    loop->remove(token_a);
  };
  loop->run_once(100ms);
  loop->run_once(0ms);
  // Whichever came first silenced the other, and goes on itself.
  EXPECT_EQ(calls, 2);
}

TEST(EventLoop, DisposedObjectsLiveUntilTheTurnIsOver) {
  SystemClock clock;
  auto loop = EventLoop::create(clock).value();
  struct Witness final : Disposable {
    explicit Witness(bool& flag) : gone(flag) {}
    ~Witness() override { gone = true; }
    bool& gone;
  };
  bool gone = false;
  bool gone_inside = true;
  loop->post([&] {
    loop->dispose(std::make_unique<Witness>(gone));
    gone_inside = gone;
  });
  loop->run_once(0ms);
  EXPECT_FALSE(gone_inside);
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace keystub::mrfp
