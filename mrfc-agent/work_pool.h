// WorkPool: a few threads and a short queue for work that waits (calls to KMS and MRFP), so that
// no RPC thread does. Full means busy: whoever asks is told at once instead of being kept waiting.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace keystub::mrfc {

// Thread-safe.
class WorkPool {
 public:
  WorkPool(std::size_t threads, std::size_t queue_limit);
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;
  ~WorkPool();  // stop()

  // Runs `work` on one of the threads; false, and it is not run, when the queue is full or the
  // pool is stopping.
  bool submit(std::function<void()> work);
  // Takes no more, runs what was taken, and returns when all of it is done. For one thread.
  void stop();

 private:
  void run();

  const std::size_t queue_limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace keystub::mrfc
