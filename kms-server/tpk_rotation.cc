#include "kms-server/tpk_rotation.h"

namespace keystub::kms {
namespace {

constexpr std::chrono::minutes kBetweenLooks{1};

// Who stands in the audit.
rpc::Caller schedule_caller() {
  rpc::Caller caller;
  caller.names = {"schedule"};
  return caller;
}

}  // namespace

Result<void> TpkRotation::run_once(const TpkSchedule& schedule, const Parts& parts,
                                   std::chrono::milliseconds timeout) {
  const WallTime now = parts.clock.now();
  if (schedule.rotate_every > std::chrono::milliseconds::zero()) {
    const Tpk active = TRY(parts.store.active_tpk(Deadline::in(timeout)));
    if (now - active.state_since >= schedule.rotate_every) {
      const Tpk made = TRY(parts.admin.rotate_tpk(schedule_caller()));
      parts.log.info("ticket protection key rotated", {{"tpk_id", as_text(made.key.id)}});
    }
  }
  const std::size_t purged =
      TRY(parts.store.purge_tpks(now - schedule.keep, Deadline::in(timeout)));
  if (purged != 0) {
    parts.log.info("ticket protection keys removed", {{"count", std::to_string(purged)}});
  }
  return {};
}

TpkRotation::TpkRotation(const TpkSchedule& schedule, const Parts& parts,
                         std::chrono::milliseconds timeout)
    : schedule_(schedule), parts_(parts), timeout_(timeout), thread_([this] { run(); }) {}

TpkRotation::~TpkRotation() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_one();
  thread_.join();
}

void TpkRotation::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    if (const auto done = run_once(schedule_, parts_, timeout_); !done) {
      parts_.log.warning("the ticket protection keys could not be looked after",
                         {{"reason", done.error().text()}});
    }
    lock.lock();
    stop_.wait_for(lock, kBetweenLooks, [this] { return stopping_; });
  }
}

}  // namespace keystub::kms
