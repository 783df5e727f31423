// EventLoop: one thread that waits for sockets and timers (epoll). A media stream belongs to one
// loop for life, so nothing behind it needs a lock. There is no global loop: several can run.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "mrfp-agent/file_descriptor.h"

namespace keystub::mrfp {

// Something whose destruction can wait until nobody is inside it any more.
class Disposable {
 public:
  virtual ~Disposable() = default;
};

// post() and stop() are for any thread. All else is for the loop's own thread, or for the thread
// that will run it, before it runs.
class EventLoop {
 public:
  using Task = std::move_only_function<void()>;

  // Called with the epoll events that are there. May remove itself or others.
  class FdHandler {
   public:
    virtual void on_fd_ready(std::uint32_t events) = 0;

   protected:
    ~FdHandler() = default;
  };
  // Names a registration; never reused.
  using Token = std::uint64_t;

  // `clock` measures the timers and must outlive the loop. Internal if the system refuses.
  static Result<std::unique_ptr<EventLoop>> create(const Clock& clock);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // Runs until stop().
  void run();
  // Waits at most `wait` for something to happen, and handles all that is due. Tests step a loop
  // with it.
  void run_once(std::chrono::milliseconds wait);
  void stop();

  // Runs `task` on the loop soon, in the order of posting. Tasks that are never reached are
  // destroyed with the loop.
  void post(Task task);

  // Level-triggered. `handler` must stay until remove(). Internal if the system refuses.
  Result<Token> add(int fd, std::uint32_t events, FdHandler& handler);
  void modify(Token token, std::uint32_t events);
  void remove(Token token);

  // Destroys the object when the running turn of the loop is over: for objects that may be on the
  // call stack. They must have cancelled all that would call them.
  void dispose(std::unique_ptr<Disposable> object);
  // Owns an object that nobody else keeps (a socket that still has to say goodbye) until
  // discard(), which disposes of it.
  void keep(std::unique_ptr<Disposable> object);
  void discard(Disposable* object);
  std::size_t kept() const noexcept { return kept_.size(); }

  // A buffer for reading into. Its content is gone after the next turn or the next reader.
  MutableBytes scratch() noexcept { return scratch_; }

  const Clock& clock() const noexcept { return clock_; }

 private:
  friend class Timer;
  struct Registration {
    int fd;
    FdHandler* handler;
  };
  // By time, then in the order of starting.
  using Timers = std::map<std::pair<SteadyTime, std::uint64_t>, class Timer*>;

  EventLoop(const Clock& clock, FileDescriptor epoll, FileDescriptor wake);
  int wait_milliseconds(std::chrono::milliseconds limit) const;
  void run_posted();
  void run_timers();

  const Clock& clock_;
  FileDescriptor epoll_;
  FileDescriptor wake_;
  std::atomic<bool> stopping_{false};

  std::unordered_map<Token, Registration> registrations_;
  Token next_token_ = 1;  // 0 is the wake-up descriptor
  Timers timers_;
  std::uint64_t next_timer_ = 0;
  std::vector<std::unique_ptr<Disposable>> disposed_;
  std::unordered_map<Disposable*, std::unique_ptr<Disposable>> kept_;
  ByteVector scratch_;

  std::mutex posted_mutex_;
  std::vector<Task> posted_;
};

// One timer. The callback may start it again, or destroy other things, but not the timer itself
// (dispose of its owner instead).
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> callback)
      : loop_(loop), callback_(std::move(callback)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  // Replaces an earlier start. 0: in this or the next turn of the loop, never from inside start().
  void start(std::chrono::milliseconds delay);
  void start_at(SteadyTime when);
  void cancel() noexcept;
  bool running() const noexcept { return running_; }
  SteadyTime due() const noexcept { return position_->first.first; }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::function<void()> callback_;
  EventLoop::Timers::iterator position_{};
  bool running_ = false;
};

}  // namespace keystub::mrfp
