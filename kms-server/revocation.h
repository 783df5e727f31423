// What is revoked: single tickets, all tickets of the KMS from before a time, identities, and
// ticket protection keys (TPKs), as the store keeps it and as subscribers hear of it.
//
// There is no row per ticket that was issued, only per ticket that was revoked. Two things make
// such rows go: a ticket that nobody would resolve any more, and the bound on identities and TPKs,
// of which the oldest go first. What is gone is not told to a subscriber that comes back; it is
// told that something is missing (RevocationPage::kept_from).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"

namespace keystub::kms {

enum class RevocationKind : std::uint8_t {  // stored
  ticket = 1,                               // one ticket
  tickets_before = 2,  // all that the KMS issued before a time: mode 1; there is one, the newest
  identity = 3,        // suspended or removed
  tpk = 4,             // of the KMS: revoked; shared (mode 3): taken back
};

struct Revocation {
  std::uint64_t sequence = 0;  // the change sequence of the store
  WallTime time;               // when it was revoked
  RevocationKind kind = RevocationKind::ticket;
  // The id of the ticket (16 octets, mikey::TicketId), the canonical name of the identity, the id
  // of the TPK; of tickets_before nothing.
  ByteVector subject;
  // ticket: until when it has to be remembered. tickets_before: tickets whose T is before this.
  std::optional<WallTime> limit;
  // Of an identity: under what other URIs it may be known.
  std::vector<std::string> aliases;
  std::vector<std::string> owned_patterns;
};

struct RevocationPage {
  std::vector<Revocation> revocations;  // each subject once, in the order of their sequences
  bool more = false;
  std::uint64_t newest = 0;     // the change sequence when this was read
  std::uint64_t kept_from = 0;  // of those that are not newer than this some are gone
  std::size_t log_size = 0;     // identities and TPKs that are kept
};

}  // namespace keystub::kms
