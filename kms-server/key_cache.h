// KeyCache: open keys in front of the identity store. Bounded and sharded; what has not been looked
// for in a while goes first. Only what exists enters: an unknown name can neither fill it nor push
// anything out.
//
// An entry is never older than an acknowledged change: the change erases it before it is
// acknowledged, and what was read from the store meanwhile is not taken in (see Load).
//
// With many entries a look-up waits for memory and for little else. So a shard is two arrays: a
// small hash table of places, which the processor's caches hold, and the entries themselves; and
// being found marks an entry (CLOCK, second chance) instead of moving it in a list.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

  explicit KeyCache(std::size_t max_entries) {
    for (Shard& shard : shards_) {
      shard.max_entries = std::max<std::size_t>(1, max_entries / kShards);
    }
  }

  // Null if it is not here.
  Pointer find(std::string_view name) {
    const std::size_t hash = hash_of(name);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    Entry* const entry = shard.find(hash, name);
    if (entry == nullptr) return nullptr;
    entry->looked_for = true;
    return entry->value;
  }

  // Before the store is asked for `name`.
  Load begin_load(std::string_view name) {
    Shard& shard = shard_of(hash_of(name));
    const std::lock_guard lock(shard.mutex);
    return {shard.erasures};
  }

  // After it was. Without effect when something in the shard was erased in between.
  void insert(const Load& load, std::string_view name, Pointer value) {
    const std::size_t hash = hash_of(name);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    if (shard.erasures != load.erasures) return;
    if (Entry* const entry = shard.find(hash, name)) {
      entry->value = std::move(value);
    } else {
      shard.add({hash, std::string(name), std::move(value)});
    }
  }

  void erase(std::string_view name) {
    const std::size_t hash = hash_of(name);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    ++shard.erasures;
    if (const Entry* const entry = shard.find(hash, name)) shard.remove(*entry);
  }

  std::size_t size() const {
    std::size_t total = 0;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      total += shard.entries.size() - shard.free.size();
    }
    return total;
  }

 private:
  static constexpr std::size_t kShards = 16;

  struct Entry {
    std::size_t hash = 0;
    std::string name;
    Pointer value;  // null: free
    bool looked_for = false;
  };

  // Under its mutex.
  struct Shard {
    using Place = std::uint32_t;  // in entries
    static constexpr Place kNone = UINT32_MAX;
    struct Slot {
      std::uint32_t tag = 0;  // of the hash
      Place place = kNone;
    };

    mutable std::mutex mutex;
    std::uint64_t erasures = 0;
    std::size_t max_entries = 0;
    std::vector<Entry> entries;
    std::vector<Place> free;
    std::size_t hand = 0;  // of the clock
    // Open addressing, one after the other; at most half of them taken. A power of two.
    std::vector<Slot> slots = std::vector<Slot>(2);

    Entry* find(std::size_t hash, std::string_view name) {
      for (std::size_t at = home(tag_of(hash));; at = next(at)) {
        const Slot& slot = slots[at];
        if (slot.place == kNone) return nullptr;
        if (slot.tag == tag_of(hash) && entries[slot.place].name == name) {
          return &entries[slot.place];
        }
      }
    }

    // Of a name that is not here.
    void add(Entry entry) {
      if (free.empty() && entries.size() == max_entries) remove(least_looked_for());
      Place place = static_cast<Place>(entries.size());
      if (free.empty()) {
        if (entries.size() == entries.capacity()) {  // doubled, but not beyond what may be full
          entries.reserve(std::clamp<std::size_t>(2 * entries.size(), 1, max_entries));
        }
        entries.emplace_back();
        if (2 * entries.size() > slots.size()) grow();
      } else {
        place = free.back();
        free.pop_back();
      }
      enter({tag_of(entry.hash), place});
      entries[place] = std::move(entry);
    }

    void remove(const Entry& entry) {
      const auto place = static_cast<Place>(&entry - entries.data());
      std::size_t hole = home(tag_of(entry.hash));
      while (slots[hole].place != place) hole = next(hole);
      // What stands behind moves up, if that is nearer to its home.
      for (std::size_t at = next(hole); slots[at].place != kNone; at = next(at)) {
        if (distance(home(slots[at].tag), at) < distance(hole, at)) continue;
        slots[hole] = slots[at];
        hole = at;
      }
      slots[hole] = {};
      entries[place] = {};
      free.push_back(place);
    }

   private:
    static std::uint32_t tag_of(std::size_t hash) { return static_cast<std::uint32_t>(hash); }
    std::size_t home(std::uint32_t tag) const { return tag & (slots.size() - 1); }
    std::size_t next(std::size_t at) const { return (at + 1) & (slots.size() - 1); }
    std::size_t distance(std::size_t from, std::size_t to) const {
      return (to - from) & (slots.size() - 1);
    }

    void enter(Slot slot) {
      std::size_t at = home(slot.tag);
      while (slots[at].place != kNone) at = next(at);
      slots[at] = slot;
    }

    void grow() {
      const std::size_t size = std::bit_ceil(2 * entries.size());
      const std::vector<Slot> before = std::exchange(slots, std::vector<Slot>(size));
      for (const Slot& slot : before) {
        if (slot.place != kNone) enter(slot);
      }
    }

    // Of a shard that is full.
    const Entry& least_looked_for() {
      for (;; ++hand) {
        Entry& entry = entries[hand % entries.size()];
        if (!std::exchange(entry.looked_for, false)) {
          ++hand;
          return entry;
        }
      }
    }
  };

  static std::size_t hash_of(std::string_view name) { return std::hash<std::string_view>{}(name); }
  // By octets of the hash that do not become its tag.
  Shard& shard_of(std::size_t hash) { return shards_[(hash >> 32) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace keystub::kms
