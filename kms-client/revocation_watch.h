// RevocationWatch: hears of what a KMS revokes, for who has media to cut. It connects, connects
// again when it is cut off or the KMS falls silent, and goes on where it was: nothing is told
// twice, nothing is missed, and what the KMS itself no longer knows is told as a reset.
//
//   RevocationWatch watch(connection, {}, random, {
//       .revoked = [&](const Revoked& what) { cut(what); },
//       .lost = [&](const Error& why) { log(why); return true; }});
//
// The connection must present a certificate whose role may hear of revocations.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kms-client/kms_client.h"
#include "mikey/ticket.h"

namespace keystub::kms_client {

struct Revoked {
  enum class Kind : std::uint8_t {
    ticket,          // `id`: the ticket's (mikey::TicketId)
    tickets_before,  // all tickets of the KMS (mode 1) whose T is before `before`
    identity,        // `uri`, suspended or removed
    tpk,             // `id`: the TPK's; all tickets under it
    // What was revoked since the last time is not known in full; what is known follows. Who cannot
    // live with that ends all that it began before.
    reset,
  };
  Kind kind = Kind::ticket;
  std::uint64_t sequence = 0;  // the position: to go on after it, also in another run
  WallTime time;               // when it was revoked, by the KMS's clock; of a reset: the epoch
  ByteVector id;
  std::optional<WallTime> before;
  std::string uri;
  std::vector<std::string> aliases;         // of an identity
  std::vector<std::string> owned_patterns;  // patterns of URIs: "sip:conf-*@example.com"
};

struct WatchOptions {
  std::optional<std::uint64_t> after = {};  // a position; none: only what comes
  // A KMS that sends no heartbeat for so long is given up: three times its interval.
  std::chrono::milliseconds silence{45'000};
  // Between two attempts, with jitter; it doubles.
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds max_delay{5'000};
};

class RevocationWatch {
 public:
  // Called on the watch's thread, one at a time. None may destroy the watch.
  struct Callbacks {
    std::function<void(const Revoked&)> revoked;
    // The KMS answers, and all up to this position was told. Also with each heartbeat.
    std::function<void(std::uint64_t position)> alive = {};
    // The KMS cannot be heard, and why (unavailable, busy; denied, unauthenticated: ask its
    // operator for the role). True: try again.
    std::function<bool(const Error&)> lost;
  };

  // `random` must outlive it.
  RevocationWatch(std::shared_ptr<KmsConnection> connection, WatchOptions options,
                  RandomSource& random, Callbacks callbacks);
  RevocationWatch(const RevocationWatch&) = delete;
  RevocationWatch& operator=(const RevocationWatch&) = delete;
  // Ends it; when it returns no callback runs.
  ~RevocationWatch();

  // Blocks until `lost` has said that no more attempt is made; with its error.
  Error wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::kms_client
