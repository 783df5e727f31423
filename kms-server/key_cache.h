// KeyCache: open keys in front of the identity store. Bounded, sharded, least recently used goes
// first. Only what exists enters: an unknown name can neither fill it nor push anything out.
//
// An entry is never older than an acknowledged change: the change erases it before it is
// acknowledged, and what was read from the store meanwhile is not taken in (see Load).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace keystub::kms {

// Threads: all calls are safe from several threads and never block for long.
template <class Value>
class KeyCache {
 public:
  using Pointer = std::shared_ptr<const Value>;

  // What insert() needs to notice that the entry was erased while the store was read.
  struct Load {
    std::uint64_t erasures = 0;
  };

  explicit KeyCache(std::size_t max_entries)
      : max_per_shard_(std::max<std::size_t>(1, max_entries / kShards)) {}

  // Null if it is not here.
  Pointer find(std::string_view name) {
    Shard& shard = shard_of(name);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(name);
    if (found == shard.index.end()) return nullptr;
    shard.entries.splice(shard.entries.begin(), shard.entries, found->second);
    return found->second->value;
  }

  // Before the store is asked for `name`.
  Load begin_load(std::string_view name) {
    Shard& shard = shard_of(name);
    const std::lock_guard lock(shard.mutex);
    return {shard.erasures};
  }

  // After it was. Without effect when something in the shard was erased in between.
  void insert(const Load& load, std::string_view name, Pointer value) {
    Shard& shard = shard_of(name);
    const std::lock_guard lock(shard.mutex);
    if (shard.erasures != load.erasures) return;
    drop(shard, name);
    shard.entries.push_front({std::string(name), std::move(value)});
    shard.index.emplace(shard.entries.front().name, shard.entries.begin());
    if (shard.entries.size() > max_per_shard_) {
      shard.index.erase(shard.entries.back().name);
      shard.entries.pop_back();
    }
  }

  void erase(std::string_view name) {
    Shard& shard = shard_of(name);
    const std::lock_guard lock(shard.mutex);
    ++shard.erasures;
    drop(shard, name);
  }

  std::size_t size() const {
    std::size_t total = 0;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      total += shard.entries.size();
    }
    return total;
  }

 private:
  static constexpr std::size_t kShards = 16;

  struct Entry {
    std::string name;
    Pointer value;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> entries;  // most recently used first
    // Keys view the names in `entries`.
    std::unordered_map<std::string_view, typename std::list<Entry>::iterator> index;
    std::uint64_t erasures = 0;
  };

  Shard& shard_of(std::string_view name) {
    return shards_[std::hash<std::string_view>{}(name) % kShards];
  }
  static void drop(Shard& shard, std::string_view name) {
    const auto found = shard.index.find(name);
    if (found == shard.index.end()) return;
    const auto entry = found->second;
    shard.index.erase(found);
    shard.entries.erase(entry);
  }

  const std::size_t max_per_shard_;
  std::array<Shard, kShards> shards_;
};

}  // namespace keystub::kms
