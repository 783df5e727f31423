// Rotates the KMS's own ticket protection key by schedule, and removes keys that nothing needs any
// more (KMS-3).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "kms-server/identity_admin.h"
#include "service/log.h"

namespace keystub::kms {

struct TpkSchedule {
  std::chrono::milliseconds rotate_every{0};  // age at which the active one is replaced; 0: never
  // How long a retired or revoked one stays: at least as long as a ticket is valid.
  std::chrono::milliseconds keep{std::chrono::hours{24 * 30}};
};

// All must outlive it. Its thread looks once a minute, and at once when it starts.
class TpkRotation {
 public:
  struct Parts {
    IdentityAdmin& admin;
    IdentityStore& store;
    const Clock& clock;
    service::Log& log;
  };

  TpkRotation(const TpkSchedule& schedule, const Parts& parts, std::chrono::milliseconds timeout);
  ~TpkRotation();
  TpkRotation(const TpkRotation&) = delete;
  TpkRotation& operator=(const TpkRotation&) = delete;

  // One look, on this thread: what the schedule asks for now.
  static Result<void> run_once(const TpkSchedule& schedule, const Parts& parts,
                               std::chrono::milliseconds timeout);

 private:
  void run();

  const TpkSchedule schedule_;
  const Parts parts_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace keystub::kms
