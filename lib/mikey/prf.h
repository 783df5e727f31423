// The pseudo-random functions MIKEY-1 (RFC 3830 4.1.2) and PRF-HMAC-SHA-256 (RFC 6043 6.1).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "base/secret.h"
#include "mikey/hmac.h"
#include "mikey/types.h"

namespace keystub::mikey {

// A PRF keyed with `inkey`, for as many derivations as that key has. Threads: derive() from
// several at once.
class Prf {
 public:
  // An unassigned `func` or an empty `inkey` is refused.
  static Result<Prf> keyed(PrfFunc func, Bytes inkey);

  // Fills `outkey` with PRF(inkey, label).
  Result<void> derive(Bytes label, MutableBytes outkey) const;

  // The same with a key that is good for one derivation: faster than to key a PRF with it.
  static Result<void> derive_once(PrfFunc func, Bytes inkey, Bytes label, MutableBytes outkey);

 private:
  explicit Prf(Hash hash) noexcept : hash_(hash) {}

  Hash hash_;
  std::optional<Hmac> first_block_;  // s_1
  std::vector<Hmac> other_blocks_;   // s_2 … s_n, only for keys longer than 256 bits
};

// For the messages of an exchange, which share the key.
using SharedPrf = std::shared_ptr<const Prf>;
Result<SharedPrf> share_prf(PrfFunc func, Bytes inkey);

// A key that protects many messages, such as a pre-shared key or a TPK, with the PRF of the 256-bit
// suite keyed once for all of them. Keying takes as long as an HMAC, and the keyed PRF four times
// the memory of the key; so it is kept from the second use on: many keys are used once. Any key is
// taken where a prepared one is wanted. Copies share it; it is wiped with the last one. Threads:
// const use from several at once.
template <class Key>
class Prepared {
 public:
  Prepared() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): see above, any key is taken
  Prepared(Key&& key) : state_(std::make_shared<State>(std::move(key))) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Prepared(const Key& key) : Prepared(key.clone()) {}

  std::size_t size() const noexcept { return state_ == nullptr ? 0 : state_->key.size(); }
  Bytes reveal() const noexcept { return state_ == nullptr ? Bytes() : state_->key.reveal(); }
  Result<SharedPrf> prf(PrfFunc func) const {
    if (state_ == nullptr) return share_prf(func, {});
    if (func == PrfFunc::hmac_sha_256) {
      if (const Prf* const kept = state_->kept()) return SharedPrf(state_, kept);
    }
    return share_prf(func, state_->key.reveal());
  }

 private:
  class State {
   public:
    explicit State(Key&& taken) : key(std::move(taken)) {}
    ~State() { delete hmac_sha_256_.load(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    // Null at the first use.
    const Prf* kept() {
      const Prf* present = hmac_sha_256_.load(std::memory_order_acquire);
      if (present != nullptr || !used_.exchange(true, std::memory_order_relaxed)) return present;
      auto keyed = Prf::keyed(PrfFunc::hmac_sha_256, key.reveal());
      if (!keyed) return nullptr;
      auto made = std::make_unique<const Prf>(std::move(*keyed));
      // Not std::call_once, which wakes other threads with a system call, though there are none.
      if (!hmac_sha_256_.compare_exchange_strong(present, made.get())) return present;
      return made.release();
    }

    const Key key;

   private:
    std::atomic<bool> used_{false};
    std::atomic<const Prf*> hmac_sha_256_{nullptr};  // owned
  };
  std::shared_ptr<State> state_;
};

}  // namespace keystub::mikey
