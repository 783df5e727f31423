// PackedCache: octets by name, packed one behind the other in memory of a fixed size. For very many
// small secrets: an entry costs its octets, its name and some ten octets more, and no allocation.
// What has been here longest goes first (FIFO): what is used often belongs into a KeyCache in
// front.
//
// As with KeyCache, an entry is never older than an acknowledged change (see Load), and looking for
// a name does not enter it. What goes is wiped.
//
// A shard is a ring of records and a hash table of their places in it. A record is
//   size of the name (1 octet; 0: nobody's, to be skipped) | size of the value (2) | name | value
// and never runs over the end of the ring.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace keystub::kms {

// Threads: all calls are safe from several threads and never block for long.
class PackedCache {
 public:
  // Octets. A place in a ring has 24 bits.
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kMaxSize = kShards << 24;
  // Longer names and values are not taken in.
  static constexpr std::size_t kMaxName = 255;
  static constexpr std::size_t kMaxValue = 4096;

  // What insert() needs to notice that the entry was erased while the store was read.
  struct Load {
    std::uint64_t erasures = 0;
  };

  // `size`: of all rings, in octets; their tables take a sixteenth of it more. Memory is taken when
  // it is used. A cache that is smaller than one long entry for each shard holds nothing.
  explicit PackedCache(std::size_t size);

  // Calls use(value), under a lock, if `name` is here.
  template <std::invocable<Bytes> Use>
  bool find(std::string_view name, Use&& use) {
    const std::size_t hash = hash_of(name);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto slot = shard.find(hash, name);
    if (!slot) return false;
    use(shard.value_at(*slot));
    return true;
  }

  // Before the store is asked for `name`.
  Load begin_load(std::string_view name);
  // After it was. Without effect when something in the shard was erased in between.
  void insert(const Load& load, std::string_view name, Bytes value);
  void erase(std::string_view name);

  std::size_t size() const;  // entries

 private:
  // Under its mutex.
  class Shard {
   public:
    ~Shard();
    void limit(std::size_t octets);

    using SlotIndex = std::size_t;
    std::optional<SlotIndex> find(std::size_t hash, std::string_view name) const;
    Bytes value_at(SlotIndex slot) const;
    void add(std::size_t hash, std::string_view name, Bytes value);  // of a name that is not here
    void remove(SlotIndex slot);
    std::size_t size() const noexcept { return entries_; }

    mutable std::mutex mutex;
    std::uint64_t erasures = 0;

   private:
    struct Record;

    Record record_at(std::size_t place) const;
    // By its low 32 bits.
    std::size_t home(std::size_t hash) const noexcept {
      return ((hash & UINT32_MAX) * slots_.size()) >> 32;
    }
    std::size_t next(std::size_t at) const noexcept { return at + 1 == slots_.size() ? 0 : at + 1; }
    void write_header(std::size_t place, std::size_t name, std::size_t value);
    std::size_t make_room(std::size_t octets);
    void drop_oldest();

    std::unique_ptr<std::uint8_t[]> ring_;
    std::size_t ring_size_ = 0;
    // Of the ring, counted on over its end: the octets from tail to head are records.
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    // Open addressing, one after the other. A slot is a place in the ring (24 bits) under a tag of
    // the hash (8 bits).
    std::vector<std::uint32_t> slots_;
    std::size_t entries_ = 0;
  };

  static std::size_t hash_of(std::string_view name) { return std::hash<std::string_view>{}(name); }
  // By bits that neither a home nor a tag is made of.
  Shard& shard_of(std::size_t hash) { return shards_[(hash >> 32) % kShards]; }

  std::array<Shard, kShards> shards_;
};

}  // namespace keystub::kms
