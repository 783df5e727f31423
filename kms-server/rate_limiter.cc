#include "kms-server/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/sha256.h"

namespace keystub::kms {
namespace {

using std::chrono::milliseconds;

// SHA-256 over key, kind and names; zeroes if OpenSSL fails, which only makes slots shared.
Sha256Digest keyed_digest(Bytes key, std::uint8_t kind, std::string_view a, std::string_view b) {
  // The length of the first name keeps ("ab", "c") and ("a", "bc") apart.
  const std::uint64_t length = a.size();
  const Bytes length_octets =
      as_bytes(std::string_view(reinterpret_cast<const char*>(&length), sizeof length));
  return sha256({key, Bytes(&kind, 1), length_octets, as_bytes(a), as_bytes(b)})
      .value_or(Sha256Digest{});
}

double seconds_between(SteadyTime from, SteadyTime to) {
  return std::chrono::duration<double>(to - from).count();
}

double tokens_at(double tokens, SteadyTime updated, const Rate& rate, SteadyTime now) {
  return std::min(rate.burst, tokens + seconds_between(updated, now) * rate.per_second);
}

}  // namespace

std::string_view without_port(std::string_view address) noexcept {
  if (!address.starts_with("ipv4:") && !address.starts_with("ipv6:")) return address;
  return address.substr(0, address.rfind(':'));
}

Result<std::unique_ptr<RateLimiter>> RateLimiter::make(const LimitSettings& settings,
                                                       RandomSource& random) {
  Digest key;
  const ByteVector octets = TRY(random.bytes(key.size()));
  std::ranges::copy(octets, key.begin());
  return std::unique_ptr<RateLimiter>(new RateLimiter(settings, key));
}

RateLimiter::RateLimiter(const LimitSettings& settings, const Digest& key)
    : settings_(settings), limits_overall_(settings.overall.per_second > 0), key_(key) {
  const std::size_t sets = std::max<std::size_t>(1, settings.slots / kWays / kShards);
  for (Shard& shard : shards_) shard.sets.resize(sets);
  overall_.tokens = settings.overall.burst;
}

void RateLimiter::configure(const LimitSettings& settings) {
  std::vector<std::unique_lock<std::mutex>> locks;
  locks.reserve(shards_.size() + 1);
  for (Shard& shard : shards_) locks.emplace_back(shard.mutex);
  locks.emplace_back(overall_mutex_);
  const std::size_t slots_as_made = settings_.slots;
  settings_ = settings;
  settings_.slots = slots_as_made;
  limits_overall_ = settings.overall.per_second > 0;
}

std::size_t RateLimiter::used_slots() const {
  std::size_t used = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const Set& set : shard.sets) {
      used += static_cast<std::size_t>(std::ranges::count_if(
          set.slots, [](const Slot& slot) { return slot.kind != Kind::none; }));
    }
  }
  return used;
}

std::size_t RateLimiter::slots() const { return kShards * shards_.front().sets.size() * kWays; }

std::size_t RateLimiter::least_limiting(const Set& set, SteadyTime now) const {
  // How much would be forgotten with a slot: seconds until it limits nobody any more.
  const auto weight = [&](const Slot& slot) {
    switch (slot.kind) {
      case Kind::none: return -1.0;
      case Kind::failures:
        return seconds_between(now, std::max(slot.retry_at, slot.updated)) +
               std::chrono::duration<double>(settings_.longest_backoff).count();
      case Kind::peer:
      case Kind::identity: {
        const Rate& rate = slot.kind == Kind::peer ? settings_.per_peer : settings_.per_identity;
        return (rate.burst - tokens_at(slot.tokens, slot.updated, rate, now)) / rate.per_second;
      }
    }
    return 0.0;
  };
  return static_cast<std::size_t>(std::ranges::min_element(set.slots, {}, weight) -
                                  set.slots.begin());
}

RateLimiter::Key RateLimiter::key_of(Kind kind, std::string_view a, std::string_view b) const {
  const Digest digest = keyed_digest(key_, static_cast<std::uint8_t>(kind), a, b);
  Key key{.kind = kind, .tag = 0, .place = 0};
  std::memcpy(&key.tag, digest.data(), sizeof key.tag);
  std::memcpy(&key.place, digest.data() + sizeof key.tag, sizeof key.place);
  return key;
}

RateLimiter::Set& RateLimiter::set_of(Shard& shard, const Key& key) {
  return shard.sets[key.place / kShards % shard.sets.size()];
}

