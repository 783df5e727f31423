#include "kms-server/store_executor.h"

namespace keystub::kms {

StoreExecutor::StoreExecutor(std::size_t threads, std::size_t max_waiting)
    : max_waiting_(max_waiting) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

StoreExecutor::~StoreExecutor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<void> StoreExecutor::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= max_waiting_) {
      return fail(Category::busy, "too many requests wait already");
    }
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return {};
}

std::size_t StoreExecutor::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void StoreExecutor::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds goes before the next one is taken
    lock.lock();
  }
}

}  // namespace keystub::kms
