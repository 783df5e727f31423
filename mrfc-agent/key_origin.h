// On what at the KMS the keys of an m-line hang, and which revocations cut it: a session that was
// set up with a ticket goes on without the KMS, until the KMS takes back what it stood on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "mikey/ticket.h"

namespace keystub::mrfc {

struct KeyOrigin {
  mikey::TicketId ticket_id{};
  std::optional<WallTime> issued_at;  // T of a ticket that the KMS issued (mode 1)
  ByteVector tpk_id;                  // the TPK that protects it; empty: not named
  std::vector<std::string> parties;   // as user_identity() makes them: whom it is from and for
};

// Of the ticket in a TRANSFER_INIT; `parties`: URIs beside the initiator that the ticket names.
Result<KeyOrigin> key_origin(const mikey::TicketView& ticket, std::vector<std::string> parties);

// As the KMS tells it.
struct KeyRevocation {
  enum class Kind : std::uint8_t {
    ticket,          // `id`
    tickets_before,  // all that the KMS issued before `before`
    identity,  // known under `uris`, and under what `patterns` cover ("sip:conf-*@example.com")
    tpk,       // `id`
    unknown,   // something that was missed: it may be anything
  };
  Kind kind = Kind::unknown;
  ByteVector id;
  std::optional<WallTime> before;
  std::vector<std::string> uris;
  std::vector<std::string> patterns;
  WallTime time;  // when it was revoked, by the KMS's clock

  // "its ticket", …: for events and logs.
  std::string_view what() const noexcept;
};

// Whether it cuts media with keys of this origin, whose peer proved to be `peer` (empty: nobody
// yet).
bool cuts(const KeyRevocation& revocation, const KeyOrigin& origin, std::string_view peer);

}  // namespace keystub::mrfc
