// The executor that keeps RPC threads off the store: bounded, and complete when it stops.
#include "kms-server/store_executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace keystub::kms {
namespace {

TEST(StoreExecutor, RefusesWithBusyWhenTooMuchWaits) {
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<int> done{0};
  StoreExecutor executor(1, 2);
  ASSERT_TRUE(executor.submit([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  ASSERT_TRUE(executor.submit([&] { ++done; }));
  ASSERT_TRUE(executor.submit([&] { ++done; }));
  const auto refused = executor.submit([&] { ++done; });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::busy);
  EXPECT_EQ(executor.waiting(), 2U);
  release.set_value();
}

TEST(StoreExecutor, RunsWhatWaitsBeforeItStops) {
  std::atomic<int> done{0};
  {
    StoreExecutor executor(3, 1000);
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(executor.submit([&] { ++done; }));
    }
  }
  EXPECT_EQ(done, 500);
}

TEST(StoreExecutor, RunsAsManyJobsAtOnceAsItHasThreads) {
  std::promise<void> first;
  std::promise<void> second;
  StoreExecutor executor(2, 10);
  // Each waits for the other: with one thread this would never end.
  ASSERT_TRUE(executor.submit([&] {
    first.set_value();
    second.get_future().wait();
  }));
  ASSERT_TRUE(executor.submit([&] {
    first.get_future().wait();
    second.set_value();
  }));
}

}  // namespace
}  // namespace keystub::kms
