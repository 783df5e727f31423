// RevocationClient: hears from the KMS what is revoked, and has the controller cut what stood on
// it.
#pragma once

#include <memory>

#include "kms-client/revocation_watch.h"
#include "mrfc-agent/session_controller.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::mrfc {

// As the controller takes it.
KeyRevocation key_revocation(const kms_client::Revoked& revoked);

struct RevocationMetrics {
  explicit RevocationMetrics(service::Metrics& metrics);

  service::Counter heard;
  service::Counter cut;
  service::Histogram time_to_cut;
  service::Gauge up;
};

class RevocationClient {
 public:
  // All must outlive it. Runs from now on, with a thread of its own. What was revoked before
  // concerns no session of this run.
  RevocationClient(std::shared_ptr<kms_client::KmsConnection> connection, const Clock& clock,
                   RandomSource& random, SessionController& controller, service::Log& log,
                   service::Metrics& metrics);

 private:
  void revoked(const kms_client::Revoked& what);
  bool lost(const Error& why);
  void alive();

  const Clock& clock_;
  SessionController& controller_;
  service::Log& log_;
  RevocationMetrics metrics_;
  bool is_up_ = false;  // the watch's thread's, as is `complained_`
  bool complained_ = false;
  kms_client::RevocationWatch watch_;  // last: it calls the others
};

}  // namespace keystub::mrfc
