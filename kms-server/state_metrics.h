// How much of each bounded state of the KMS is in use. docs/kms-server.md names the bound of each.
#pragma once

#include <filesystem>

#include "kms-server/key_directory.h"
#include "kms-server/rate_limiter.h"
#include "kms-server/revocation_book.h"
#include "kms-server/revocation_feed.h"
#include "kms-server/store_executor.h"
#include "replay/replay_window.h"
#include "service/metrics.h"

namespace keystub::kms {

// Threads: update() by one thread at a time.
class StateMetrics {
 public:
  struct Parts {
    const StoreExecutor& executor;
    const StoreExecutor& pk_executor;
    const KeyDirectory& keys;
    const RateLimiter& limiter;
    const replay::ReplayWindow& replay;
    IdentityStore& store;
    const RevocationBook& revocations;
    const RevocationFeed& feed;
    std::filesystem::path database;
  };

  // All must outlive it.
  StateMetrics(service::Metrics& metrics, Parts parts);
  void update(std::size_t open_streams);

 private:
  const Parts parts_;
  service::Gauge store_waiting_;
  service::Gauge pk_waiting_;
  service::Gauge cached_keys_;
  service::Gauge packed_identities_;
  service::Gauge limiter_slots_;
  service::Gauge effective_skew_;
  service::Gauge revoked_tickets_;
  service::Gauge revocation_log_;
  service::Gauge subscribers_;
  service::Gauge database_size_;
  service::Gauge streams_;
  service::Gauge descriptors_;
};

}  // namespace keystub::kms
