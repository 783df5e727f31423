// RevocationFeed: tells subscribers what is revoked, each of them everything, in order, from where
// it left off. It keeps no queue of what it has yet to tell: a subscriber is a position in the
// store's change sequence and a page that is read ahead, so that a slow one costs as much memory as
// a quick one, and what a subscriber missed while it was away is read like anything else.
//
// A subscriber is told of one event at a time and asks for the next. One that does not ask for
// three heartbeats is dropped; it comes back with its position.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "kms-server/identity_store.h"
#include "service/log.h"

namespace keystub::kms {

struct RevocationFeedSettings {
  std::size_t max_subscribers = 256;  // more are refused with busy
  std::chrono::milliseconds heartbeat{15'000};
  std::chrono::milliseconds store_timeout{2000};  // for each call to the store
};

struct RevocationEvent {
  enum class Kind : std::uint8_t {
    revocation,
    // Nothing new; the first event of a subscriber that wants only what comes. Never sent while
    // something is left to tell.
    heartbeat,
    // What came after the subscriber's position is no longer kept in full. All that is kept
    // follows, from the beginning.
    reset,
  };
  Kind kind = Kind::heartbeat;
  std::uint64_t sequence = 0;  // the position to come back with
  std::optional<Revocation> revocation;
};

class RevocationFeed {
 public:
  // The far end of a subscriber. Called on the feed's thread; must not block, and must not call the
  // feed from inside.
  class Sink {
   public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;
    // The next one comes when the subscriber says that it is ready().
    virtual void tell(const RevocationEvent& event) = 0;
    // It was too slow, and is told nothing more.
    virtual void drop() = 0;
  };

  // Owned by the far end. Dropping it is leaving; the sink may be called once more meanwhile.
  class Subscriber {
   public:
    ~Subscriber();
    Subscriber(const Subscriber&) = delete;
    Subscriber& operator=(const Subscriber&) = delete;
    // Thread-safe.
    void ready();

   private:
    friend class RevocationFeed;
    struct State;
    Subscriber(RevocationFeed& feed, std::shared_ptr<State> state);
    RevocationFeed& feed_;
    const std::shared_ptr<State> state_;
  };

  // Store and log must outlive it. Its thread runs from start() on.
  RevocationFeed(IdentityStore& store, service::Log& log, const RevocationFeedSettings& settings);
  ~RevocationFeed();
  RevocationFeed(const RevocationFeed&) = delete;
  RevocationFeed& operator=(const RevocationFeed&) = delete;

  void start();

  // Something was revoked. Thread-safe, never blocks.
  void wake();

  // `after`: the position of a subscriber that was here before; none: only what comes. busy when
  // there are too many. Thread-safe.
  Result<std::unique_ptr<Subscriber>> subscribe(std::optional<std::uint64_t> after,
                                                const std::shared_ptr<Sink>& sink);

  // Subscribers now: for metrics.
  std::size_t subscribers() const;

  // Tells every subscriber that is ready what is due at `now`; returns when to come again, unless
  // it is woken before. What the thread does, and tests do themselves.
  SteadyTime serve(SteadyTime now);

 private:
  void run();
  SteadyTime serve_one(Subscriber::State& subscriber, SteadyTime now);
  // Reads on where the subscriber is. False: the store does not answer.
  bool read_page(Subscriber::State& subscriber);
  void leave(const std::shared_ptr<Subscriber::State>& subscriber);

  IdentityStore& store_;
  service::Log& log_;
  const RevocationFeedSettings settings_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Subscriber::State>> subscribers_;
  std::uint64_t news_ = 1;  // grows with what may be new
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace keystub::kms
