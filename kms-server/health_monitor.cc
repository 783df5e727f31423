#include "kms-server/health_monitor.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <future>
#include <memory>
#include <tuple>

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

constexpr auto kStoreTime = 2000ms;
constexpr auto kAuditTime = 2000ms;
// A jump of the clock that is worth a word; NTP's corrections are far smaller.
constexpr auto kClockStep = 5s;

struct ProbeTag;

constexpr std::size_t index(Component component) { return static_cast<std::size_t>(component); }

std::string time_text(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace

HealthMonitor::HealthMonitor(const HealthSettings& settings, const Parts& parts, Listener listener)
    : settings_(settings), parts_(parts), listener_(std::move(listener)) {
  report_.not_serving = "the KMS is starting";
  if (parts_.metrics == nullptr) return;
  for (std::size_t i = 0; i < healthy_.size(); ++i) {
    healthy_[i] = parts_.metrics->gauge("component_healthy", "1: usable, 0: not.",
                                        {{"component", std::string(kComponentNames[i])}});
  }
  ready_ = parts_.metrics->gauge("ready", "1: the KMS serves, 0: it does not.");
  clock_steps_ = parts_.metrics->counter("clock_steps_total", "Jumps of the clock over 5 s.");
}

HealthMonitor::~HealthMonitor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HealthMonitor::start() {
  look();
  thread_ = std::thread([this] { run(); });
}

void HealthMonitor::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, settings_.interval, [this] { return stopping_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void HealthMonitor::look() {
  const std::lock_guard one_at_a_time(look_mutex_);
  std::array<std::string, kComponentNames.size()> faults;
  faults[index(Component::audit)] = audit_fault();
  std::tie(faults[index(Component::store)], faults[index(Component::kek)]) = store_and_kek_faults();
  faults[index(Component::clock)] = clock_fault();
  if (parts_.certificates != nullptr) {
    faults[index(Component::certificates)] = parts_.certificates->look(parts_.clock.now());
  }
  take_over(std::move(faults));
}

// After a failed write nobody may ask for tickets any more, so that no other write would show that
// the file is usable again: one line of our own does, and marks the end of the gap.
std::string HealthMonitor::audit_fault() {
  auto fault = parts_.audit.fault();
  if (!fault) return {};
  if (!parts_.audit.has_room()) return fault->describe();
  AuditRecord probe;
  probe.time = parts_.clock.now();
  probe.caller = "kms-server";
  probe.operation = "audit.recovered";
  probe.granted = true;
  probe.rule = "admin";
  const auto written = std::make_shared<std::promise<Result<void>>>();
  auto done = written->get_future();
  parts_.audit.append(probe,
                      [written](Result<void> result) { written->set_value(std::move(result)); });
  if (done.wait_for(kAuditTime) != std::future_status::ready) return "a write does not come back";
  const Result<void> result = done.get();
  return result ? std::string() : result.error().describe();
}

std::pair<std::string, std::string> HealthMonitor::store_and_kek_faults() {
  const auto tpk = parts_.store.active_tpk(Deadline::in(kStoreTime));
  if (!tpk) return {tpk.error().describe(), {}};
  const auto key =
      parts_.kek.unwrap<ProbeTag>(tpk->key.wrapped, {KeyKind::own_tpk, {}, tpk->key.id});
  return {{}, key ? std::string() : key.error().describe()};
}

std::string HealthMonitor::clock_fault() {
  const WallTime now = parts_.clock.now();
  const std::chrono::nanoseconds offset =
      now.time_since_epoch() - parts_.clock.steady_now().time_since_epoch();
  if (clock_offset_) {
    const auto step = offset - *clock_offset_;
    if (step > kClockStep || step < -kClockStep) {
      clock_steps_.add();
      parts_.log.warning(
          "the clock was stepped",
          {{"milliseconds", std::chrono::round<std::chrono::milliseconds>(step).count()}});
    }
  }
  clock_offset_ = offset;
  // Whoever has the right time sends T = now: at or below the floor it is refused (KMS-6).
  if (const WallTime floor = parts_.replay.floor(); floor >= now) {
    return fmt::format(
        "messages are refused until the clock has passed {}: it was set back, or the replay window "
        "was lost",
        time_text(floor));
  }
  return {};
}

bool HealthMonitor::is_needed(std::size_t component) const {
  if (component == index(Component::audit)) return parts_.audit.needed();
  // What was in force before still is.
  return component != index(Component::certificates);
}

void HealthMonitor::take_over(std::array<std::string, kComponentNames.size()> faults) {
  HealthReport report;
  report.faults = std::move(faults);
  HealthReport before;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < report.faults.size(); ++i) {
      healthy_[i].set(report.faults[i].empty() ? 1 : 0);
      if (report.faults[i].empty() || !is_needed(i)) continue;
      if (!report.not_serving.empty()) report.not_serving += "; ";
      report.not_serving += fmt::format("{}: {}", kComponentNames[i], report.faults[i]);
    }
    if (stop_serving_) report.not_serving = "the KMS is stopping";
    ready_.set(report.not_serving.empty() ? 1 : 0);
    before = std::exchange(report_, report);
  }
  for (std::size_t i = 0; i < report.faults.size(); ++i) {
    if (before.faults[i].empty() == report.faults[i].empty()) continue;
    if (report.faults[i].empty()) {
      parts_.log.info("usable again", {{"component", kComponentNames[i]}});
    } else {
      parts_.log.error("unusable",
                       {{"component", kComponentNames[i]}, {"reason", report.faults[i]}});
    }
  }
  listener_(report);
}

void HealthMonitor::stop_serving() {
  const std::lock_guard one_at_a_time(look_mutex_);
  std::array<std::string, kComponentNames.size()> faults;
  {
    const std::lock_guard lock(mutex_);
    stop_serving_ = true;
    faults = report_.faults;
  }
  take_over(std::move(faults));
}

HealthReport HealthMonitor::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

}  // namespace keystub::kms
