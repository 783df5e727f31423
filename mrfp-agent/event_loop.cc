#include "mrfp-agent/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

namespace keystub::mrfp {

namespace {

constexpr std::size_t kScratchOctets = 64 * 1024;
constexpr EventLoop::Token kWakeToken = 0;

std::string system_error(int code) { return std::system_category().message(code); }

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create(const Clock& clock) {
  FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  FileDescriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.valid() || !wake.valid()) {
    return fail(Category::internal, "cannot make an event loop: " + system_error(errno));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return fail(Category::internal, "cannot make an event loop: " + system_error(errno));
  }
  return std::unique_ptr<EventLoop>(new EventLoop(clock, std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(const Clock& clock, FileDescriptor epoll, FileDescriptor wake)
    : clock_(clock), epoll_(std::move(epoll)), wake_(std::move(wake)), scratch_(kScratchOctets) {}

EventLoop::~EventLoop() {
  // What is kept or disposed of may dispose of more.
  kept_.clear();
  while (!disposed_.empty()) std::exchange(disposed_, {}).clear();
}

void EventLoop::run() {
  while (!stopping_.load(std::memory_order_acquire)) {
    run_once(std::chrono::milliseconds(std::numeric_limits<int>::max()));
  }
}

void EventLoop::run_once(std::chrono::milliseconds wait) {
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 wait_milliseconds(wait));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kWakeToken) {
      eventfd_t ignored = 0;
      (void)::eventfd_read(wake_.get(), &ignored);
      continue;
    }
    // Gone if an earlier event of this turn removed it.
    const auto found = registrations_.find(event.data.u64);
    if (found != registrations_.end()) found->second.handler->on_fd_ready(event.events);
  }
  run_posted();
  run_timers();
  while (!disposed_.empty()) std::exchange(disposed_, {}).clear();
}

void EventLoop::stop() {
  stopping_.store(true, std::memory_order_release);
  (void)::eventfd_write(wake_.get(), 1);
}

void EventLoop::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) (void)::eventfd_write(wake_.get(), 1);
}

Result<EventLoop::Token> EventLoop::add(int fd, std::uint32_t events, FdHandler& handler) {
  const Token token = next_token_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail(Category::internal, "cannot watch a socket: " + system_error(errno));
  }
  registrations_.emplace(token, Registration{fd, &handler});
  return token;
}

void EventLoop::modify(Token token, std::uint32_t events) {
  const auto found = registrations_.find(token);
  if (found == registrations_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void EventLoop::remove(Token token) {
  const auto found = registrations_.find(token);
  if (found == registrations_.end()) return;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  registrations_.erase(found);
}

void EventLoop::dispose(std::unique_ptr<Disposable> object) {
  disposed_.push_back(std::move(object));
}

void EventLoop::keep(std::unique_ptr<Disposable> object) {
  Disposable* const key = object.get();
  kept_.emplace(key, std::move(object));
}

void EventLoop::discard(Disposable* object) {
  const auto found = kept_.find(object);
  if (found == kept_.end()) return;
  dispose(std::move(found->second));
  kept_.erase(found);
}

int EventLoop::wait_milliseconds(std::chrono::milliseconds limit) const {
  if (timers_.empty()) return static_cast<int>(limit.count());
  // Rounded up: a wait that ends just before the timer would spin.
  const auto until = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.first -
                                                                  clock_.steady_now());
  return static_cast<int>(std::clamp(until, std::chrono::milliseconds(0), limit).count());
}

void EventLoop::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void EventLoop::run_timers() {
  // Timers that callbacks start for "now" wait for the next turn, so that sockets get theirs.
  const std::uint64_t started_before = next_timer_;
  const SteadyTime now = clock_.steady_now();
  while (!timers_.empty()) {
    const auto [key, timer] = *timers_.begin();
    if (key.first > now || key.second >= started_before) return;
    timer->cancel();
    timer->callback_();
  }
}

void Timer::start(std::chrono::milliseconds delay) { start_at(loop_.clock().steady_now() + delay); }

void Timer::start_at(SteadyTime when) {
  cancel();
  position_ = loop_.timers_.emplace(std::pair(when, loop_.next_timer_++), this).first;
  running_ = true;
}

void Timer::cancel() noexcept {
  if (!running_) return;
  loop_.timers_.erase(position_);
  running_ = false;
}

}  // namespace keystub::mrfp
