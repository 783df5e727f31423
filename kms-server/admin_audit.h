// AdminAudit: the audit line of a change by an operator, on the disk before the change is
// acknowledged.
#pragma once

#include <string_view>

#include "kms-server/audit.h"
#include "rpc/caller.h"

namespace keystub::kms {

// Threads: safe from several threads; calls block until the line is written.
class AdminAudit {
 public:
  // Both must outlive it.
  AdminAudit(Audit& audit, const Clock& clock) : audit_(audit), clock_(clock) {}

  // Ends an operation on `subject` (a URI, the id of a TPK, the name of a rule): writes its line,
  // and fails if that fails although the change is made, unless the KMS goes on without its audit.
  // `detail`: what of the subject, if that says more. `ticket_id`: in hex, where the operation is
  // on a ticket.
  template <class T>
  Result<T> recorded(const rpc::Caller& caller, std::string_view operation,
                     std::string_view subject, Result<T> result, std::string_view detail = {},
                     std::string_view ticket_id = {}) {
    auto written =
        record(caller, operation, subject, detail, ticket_id, result ? nullptr : &result.error());
    if (!written && result && audit_.needed()) {
      return fail(Category::unavailable,
                  "the change is made, but not in the audit file: " + written.error().text());
    }
    return result;
  }

 private:
  Result<void> record(const rpc::Caller& caller, std::string_view operation,
                      std::string_view subject, std::string_view detail, std::string_view ticket_id,
                      const Error* refused);

  Audit& audit_;
  const Clock& clock_;
};

}  // namespace keystub::kms
