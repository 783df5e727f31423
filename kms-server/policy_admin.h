// PolicyAdmin: the rules of the policy in the hands of an operator, free of any transport. A change
// is committed, dropped from the cache and audited before it is acknowledged.
//
// Threads: safe from several threads; calls block, so run them on the store executor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kms-server/admin_audit.h"
#include "kms-server/key_directory.h"
#include "kms-server/policy.h"

namespace keystub::kms {

// What would become of a ticket, and which rules say so.
struct Explanation {
  struct Setting {
    std::string name;
    std::string value;
    std::string rule;
  };
  struct Decision {
    bool granted = false;
    std::string check;  // as `rule` in the audit
    std::string rule;   // as `policy` in the audit
    std::string reason;
  };

  Decision request;
  std::chrono::milliseconds validity{0};  // of the ticket that would be granted
  std::vector<Setting> settings;          // of the initiator
  std::optional<Decision> resolve;        // none: the responder is no identity
};

class PolicyAdmin {
 public:
  // All must outlive it.
  struct Parts {
    IdentityStore& store;
    KeyDirectory& keys;
    const Policy& policy;
    Audit& audit;
    const Clock& clock;
  };

  // `timeout` is for each call to the store.
  PolicyAdmin(const Parts& parts, std::chrono::milliseconds timeout)
      : parts_(parts), audit_(parts.audit, parts.clock), timeout_(timeout) {}

  // Takes the place of the rule for the same subject. Errors: malformed, not_found, conflict,
  // unavailable, busy, internal, each with a sentence for the operator.
  Result<PolicyRule> set(const rpc::Caller& caller, PolicyRule rule);
  Result<void> remove(const rpc::Caller& caller, RuleScope scope, const std::string& subject);
  Result<std::vector<PolicyRule>> list();

  // Tries a ticket of the usual form (mode 1, key forking, one TGK, no end wished for) from `from`,
  // an identity, for `to`: a URI, a group, a pattern or "*". Nothing is issued.
  Result<Explanation> explain(std::string_view from, std::string_view to);

 private:
  Deadline deadline() const { return Deadline::in(timeout_); }

  const Parts parts_;
  AdminAudit audit_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace keystub::kms
