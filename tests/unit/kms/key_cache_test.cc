// KMS-7: a bounded cache that unknown names cannot enter and that is never older than an
// acknowledged change.
#include "kms-server/key_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace keystub::kms {
namespace {

using Cache = KeyCache<int>;

void put(Cache& cache, const std::string& name, int value) {
  cache.insert(cache.begin_load(name), name, std::make_shared<const int>(value));
}

TEST(KeyCache, FindsWhatWasPutAndNothingElse) {
  Cache cache(64);
  put(cache, "a", 1);
  ASSERT_NE(cache.find("a"), nullptr);
  EXPECT_EQ(*cache.find("a"), 1);
  EXPECT_EQ(cache.find("b"), nullptr);
  EXPECT_EQ(cache.size(), 1U) << "looking for a name must not enter it";
  put(cache, "a", 2);
  EXPECT_EQ(*cache.find("a"), 2);
  EXPECT_EQ(cache.size(), 1U);
  cache.erase("a");
  EXPECT_EQ(cache.find("a"), nullptr);
}

TEST(KeyCache, StaysWithinItsBoundAndKeepsWhatIsUsed) {
  Cache cache(160);
  put(cache, "used", 0);
  for (int i = 0; i < 10'000; ++i) {
    put(cache, "name " + std::to_string(i), i);
    ASSERT_NE(cache.find("used"), nullptr) << i;
  }
  EXPECT_LE(cache.size(), 160U);
}

// Every name is either here with its own value or not at all, however entries come and go.
TEST(KeyCache, IsTheSameAsAMapUnderManyChanges) {
  Cache cache(64);
  std::map<std::string, int> model;  // what was put last and not erased since
  std::mt19937 draw(7);
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "name " + std::to_string(draw() % 200);
    if (draw() % 4 == 0) {
      cache.erase(name);
      model.erase(name);
    } else if (draw() % 2 == 0) {
      put(cache, name, i);
      model[name] = i;
      ASSERT_NE(cache.find(name), nullptr) << i;
    }
    for (int n = 0; n < 200; n += 7) {
      const std::string other = "name " + std::to_string(n);
      const auto found = cache.find(other);
      if (found == nullptr) continue;
      ASSERT_TRUE(model.contains(other)) << i;
      ASSERT_EQ(*found, model[other]) << i;
    }
    ASSERT_LE(cache.size(), 64U);
  }
  for (int n = 0; n < 200; ++n) cache.erase("name " + std::to_string(n));
  EXPECT_EQ(cache.size(), 0U);
}

TEST(KeyCache, IsFullBeforeAnythingGoes) {
  Cache cache(16 * 100);
  for (int i = 0; i < 100'000; ++i) put(cache, "name " + std::to_string(i), i);
  EXPECT_EQ(cache.size(), 1600U);
  for (int i = 0; i < 100'000; ++i) cache.erase("name " + std::to_string(i));
  EXPECT_EQ(cache.size(), 0U);
  put(cache, "again", 1);
  EXPECT_NE(cache.find("again"), nullptr);
}

// The change is committed, the entry erased, the change acknowledged; only then comes the reader
// that had read the state before it.
TEST(KeyCache, DoesNotTakeInWhatWasReadBeforeAChange) {
  Cache cache(64);
  const auto load = cache.begin_load("a");
  cache.erase("a");
  cache.insert(load, "a", std::make_shared<const int>(1));
  EXPECT_EQ(cache.find("a"), nullptr);
  put(cache, "a", 2);
  EXPECT_EQ(*cache.find("a"), 2);
}

TEST(KeyCache, MayBeUsedFromSeveralThreads) {
  Cache cache(256);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::string name = "name " + std::to_string((i * 7 + t) % 400);
        if (const auto value = cache.find(name)) {
          ASSERT_EQ(name, "name " + std::to_string(*value));
        } else {
          put(cache, name, (i * 7 + t) % 400);
        }
        if (i % 50 == 0) cache.erase(name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.size(), 256U);
}

}  // namespace
}  // namespace keystub::kms
