#include "mrfc-agent/revocation_client.h"

#include <algorithm>
#include <utility>

namespace keystub::mrfc {

KeyRevocation key_revocation(const kms_client::Revoked& revoked) {
  using From = kms_client::Revoked::Kind;
  using To = KeyRevocation::Kind;
  KeyRevocation out;
  out.id = revoked.id;
  out.before = revoked.before;
  out.time = revoked.time;
  switch (revoked.kind) {
    case From::ticket: out.kind = To::ticket; break;
    case From::tickets_before: out.kind = To::tickets_before; break;
    case From::identity:
      out.kind = To::identity;
      out.uris = revoked.aliases;
      out.uris.push_back(revoked.uri);
      out.patterns = revoked.owned_patterns;
      break;
    case From::tpk: out.kind = To::tpk; break;
    case From::reset: out.kind = To::unknown; break;
  }
  return out;
}

RevocationMetrics::RevocationMetrics(service::Metrics& metrics)
    : heard(metrics.counter("mrfc_revocations_total", "Revocations that the KMS told.")),
      cut(metrics.counter("mrfc_sessions_cut_total", "Sessions that a revocation ended.")),
      time_to_cut(metrics.histogram("mrfc_time_to_cut_seconds",
                                    "From the revocation at the KMS to the end of a session.",
                                    service::latency_buckets())),
      up(metrics.gauge("mrfc_revocations_heard", "1: the KMS tells what is revoked.")) {}

RevocationClient::RevocationClient(std::shared_ptr<kms_client::KmsConnection> connection,
                                   const Clock& clock, RandomSource& random,
                                   SessionController& controller, service::Log& log,
                                   service::Metrics& metrics)
    : clock_(clock),
      controller_(controller),
      log_(log),
      metrics_(metrics),
      watch_(std::move(connection), {}, random,
             {.revoked = [this](const kms_client::Revoked& what) { revoked(what); },
              .alive = [this](std::uint64_t) { alive(); },
              .lost = [this](const Error& why) { return lost(why); }}) {}

void RevocationClient::revoked(const kms_client::Revoked& what) {
  metrics_.heard.add();
  const KeyRevocation revocation = key_revocation(what);
  const std::size_t sessions = controller_.cut(revocation);
  if (sessions == 0) return;
  metrics_.cut.add(static_cast<double>(sessions));
  if (revocation.kind != KeyRevocation::Kind::unknown) {
    const auto took = std::chrono::duration<double>(clock_.now() - revocation.time).count();
    for (std::size_t i = 0; i < sessions; ++i) metrics_.time_to_cut.observe(std::max(took, 0.0));
  }
  log_.info("sessions cut: the KMS revoked what they stood on",
            {{"revoked", revocation.what()}, {"sessions", std::to_string(sessions)}});
}

void RevocationClient::alive() {
  if (std::exchange(is_up_, true)) return;
  complained_ = false;
  metrics_.up.set(1);
  log_.info("the KMS tells what is revoked");
}

// Once, until it is heard again: the watch tries for ever.
bool RevocationClient::lost(const Error& why) {
  is_up_ = false;
  metrics_.up.set(0);
  if (!std::exchange(complained_, true)) {
    log_.warning("revocations are not heard: live media are not cut", {{"reason", why.describe()}});
  }
  return true;
}

}  // namespace keystub::mrfc
