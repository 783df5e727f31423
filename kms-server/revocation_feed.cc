#include "kms-server/revocation_feed.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace keystub::kms {
namespace {

constexpr std::size_t kFeedPage = 100;
constexpr int kHeartbeatsUntilDropped = 3;
constexpr std::chrono::seconds kRetryStore{1};

}  // namespace

// Of a subscriber. All but `ready` and `gone` are for who serves: one thread.
struct RevocationFeed::Subscriber::State {
  std::weak_ptr<Sink> sink;
  std::atomic<bool> ready{true};
  std::atomic<bool> gone{false};

  std::optional<SteadyTime> told;         // when the last event was told
  std::optional<std::uint64_t> position;  // all up to here was told; none: not known yet
  std::uint64_t complete_from = 0;  // what is not newer than this is known to have gaps, by a reset
  std::uint64_t news = 0;           // RevocationFeed::news_ when the store was last read
  std::deque<Revocation> page;      // read, and not told yet
  std::uint64_t after_page = 0;     // the position when all of it was told
  bool reset = false;               // is to be told first
};

RevocationFeed::Subscriber::Subscriber(RevocationFeed& feed, std::shared_ptr<State> state)
    : feed_(feed), state_(std::move(state)) {}

RevocationFeed::Subscriber::~Subscriber() { feed_.leave(state_); }

void RevocationFeed::Subscriber::ready() {
  state_->ready = true;
  const std::lock_guard lock(feed_.mutex_);
  feed_.woken_ = true;
  feed_.changed_.notify_one();
}

RevocationFeed::RevocationFeed(IdentityStore& store, service::Log& log,
                               const RevocationFeedSettings& settings)
    : store_(store), log_(log), settings_(settings) {}

RevocationFeed::~RevocationFeed() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void RevocationFeed::start() {
  thread_ = std::thread([this] { run(); });
}

void RevocationFeed::wake() {
  const std::lock_guard lock(mutex_);
  ++news_;
  woken_ = true;
  changed_.notify_one();
}

Result<std::unique_ptr<RevocationFeed::Subscriber>> RevocationFeed::subscribe(
    std::optional<std::uint64_t> after, const std::shared_ptr<Sink>& sink) {
  auto state = std::make_shared<Subscriber::State>();
  state->sink = sink;
  state->position = after;
  const std::lock_guard lock(mutex_);
  if (subscribers_.size() >= settings_.max_subscribers) {
    return fail(Category::busy, "too many subscribers watch the revocations already");
  }
  subscribers_.push_back(state);
  woken_ = true;
  changed_.notify_one();
  return std::unique_ptr<Subscriber>(new Subscriber(*this, std::move(state)));
}

void RevocationFeed::leave(const std::shared_ptr<Subscriber::State>& subscriber) {
  subscriber->gone = true;
  const std::lock_guard lock(mutex_);
  std::erase(subscribers_, subscriber);
}

std::size_t RevocationFeed::subscribers() const {
  const std::lock_guard lock(mutex_);
  return subscribers_.size();
}

void RevocationFeed::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    woken_ = false;
    lock.unlock();
    const SteadyTime next = serve(std::chrono::steady_clock::now());
    lock.lock();
    changed_.wait_until(lock, next, [this] { return woken_ || stopping_; });
  }
}

SteadyTime RevocationFeed::serve(SteadyTime now) {
  std::vector<std::shared_ptr<Subscriber::State>> all;
  {
    const std::lock_guard lock(mutex_);
    all = subscribers_;
  }
  SteadyTime next = now + settings_.heartbeat;
  for (const auto& subscriber : all) {
    next = std::min(next, serve_one(*subscriber, now));
    if (subscriber->gone) leave(subscriber);
  }
  return next;
}

SteadyTime RevocationFeed::serve_one(Subscriber::State& subscriber, SteadyTime now) {
  const auto sink = subscriber.sink.lock();
  const SteadyTime later = now + settings_.heartbeat;
  if (sink == nullptr || subscriber.gone) return later;
  if (!subscriber.ready) {
    const SteadyTime patience = *subscriber.told + kHeartbeatsUntilDropped * settings_.heartbeat;
    if (now < patience) return patience;
    subscriber.gone = true;
    log_.warning("a subscriber of revocations is dropped: it does not read");
    sink->drop();
    return later;
  }
  if (subscriber.page.empty() && !subscriber.reset && !read_page(subscriber)) {
    return now + kRetryStore;
  }

  RevocationEvent event;
  if (std::exchange(subscriber.reset, false)) {
    event.kind = RevocationEvent::Kind::reset;
  } else if (!subscriber.page.empty()) {
    event.kind = RevocationEvent::Kind::revocation;
    event.revocation = std::move(subscriber.page.front());
    subscriber.page.pop_front();
    subscriber.position =
        subscriber.page.empty() ? subscriber.after_page : event.revocation->sequence;
  } else if (subscriber.told && now < *subscriber.told + settings_.heartbeat) {
    return *subscriber.told + settings_.heartbeat;
  }
  event.sequence = *subscriber.position;
  subscriber.told = now;
  subscriber.ready = false;
  sink->tell(event);
  return later;
}

bool RevocationFeed::read_page(Subscriber::State& subscriber) {
  {
    const std::lock_guard lock(mutex_);
    if (subscriber.news == news_) return true;
    subscriber.news = news_;
  }
  const auto page = store_.revocations_since(subscriber.position.value_or(0), kFeedPage,
                                             Deadline::in(settings_.store_timeout));
  if (!page) {
    log_.warning("revocations cannot be read for a subscriber", {{"error", page.error().text()}});
    subscriber.news = 0;
    return false;
  }
  if (!subscriber.position) {  // only what comes
    subscriber.position = page->newest;
    return true;
  }
  // A position that is newer than the store is one of another database, or of this one before a
  // backup was restored.
  const std::uint64_t known = std::max(*subscriber.position, subscriber.complete_from);
  if (known < page->kept_from || *subscriber.position > page->newest) {
    subscriber.reset = true;
    subscriber.complete_from = page->kept_from;
    subscriber.position = 0;
    subscriber.news = 0;
    return true;
  }
  subscriber.page.assign(page->revocations.begin(), page->revocations.end());
  subscriber.after_page = page->more ? page->revocations.back().sequence : page->newest;
  if (page->more) subscriber.news = 0;
  if (subscriber.page.empty()) subscriber.position = subscriber.after_page;
  return true;
}

}  // namespace keystub::kms
