#include "kms-server/packed_cache.h"

#include <algorithm>
#include <cstring>

namespace keystub::kms {
namespace {

constexpr std::size_t kHeader = 3;
constexpr int kPlaceBits = 24;
constexpr std::uint32_t kEmpty = UINT32_MAX;
constexpr std::size_t kOctetsPerSlot = 64;
constexpr std::size_t kLongest = kHeader + PackedCache::kMaxName + PackedCache::kMaxValue;

std::uint32_t slot_of(std::size_t hash, std::size_t place) {
  return static_cast<std::uint32_t>(hash >> 56) << kPlaceBits | static_cast<std::uint32_t>(place);
}
std::uint32_t tag_of(std::uint32_t slot) { return slot >> kPlaceBits; }
std::size_t place_of(std::uint32_t slot) { return slot & ((1U << kPlaceBits) - 1); }

}  // namespace

struct PackedCache::Shard::Record {
  std::string_view name;  // empty: nobody's
  Bytes value;
  std::size_t size() const { return kHeader + name.size() + value.size(); }
};

PackedCache::PackedCache(std::size_t size) {
  for (Shard& shard : shards_) shard.limit(std::min(size, kMaxSize - 1) / kShards);
}

PackedCache::Load PackedCache::begin_load(std::string_view name) {
  Shard& shard = shard_of(hash_of(name));
  const std::lock_guard lock(shard.mutex);
  return {shard.erasures};
}

void PackedCache::insert(const Load& load, std::string_view name, Bytes value) {
  if (name.empty() || name.size() > kMaxName || value.size() > kMaxValue) return;
  const std::size_t hash = hash_of(name);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard.erasures != load.erasures) return;
  if (const auto slot = shard.find(hash, name)) shard.remove(*slot);
  shard.add(hash, name, value);
}

void PackedCache::erase(std::string_view name) {
  const std::size_t hash = hash_of(name);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  ++shard.erasures;
  if (const auto slot = shard.find(hash, name)) shard.remove(*slot);
}

std::size_t PackedCache::size() const {
  std::size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.size();
  }
  return total;
}

PackedCache::Shard::~Shard() {
  wipe(MutableBytes(ring_.get(),
                    static_cast<std::size_t>(std::min<std::uint64_t>(head_, ring_size_))));
}

void PackedCache::Shard::limit(std::size_t octets) { ring_size_ = octets < kLongest ? 0 : octets; }

std::optional<PackedCache::Shard::SlotIndex> PackedCache::Shard::find(std::size_t hash,
                                                                      std::string_view name) const {
  if (entries_ == 0) return std::nullopt;
  for (std::size_t at = home(hash); slots_[at] != kEmpty; at = next(at)) {
    if (tag_of(slots_[at]) == tag_of(slot_of(hash, 0)) &&
        record_at(place_of(slots_[at])).name == name) {
      return at;
    }
  }
  return std::nullopt;
}

Bytes PackedCache::Shard::value_at(SlotIndex slot) const {
  return record_at(place_of(slots_[slot])).value;
}

PackedCache::Shard::Record PackedCache::Shard::record_at(std::size_t place) const {
  const std::uint8_t* const record = ring_.get() + place;
  const std::size_t name = record[0];
  const std::size_t value = record[1] << 8 | record[2];
  return {as_text({record + kHeader, name}), {record + kHeader + name, value}};
}

void PackedCache::Shard::write_header(std::size_t place, std::size_t name, std::size_t value) {
  std::uint8_t* const record = ring_.get() + place;
  record[0] = static_cast<std::uint8_t>(name);
  record[1] = static_cast<std::uint8_t>(value >> 8);
  record[2] = static_cast<std::uint8_t>(value);
}

void PackedCache::Shard::add(std::size_t hash, std::string_view name, Bytes value) {
  if (ring_size_ == 0) return;
  if (ring_ == nullptr) {
    ring_ = std::make_unique_for_overwrite<std::uint8_t[]>(ring_size_);
    slots_.assign(ring_size_ / kOctetsPerSlot, kEmpty);
  }
  const std::size_t place = make_room(kHeader + name.size() + value.size());
  write_header(place, name.size(), value.size());
  std::memcpy(ring_.get() + place + kHeader, name.data(), name.size());
  if (!value.empty()) {
    std::memcpy(ring_.get() + place + kHeader + name.size(), value.data(), value.size());
  }
  std::size_t at = home(hash);
  while (slots_[at] != kEmpty) at = next(at);
  slots_[at] = slot_of(hash, place);
  ++entries_;
}

// The record stays as nobody's, wiped, until it is the oldest.
void PackedCache::Shard::remove(SlotIndex slot) {
  const std::size_t place = place_of(slots_[slot]);
  const std::size_t content = record_at(place).size() - kHeader;
  // What stands behind moves up, if that is nearer to its home.
  std::size_t hole = slot;
  for (std::size_t at = next(hole); slots_[at] != kEmpty; at = next(at)) {
    const std::size_t from = home(hash_of(record_at(place_of(slots_[at])).name));
    const auto distance = [&](std::size_t to) {
      return to >= from ? to - from : to + slots_.size() - from;
    };
    if (distance(at) < distance(hole)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = kEmpty;
  --entries_;
  wipe(MutableBytes(ring_.get() + place + kHeader, content));
  write_header(place, 0, content);
}

// Returns the place of the next record; `octets` no more than kLongest.
std::size_t PackedCache::Shard::make_room(std::size_t octets) {
  const std::size_t to_end = ring_size_ - static_cast<std::size_t>(head_ % ring_size_);
  if (to_end < octets) {
    while (head_ + to_end - tail_ > ring_size_) drop_oldest();
    // drop_oldest() knows that what is shorter than a header is nobody's.
    if (to_end >= kHeader) {
      write_header(static_cast<std::size_t>(head_ % ring_size_), 0, to_end - kHeader);
    }
    head_ += to_end;
  }
  while (head_ + octets - tail_ > ring_size_ || entries_ + 1 > slots_.size() / 8 * 7) drop_oldest();
  const auto place = static_cast<std::size_t>(head_ % ring_size_);
  head_ += octets;
  return place;
}

void PackedCache::Shard::drop_oldest() {
  const auto place = static_cast<std::size_t>(tail_ % ring_size_);
  if (ring_size_ - place < kHeader) {
    tail_ += ring_size_ - place;
    return;
  }
  const Record oldest = record_at(place);
  if (!oldest.name.empty()) {
    if (const auto slot = find(hash_of(oldest.name), oldest.name)) remove(*slot);
  }
  tail_ += oldest.size();
}

}  // namespace keystub::kms
