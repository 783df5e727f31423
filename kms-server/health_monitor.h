// Whether the KMS can do its work, and if not, why: looks at the audit, the store, the KEK, the
// clock and the certificates again and again, and tells when something changes. What failed and
// works again is noticed without a restart.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "kms-server/audit.h"
#include "kms-server/certificate_watch.h"
#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "replay/replay_window.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::kms {

enum class Component : std::uint8_t { audit, store, kek, clock, certificates };
inline constexpr std::array<std::string_view, 5> kComponentNames = {"audit", "store", "kek",
                                                                    "clock", "certificates"};

struct HealthReport {
  // Why a component is unusable; empty: it is fine. By Component.
  std::array<std::string, kComponentNames.size()> faults;
  // Why the KMS does not serve, "audit: …; store: …"; empty: it serves.
  std::string not_serving;
};

struct HealthSettings {
  std::chrono::milliseconds interval{1000};  // between two looks
};

// Threads: safe from several threads.
class HealthMonitor {
 public:
  // All must outlive it; `certificates` and `metrics` may be null.
  struct Parts {
    IdentityStore& store;
    const Kek& kek;
    replay::ReplayWindow& replay;
    Audit& audit;
    const Clock& clock;
    service::Log& log;
    service::Metrics* metrics = nullptr;
    CertificateWatch* certificates = nullptr;
  };
  // Called after each look, by the thread that looked.
  using Listener = std::function<void(const HealthReport&)>;

  HealthMonitor(const HealthSettings& settings, const Parts& parts, Listener listener);
  // Stops looking.
  ~HealthMonitor();
  HealthMonitor(const HealthMonitor&) = delete;
  HealthMonitor& operator=(const HealthMonitor&) = delete;

  // The first look, on this thread; the others follow on one of its own.
  void start();
  // One look, on this thread.
  void look();
  // The KMS is stopping: it does not serve from now on, whatever else is well.
  void stop_serving();

  HealthReport report() const;

 private:
  void run();
  std::string audit_fault();
  // Of the store and of the KEK: the active TPK is read and opened.
  std::pair<std::string, std::string> store_and_kek_faults();
  std::string clock_fault();
  // Whether the KMS does not serve without it; if it does, its fault is an alarm.
  bool is_needed(std::size_t component) const;
  void take_over(std::array<std::string, kComponentNames.size()> faults);

  const HealthSettings settings_;
  const Parts parts_;
  const Listener listener_;
  std::array<service::Gauge, kComponentNames.size()> healthy_;
  service::Gauge ready_;
  service::Counter clock_steps_;

  std::mutex look_mutex_;  // one look at a time
  // Wall clock less steady clock, at the last look.
  std::optional<std::chrono::nanoseconds> clock_offset_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  HealthReport report_;
  bool stop_serving_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace keystub::kms
