// Limits on what one sender may ask for (KMS-7, [6043-12.3-01]): token buckets overall, per peer
// and per identity, and a back-off after failed authentications, counted per peer and claimed
// identity.
//
// Everything is in one table of fixed size whose slots are chosen by a keyed digest, so that nobody
// can aim at the slot of somebody else, and nothing is allocated for a sender. When a set of slots
// is full, the slot that limits least gives way: a flood from many addresses makes the limiter
// forget, never refuse others.
//
// Threads: safe from several threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace keystub::kms {

// Messages per second on average, and how many at once. 0 per second: no limit.
struct Rate {
  double per_second = 0;
  double burst = 1;
};

struct LimitSettings {
  Rate overall{};
  Rate per_peer{5000, 10000};      // an address, whatever its port
  Rate per_identity{1000, 2000};   // authenticated
  std::size_t free_failures = 10;  // failed authentications in a row before the back-off
  // The first wait; each further failure doubles it.
  std::chrono::milliseconds first_backoff{1000};
  std::chrono::milliseconds longest_backoff{60'000};
  // What a message of the public-key variants counts as: so many others, but no more than fit at
  // once.
  double public_key_cost = 20;
  std::size_t slots = 65'536;  // of the table, 48 octets each
};

class RateLimiter {
 public:
  // Other limits from now on; what was counted stays. The number of slots stays as it was made.
  void configure(const LimitSettings& settings);
  // Slots in use, of how many: for metrics.
  std::size_t used_slots() const;
  std::size_t slots() const;

  // How long to wait; none: go on.
  using Wait = std::optional<std::chrono::milliseconds>;

  static Result<std::unique_ptr<RateLimiter>> make(const LimitSettings& settings,
                                                   RandomSource& random);

  enum class MessageKind : std::uint8_t { plain, public_key };
  // A message came from `address` (as gRPC writes it: "ipv4:192.0.2.1:40000").
  Wait message(std::string_view address, SteadyTime now, MessageKind kind = MessageKind::plain);
  // It claims to be from `identity`: is this pair backing off?
  struct Attempt {
    Wait wait;
    bool failed_before = false;  // then succeeded() is worth a call
  };
  Attempt attempt(std::string_view address, std::string_view identity, SteadyTime now);
  void failed(std::string_view address, std::string_view identity, SteadyTime now);
  void succeeded(std::string_view address, std::string_view identity);
  // It is from `identity`.
  Wait authenticated(std::string_view identity, SteadyTime now);

 private:
  using Digest = std::array<std::uint8_t, 32>;
  enum class Kind : std::uint8_t { none, peer, identity, failures };
  struct Slot {
    SteadyTime updated{};
    double tokens = 0;  // of a bucket
    SteadyTime retry_at{};
    std::uint32_t failures = 0;
    Kind kind = Kind::none;
  };
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kShards = 16;
  // Whose slots they are in one line of the processor's cache: mostly there is nobody to be found.
  struct alignas(64) Set {
    std::array<std::uint64_t, kWays> tags{};
    std::array<Slot, kWays> slots;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::vector<Set> sets;
  };

  RateLimiter(const LimitSettings& settings, const Digest& key);

  // What stands for one key in the table.
  struct Key {
    Kind kind;
    std::uint64_t tag;
    std::uint64_t place;
  };
  Key key_of(Kind kind, std::string_view a, std::string_view b = {}) const;
  static Set& set_of(Shard& shard, const Key& key);
  // Under the lock of the set: null, or one that is made.
  static Slot* find(Set& set, const Key& key);
  Slot& find_or_make(Set& set, const Key& key, SteadyTime now) const;
  // The slot of the set that limits least.
  std::size_t least_limiting(const Set& set, SteadyTime now) const;
  static Wait take(Slot& slot, const Rate& rate, SteadyTime now, double cost = 1);
  // `rate`: which one of the settings.
  Wait take(Kind kind, std::string_view name, Rate LimitSettings::* rate, SteadyTime now,
            MessageKind message = MessageKind::plain);
  double cost_of(MessageKind message) const {
    return message == MessageKind::public_key ? settings_.public_key_cost : 1;
  }

  // Written under all the mutexes of this class, so read under any of them.
  LimitSettings settings_;
  std::atomic<bool> limits_overall_;
  const Digest key_;
  std::array<Shard, kShards> shards_;
  std::mutex overall_mutex_;
  Slot overall_;
};

// "ipv4:192.0.2.1:40000" -> "ipv4:192.0.2.1"; an address of another kind as it is.
std::string_view without_port(std::string_view address) noexcept;

}  // namespace keystub::kms