RateLimiter::Slot* RateLimiter::find(Set& set, const Key& key) {
  for (std::size_t i = 0; i < kWays; ++i) {
    if (set.tags[i] == key.tag && set.slots[i].kind == key.kind) return &set.slots[i];
  }
  return nullptr;
}

RateLimiter::Slot& RateLimiter::find_or_make(Set& set, const Key& key, SteadyTime now) const {
  if (Slot* const found = find(set, key)) return *found;
  const std::size_t least = least_limiting(set, now);
  set.tags[least] = key.tag;
  Slot& slot = set.slots[least];
  slot = Slot{.updated = now, .kind = key.kind};
  if (key.kind == Kind::peer) slot.tokens = settings_.per_peer.burst;
  if (key.kind == Kind::identity) slot.tokens = settings_.per_identity.burst;
  return slot;
}

RateLimiter::Wait RateLimiter::take(Slot& slot, const Rate& rate, SteadyTime now, double cost) {
  cost = std::min(cost, rate.burst);
  slot.tokens = tokens_at(slot.tokens, slot.updated, rate, now);
  slot.updated = now;
  if (slot.tokens >= cost) {
    slot.tokens -= cost;
    return std::nullopt;
  }
  return milliseconds(
      static_cast<std::int64_t>(std::ceil((cost - slot.tokens) / rate.per_second * 1000)));
}

RateLimiter::Wait RateLimiter::take(Kind kind, std::string_view name, Rate LimitSettings::* rate,
                                    SteadyTime now, MessageKind message) {
  const Key key = key_of(kind, name);
  Shard& shard = shards_[key.place % kShards];
  const std::lock_guard lock(shard.mutex);
  const Rate& limit = settings_.*rate;
  if (limit.per_second <= 0) return std::nullopt;
  return take(find_or_make(set_of(shard, key), key, now), limit, now, cost_of(message));
}

RateLimiter::Wait RateLimiter::message(std::string_view address, SteadyTime now, MessageKind kind) {
  // The peer first: one that is over its own limit must not use up what is there for all.
  if (const Wait wait =
          take(Kind::peer, without_port(address), &LimitSettings::per_peer, now, kind)) {
    return wait;
  }
  if (!limits_overall_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock(overall_mutex_);
  if (settings_.overall.per_second <= 0) return std::nullopt;
  return take(overall_, settings_.overall, now, cost_of(kind));
}

RateLimiter::Wait RateLimiter::authenticated(std::string_view identity, SteadyTime now) {
  return take(Kind::identity, identity, &LimitSettings::per_identity, now);
}

RateLimiter::Attempt RateLimiter::attempt(std::string_view address, std::string_view identity,
                                          SteadyTime now) {
  const Key key = key_of(Kind::failures, without_port(address), identity);
  Shard& shard = shards_[key.place % kShards];
  const std::lock_guard lock(shard.mutex);
  const Slot* const slot = find(set_of(shard, key), key);
  if (slot == nullptr) return {};
  if (slot->retry_at <= now) return {.wait = std::nullopt, .failed_before = true};
  return {.wait = std::chrono::ceil<milliseconds>(slot->retry_at - now), .failed_before = true};
}

void RateLimiter::failed(std::string_view address, std::string_view identity, SteadyTime now) {
  const Key key = key_of(Kind::failures, without_port(address), identity);
  Shard& shard = shards_[key.place % kShards];
  const std::lock_guard lock(shard.mutex);
  if (settings_.free_failures == 0) return;
  Slot& slot = find_or_make(set_of(shard, key), key, now);
  // Long ago is forgotten.
  if (now - slot.updated > 2 * settings_.longest_backoff) slot.failures = 0;
  slot.updated = now;
  ++slot.failures;
  if (slot.failures < settings_.free_failures) return;
  constexpr std::size_t kMostDoublings = 20;
  const auto doublings = std::min(slot.failures - settings_.free_failures, kMostDoublings);
  slot.retry_at = now + std::min(settings_.longest_backoff,
                                 settings_.first_backoff * (std::int64_t{1} << doublings));
}

void RateLimiter::succeeded(std::string_view address, std::string_view identity) {
  const Key key = key_of(Kind::failures, without_port(address), identity);
  Shard& shard = shards_[key.place % kShards];
  const std::lock_guard lock(shard.mutex);
  if (Slot* const slot = find(set_of(shard, key), key)) *slot = Slot{};
}

}  // namespace keystub::kms
