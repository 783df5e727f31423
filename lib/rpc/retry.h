// Retry with exponential backoff and jitter, on UNAVAILABLE only. What is sent is built anew for
// each attempt by the caller's function: in MIKEY the same bytes again are a replay. Free of gRPC
// headers.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace keystub::rpc {

struct RetryPolicy {
  int attempts = 4;  // all together; 1: no retry
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds max_delay{2'000};
  // A delay is taken evenly from [delay × (1 − jitter), delay]; 0 to 1.
  double jitter = 0.5;
};

// The delays of one operation. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : policy_(policy), delay_(policy.first_delay) {}

  // True when another attempt is allowed after those made so far (attempts are counted here).
  bool next(RandomSource& random, std::chrono::milliseconds& delay);

 private:
  RetryPolicy policy_;
  std::chrono::milliseconds delay_;
  int made_ = 1;
};

// What an attempt came to.
template <class T>
struct Attempt {
  Result<T> result;
  // Only for a status UNAVAILABLE.
  bool try_again = false;
};

// Calls attempt(remaining time) → Attempt<T> until it succeeds, fails for good, the attempts are
// used up or the time is over. wait(delay) sleeps and returns true to give up (cancelled).
template <class T, class AttemptFunction, class Wait>
Result<T> retry(const RetryPolicy& policy, RandomSource& random, const Clock& clock,
                std::chrono::milliseconds time, AttemptFunction attempt, Wait wait) {
  Backoff backoff(policy);
  const SteadyTime end = clock.steady_now() + time;
  for (;;) {
    const auto remaining = std::chrono::ceil<std::chrono::milliseconds>(end - clock.steady_now());
    Attempt<T> outcome = attempt(std::max(remaining, std::chrono::milliseconds{1}));
    std::chrono::milliseconds delay{};
    if (outcome.result.has_value() || !outcome.try_again) return std::move(outcome.result);
    if (!backoff.next(random, delay) || clock.steady_now() + delay >= end || wait(delay)) {
      return std::move(outcome.result);
    }
  }
}

}  // namespace keystub::rpc
