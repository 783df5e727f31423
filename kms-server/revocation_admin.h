// RevocationAdmin: revocation of tickets in the hands of an operator, free of any transport. A
// revocation is committed, in the book that every resolve asks, and audited before it is
// acknowledged; none is taken back. Identities and TPKs are revoked with IdentityAdmin.
//
// Threads: safe from several threads; calls block, so run them on the store executor.
#pragma once

#include "kms-server/admin_audit.h"
#include "kms-server/key_directory.h"

namespace keystub::kms {

class RevocationAdmin {
 public:
  // All must outlive it.
  struct Parts {
    IdentityStore& store;
    KeyDirectory& keys;
    Audit& audit;
    const Clock& clock;
  };

  // `timeout` is for each call to the store.
  RevocationAdmin(const Parts& parts, std::chrono::milliseconds timeout)
      : parts_(parts), audit_(parts.audit, parts.clock), timeout_(timeout) {}

  // By its id (16 octets). It is remembered for as long as any ticket may be valid, since an id
  // does not say when the ticket ends. Errors: malformed, busy (as many as may be are revoked one
  // by one), unavailable, internal, each with a sentence for the operator.
  Result<Revocation> revoke_ticket_id(const rpc::Caller& caller, Bytes ticket_id);
  // By the ticket: a TICKET payload from Ticket Type to the end of Ticket Data. It is opened, so
  // that its end is known, which nobody can have changed. Errors also: not_found when no TPK of the
  // KMS opens it.
  Result<Revocation> revoke_ticket(const rpc::Caller& caller, Bytes ticket);
  // All that the KMS issued before `time`, which is not in the future (malformed). An earlier time
  // than before changes nothing. Returns what is in force.
  Result<Revocation> revoke_before(const rpc::Caller& caller, WallTime time);
  // Those after `sequence`; `page_size` 0: kDefaultPageSize.
  Result<RevocationPage> list(std::uint64_t sequence, std::size_t page_size);

 private:
  Deadline deadline() const { return Deadline::in(timeout_); }

  const Parts parts_;
  AdminAudit audit_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace keystub::kms
