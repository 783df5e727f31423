// StoreExecutor: the few threads that may block on the identity store, so that no RPC thread ever
// does; a second one does the RSA of the public-key variants. Bounded: when too much waits, new
// work is refused with busy.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace keystub::kms {

// Threads: submit() is safe from every thread, also from a job.
class StoreExecutor {
 public:
  StoreExecutor(std::size_t threads, std::size_t max_waiting);
  // Runs what waits, then stops. Nothing may be submitted any more.
  ~StoreExecutor();
  StoreExecutor(const StoreExecutor&) = delete;
  StoreExecutor& operator=(const StoreExecutor&) = delete;

  // busy when max_waiting jobs wait already; the job is then not kept.
  Result<void> submit(std::function<void()> job);

  std::size_t waiting() const;

 private:
  void work();

  const std::size_t max_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace keystub::kms
