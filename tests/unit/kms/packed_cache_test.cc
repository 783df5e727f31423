// KMS-7: very many packed identities in memory of a fixed size, never older than an acknowledged
// change.
#include "kms-server/packed_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace keystub::kms {
namespace {

constexpr std::size_t kSmall = PackedCache::kShards * 8192;

void put(PackedCache& cache, const std::string& name, const std::string& value) {
  cache.insert(cache.begin_load(name), name, as_bytes(value));
}

std::optional<std::string> get(PackedCache& cache, const std::string& name) {
  std::optional<std::string> found;
  cache.find(name, [&](Bytes value) { found = to_string(value); });
  return found;
}

std::string name_of(std::size_t i) { return "sip:user" + std::to_string(i) + "@example.com"; }

TEST(PackedCache, FindsWhatWasPutAndNothingElse) {
  PackedCache cache(kSmall);
  EXPECT_EQ(get(cache, "a"), std::nullopt);
  put(cache, "a", "one");
  EXPECT_EQ(get(cache, "a"), "one");
  EXPECT_EQ(get(cache, "b"), std::nullopt);
  EXPECT_EQ(cache.size(), 1U) << "looking for a name must not enter it";
  put(cache, "a", "two");
  EXPECT_EQ(get(cache, "a"), "two");
  EXPECT_EQ(cache.size(), 1U);
  put(cache, "nothing", "");
  EXPECT_EQ(get(cache, "nothing"), "");
  cache.erase("a");
  EXPECT_EQ(get(cache, "a"), std::nullopt);
  EXPECT_EQ(cache.size(), 1U);
}

TEST(PackedCache, TakesInNothingThatIsTooLongAndNothingAtAllWhenItIsTooSmall) {
  PackedCache cache(kSmall);
  const std::string longest_name(PackedCache::kMaxName, 'n');
  const std::string longest_value(PackedCache::kMaxValue, 'v');
  put(cache, longest_name, longest_value);
  EXPECT_EQ(get(cache, longest_name), longest_value);
  put(cache, longest_name + "n", "v");
  put(cache, "n", longest_value + "v");
  put(cache, "", "v");
  EXPECT_EQ(cache.size(), 1U);
  for (const std::size_t size : {std::size_t{0}, PackedCache::kShards * 4096}) {
    PackedCache small(size);
    put(small, "a", "one");
    EXPECT_EQ(small.size(), 0U) << size;
  }
}

// Every name is either here with its own value or not at all, however entries come and go, and what
// was put last is always here. Sizes are drawn so that rings are cut at any place.
TEST(PackedCache, IsTheSameAsAMapUnderManyChanges) {
  PackedCache cache(kSmall);
  std::map<std::string, std::string> model;  // what was put last and not erased since
  std::mt19937 draw(7);
  std::size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = name_of(draw() % 20'000);
    if (draw() % 8 == 0) {
      cache.erase(name);
      model.erase(name);
    } else {
      const std::string value(draw() % 100 == 0 ? draw() % 4000 : draw() % 120,
                              static_cast<char>('a' + i % 26));
      put(cache, name, value);
      model[name] = value;
      ASSERT_EQ(get(cache, name), value) << i;
    }
    const std::string other = name_of(draw() % 20'000);
    if (const auto found = get(cache, other)) {
      ASSERT_TRUE(model.contains(other)) << i;
      ASSERT_EQ(*found, model[other]) << i;
    }
    most = std::max(most, cache.size());
  }
  EXPECT_GT(most, 3000U) << "some 100 octets for an entry";
  EXPECT_LT(most, 20'000U) << "it was full, and the oldest went";
  for (int n = 0; n < 20'000; ++n) cache.erase(name_of(n));
  EXPECT_EQ(cache.size(), 0U);
}

TEST(PackedCache, KeepsWhatCameLastAndLetsTheOldestGo) {
  PackedCache cache(kSmall);
  constexpr std::size_t kMany = 100'000;
  for (std::size_t i = 0; i < kMany; ++i)
    put(cache, name_of(i), "a key of 32 octets, or so to say");
  const std::size_t kept = cache.size();
  EXPECT_GT(kept, kSmall / 80);
  std::size_t newest = 0;
  for (std::size_t i = kMany - kept / 2; i < kMany; ++i) newest += get(cache, name_of(i)) ? 1 : 0;
  EXPECT_EQ(newest, kept / 2);
  EXPECT_EQ(get(cache, name_of(0)), std::nullopt);
}

// Of entries that are shorter than the table has room for, the oldest go too.
TEST(PackedCache, StaysWithinItsTable) {
  PackedCache cache(kSmall);
  for (std::size_t i = 0; i < 100'000; ++i) {
    put(cache, std::to_string(i), "");
    ASSERT_EQ(get(cache, std::to_string(i)), "") << i;
  }
  EXPECT_LT(cache.size(), kSmall / 64);
}

TEST(PackedCache, WipesWhatGoes) {
  PackedCache cache(kSmall);
  const std::string secret = "a key that nobody shall find";
  for (const bool replaced : {false, true}) {
    put(cache, "a", secret);
    Bytes place;
    cache.find("a", [&](Bytes value) { place = value; });  // the memory itself, which stays
    ASSERT_EQ(as_text(place), secret);
    if (replaced) {
      put(cache, "a", "short");
    } else {
      cache.erase("a");
    }
    EXPECT_EQ(as_text(place), std::string(secret.size(), '\0')) << replaced;
  }
}

// As in KeyCache.
TEST(PackedCache, DoesNotTakeInWhatWasReadBeforeAChange) {
  PackedCache cache(kSmall);
  const auto load = cache.begin_load("a");
  cache.erase("a");
  cache.insert(load, "a", as_bytes("old"));
  EXPECT_EQ(get(cache, "a"), std::nullopt);
  put(cache, "a", "new");
  EXPECT_EQ(get(cache, "a"), "new");
}

TEST(PackedCache, MayBeUsedFromSeveralThreads) {
  PackedCache cache(kSmall);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (unsigned i = 0; i < 5000; ++i) {
        const std::string name = name_of((i * 7 + t) % 10'000);
        if (const auto value = get(cache, name)) {
          ASSERT_EQ(*value, name);
        } else {
          put(cache, name, name);
        }
        if (i % 50 == 0) cache.erase(name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace keystub::kms
