// KmsServer: the daemon as an object. Wires the heart to its two gRPC servers: the ticket port,
// and the admin port with its Unix socket. What decides its behaviour is handed in, so that a test
// runs the same class with a fixed clock, randomness and keys.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kms-server/health_monitor.h"
#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/settings.h"
#include "replay/replay_window.h"
#include "service/lifecycle.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::kms {

// All must outlive the server.
struct ServerParts {
  IdentityStore& store;
  Kek& kek;
  replay::ReplayWindow& replay;
  const Clock& clock;
  RandomSource& random;
  service::Log& log;
  service::Metrics* metrics = nullptr;
  // Serve tickets without TLS. Only what a person typed in full may set this.
  bool plaintext_tickets = false;
};

// Threads: start, stop and destruction by one thread.
class KmsServer {
 public:
  // Opens the audit file and listens. Errors: not_found, malformed (certificates), unavailable (an
  // address or the audit file), conflict (the socket of a living process).
  static Result<std::unique_ptr<KmsServer>> start(const Settings& settings,
                                                  const ServerParts& parts);
  ~KmsServer();
  KmsServer(const KmsServer&) = delete;
  KmsServer& operator=(const KmsServer&) = delete;

  // What listens where: "tickets", "admin" (if there is one), "admin_socket" (if there is one).
  std::vector<service::Endpoint> endpoints() const;

  // Whether it can do its work now, and if not, why.
  HealthReport health() const;

  // Takes over what can change while it runs (reload.h), and reads the files of [pk] again. By the
  // thread that starts and stops it.
  void reload(const Settings& settings);

  // Phase 1: takes no new work and answers what is in flight, for at most Settings::drain_time;
  // phase 2: cancels what still runs. Decisions that were made are in the audit file when it
  // returns. Idempotent.
  void stop();

 private:
  struct Impl;
  explicit KmsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::kms
