// IdentityImport: bulk import by an operator, batch by batch, free of any transport. Checks what
// comes in, wraps keys, has the store commit the batch whole or not at all, writes one audit line
// for it; only then is it acknowledged.
//
// A batch that was done before is acknowledged again and changes nothing. So a client that does not
// know what became of a batch sends it once more.
//
// Threads: safe from several threads; calls block, so run them on the store executor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kms-server/identity_admin.h"

namespace keystub::kms {

inline constexpr std::size_t kMaxImportBatch = 1000;  // identities
inline constexpr std::size_t kImportIdSize = 64;      // hex digits

// One identity of an import as it comes in: URIs in any form that canonical_uri() takes.
struct NewIdentity {
  std::uint64_t line = 0;  // where it stands in the operator's file
  std::string uri;
  IdentityKind kind = IdentityKind::user;
  IdentityState state = IdentityState::active;
  std::vector<std::string> aliases;
  std::vector<std::string> owned_patterns;
  std::vector<std::string> groups;
  std::vector<NewPsk> psks;
};

struct NewIdentityBatch {
  std::string import_id;
  std::uint64_t number = 0;
  bool skip_existing = false;
  std::vector<NewIdentity> identities;
};

class IdentityImport {
 public:
  // `timeout` is for each call to the store: a batch is more work than a single change.
  IdentityImport(const AdminParts& parts, std::chrono::milliseconds timeout)
      : parts_(parts), audit_(parts.audit, parts.clock), timeout_(timeout) {}

  // The error names line, URI and field of the record at fault; nothing of the batch is then there.
  // Errors: those of IdentityAdmin.
  Result<ImportOutcome> import_batch(const rpc::Caller& caller, NewIdentityBatch batch);
  // The batch with which the import goes on; 0 for one that is not known. `restart`: from the
  // start again, what it imported stays.
  Result<std::uint64_t> resume(const rpc::Caller& caller, std::string_view import_id, bool restart);

 private:
  Deadline deadline() const { return Deadline::in(timeout_); }
  Result<ImportBatch> prepare(NewIdentityBatch batch) const;
  Result<ImportedIdentity> prepare(NewIdentity one) const;

  const AdminParts parts_;
  AdminAudit audit_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace keystub::kms
