#include "kms-server/certificate_watch.h"

#include <fmt/format.h>

#include <utility>

namespace keystub::kms {
namespace {

double unix_seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace

void CertificateWatch::add(Port port) {
  Watched& watched = watched_.emplace_back();
  watched.seen = port.files->report();
  if (metrics_ != nullptr) {
    watched.not_after =
        metrics_->gauge("certificate_not_after_seconds",
                        "End of the certificate in force, in Unix time.", {{"port", port.name}});
  }
  watched.port = std::move(port);
}

std::string CertificateWatch::look(WallTime now) {
  std::string faults;
  const auto note = [&faults](std::string_view name, const std::string& fault) {
    if (fault.empty()) return;
    faults += fmt::format("{}{}: {}", faults.empty() ? "" : "; ", name, fault);
  };
  for (Watched& watched : watched_) note(watched.port.name, look(watched, now));
  note("pk", pk_.unusable());
  return faults;
}

std::string CertificateWatch::look(Watched& watched, WallTime now) {
  const auto before = std::exchange(watched.seen, watched.port.files->report());
  const pki::TlsFiles::Report& report = watched.seen;
  if (report.taken_up != before.taken_up) {
    log_.info("certificate files that changed are in force", {{"port", watched.port.name}});
  }
  watched.not_after.set(unix_seconds(report.not_after));
  if (!report.unusable.empty()) {
    return report.unusable + " (what was read before stays in force)";
  }
  return report.not_after <= now ? "the certificate in force has expired" : "";
}

}  // namespace keystub::kms
