// TicketHandler: the heart of the KMS. MIKEY-TICKET octets in, octets or a refusal out; knows no
// transport. RFC 6043 4.2.1 (Ticket Request) and 4.2.3 (Ticket Resolve).
//
// One message goes through, in this order: limits, parse, the sender's key, MAC, replay check,
// policy, revocations, issue or resolve, audit, answer. Nothing is remembered about a sender before
// its MAC is verified (KMS-7), but for the fixed-size table of the limits. An unknown identity and
// a wrong key cost the same work (a look into the store, two MACs) and get the same answer.
//
// In the public-key variants certificate and signature stand for key and MAC. RSA takes its time,
// so such a message is worked on by a few threads of its own. It costs a look into the store and a
// signature, whatever is wrong with it; the envelope key is opened only when both are right.
//
// A message over the limit of its peer, or of all, is refused unread and without a line in the
// audit: a flood must not fill the disk. It is counted.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kms-server/audit.h"
#include "kms-server/key_directory.h"
#include "kms-server/pk_keeper.h"
#include "kms-server/policy.h"
#include "kms-server/rate_limiter.h"
#include "kms-server/revocation_book.h"
#include "kms-server/store_executor.h"
#include "mikey/payload/identity.h"
#include "replay/replay_window.h"
#include "rpc/caller.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::kms {

// What a message may be: each unary call takes one kind, the stream both.
enum class Accepted : std::uint8_t { request, resolve, both };

// What leaves instead of an answer.
struct Refusal {
  Category category = Category::internal;
  ByteVector mikey_error;  // a MIKEY Error message; empty: none
  std::string reason;      // no more than the sender may know
  std::optional<std::chrono::milliseconds> retry_after;
  WallTime server_time;
  // T less our clock, for an authenticated sender whose T is the reason.
  std::optional<std::chrono::nanoseconds> clock_skew = {};
};

using Answer = std::expected<ByteVector, Refusal>;

struct HandlerSettings {
  mikey::Identity kms = mikey::Identity::uri("sip:kms@localhost");  // IDRkms
  std::string thdr = {};  // implementation-specific octets in THDR of the tickets we issue
  std::chrono::milliseconds store_timeout{2000};
};

// For the public-key variants: what senders are authenticated with, and the threads that do it.
struct PkParts {
  PkKeeper& keeper;
  StoreExecutor& executor;
};

// All must outlive the handler and every exchange that it still works on. `metrics` may be null,
// and without `pk` the public-key variants are refused.
struct HandlerParts {
  KeyDirectory& keys;
  const Policy& policy;
  const RevocationBook& revocations;
  replay::ReplayWindow& replay;
  RateLimiter& limiter;
  StoreExecutor& executor;
  Audit& audit;
  service::Log& log;
  const Clock& clock;
  RandomSource& random;
  service::Metrics* metrics = nullptr;
  std::optional<PkParts> pk = {};
};

class TicketHandler {
 public:
  using Done = std::function<void(Answer)>;

  TicketHandler(HandlerSettings settings, const HandlerParts& parts);
  ~TicketHandler();

  // `done` is called exactly once, from another thread, or before this returns. It must not block.
  // Never blocks itself. Threads: safe from several threads.
  void handle(ByteVector message, Accepted accepted, const rpc::Caller& caller, Done done);

 private:
  class Exchange;
  struct Counters;
  struct Departure;

  bool serves_pk() const noexcept { return parts_.pk && parts_.pk->keeper.enabled(); }

  const HandlerSettings settings_;
  const HandlerParts parts_;
  // Stands in for the key of an unknown sender; its MAC never counts.
  const mikey::Prepared<Psk> dummy_key_;
  std::unique_ptr<Counters> counters_;
};

}  // namespace keystub::kms
