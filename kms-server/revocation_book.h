// RevocationBook: which tickets are revoked, in memory, for every ticket that is resolved. Single
// tickets by their id, and all tickets of the KMS from before a time. A revocation is in the book
// before it is acknowledged, since the book listens to the store.
//
// The store bounds how many single tickets there are (revocation.max_tickets); one takes about 130
// octets here, and leaves when the store no longer needs to keep it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string_view>
#include <unordered_set>

#include "kms-server/identity_store.h"
#include "mikey/ticket.h"

namespace keystub::kms {

// Threads: safe from several threads; find() never blocks for long. The store must outlive it.
class RevocationBook {
 public:
  // Reads what is revoked. `heard` is called for each revocation from then on, when it is in the
  // book; it must not block and must not call the store. Errors are those of the store.
  static Result<std::unique_ptr<RevocationBook>> open(IdentityStore& store, const Clock& clock,
                                                      Deadline deadline,
                                                      std::function<void()> heard = {});
  ~RevocationBook();
  RevocationBook(const RevocationBook&) = delete;
  RevocationBook& operator=(const RevocationBook&) = delete;

  // Whether a ticket with this T is revoked; by what, as one short word for the audit ("revoked",
  // "epoch"). `from_kms`: mode 1. The T of a mode 3 ticket is what its issuer says, so that no time
  // revokes it.
  std::optional<std::string_view> find(const mikey::TicketId& id, WallTime issued_at,
                                       bool from_kms) const;

  // Single tickets that are revoked now: for metrics.
  std::size_t tickets() const;

 private:
  struct IdHash {
    std::size_t operator()(const mikey::TicketId& id) const noexcept;
  };

  RevocationBook(IdentityStore& store, const Clock& clock, std::function<void()> heard);
  void enter(const Revocation& revocation);
  void drop_expired() const;  // under mutex_

  IdentityStore& store_;
  const Clock& clock_;
  const std::function<void()> heard_;
  std::atomic<WallTime> before_{WallTime::min()};
  mutable std::shared_mutex mutex_;
  mutable std::unordered_set<mikey::TicketId, IdHash> tickets_;
  mutable std::set<std::pair<WallTime, mikey::TicketId>> by_limit_;
};

}  // namespace keystub::kms
