// What becomes of the certificates of a running KMS: says in the log when files that changed were
// taken up, and tells the HealthMonitor what an operator must be woken for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kms-server/pk_keeper.h"
#include "pki/tls_files.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::kms {

// Threads: one at a time.
class CertificateWatch {
 public:
  struct Port {
    std::string name;  // "tickets"
    std::shared_ptr<const pki::TlsFiles> files;
  };
  // All must outlive it; `metrics` may be null.
  CertificateWatch(PkKeeper& pk, service::Log& log, service::Metrics* metrics)
      : pk_(pk), log_(log), metrics_(metrics) {}

  void add(Port port);

  // Looks at all of them. Files that cannot be used, and certificates that have expired; empty: all
  // is well.
  std::string look(WallTime now);

 private:
  struct Watched {
    Port port;
    pki::TlsFiles::Report seen;
    service::Gauge not_after;
  };

  std::string look(Watched& watched, WallTime now);

  PkKeeper& pk_;
  service::Log& log_;
  service::Metrics* const metrics_;
  std::vector<Watched> watched_;
};

}  // namespace keystub::kms
