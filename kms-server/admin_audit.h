// AdminAudit: the audit line of a change by an operator, on the disk before the change is
// acknowledged.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kms-server/audit.h"
#include "rpc/caller.h"

namespace keystub::kms {

// Threads: safe from several threads; calls block until the line is written.
class AdminAudit {
 public:
  // Both must outlive it.
  AdminAudit(Audit& audit, const Clock& clock) : audit_(audit), clock_(clock) {}

  // Does `work`, an operation on `subject` (a URI, the id of a TPK, the name of a rule) that gives
  // a Result, and writes its line. `detail`: what of the subject, if that says more. `ticket_id`:
  // in hex, where the operation is on a ticket. `work` may still write both.
  //
  // Where nothing goes on without the audit: fails (unavailable) without having done anything while
  // the audit cannot be written, and fails if it cannot be written now, although the work is done.
  template <class Work>
  std::invoke_result_t<Work> recorded(const rpc::Caller& caller, std::string_view operation,
                                      std::string_view subject, Work&& work,
                                      const std::string& detail = {},
                                      const std::string& ticket_id = {}) {
    if (const auto fault = audit_.fault(); fault && audit_.needed()) {
      return fail(Category::unavailable,
                  "nothing is changed while the audit cannot be written: " + fault->text());
    }
    auto result = std::forward<Work>(work)();
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
