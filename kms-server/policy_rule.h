// PolicyRule: one row of the policy, as an operator writes it and the store keeps it.
//
// Rules are for one identity, one group, one domain (the host of a URI), or everybody. A value that
// a rule leaves open is that of the next less specific one: identity, then its groups in the order
// of their names, then the domain of its canonical name, then the default, then the configuration
// file ([policy]).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace keystub::kms {

// Stored; and the order in which they apply, the most specific first. The values equal those of
// policy_admin.proto.
enum class RuleScope : std::uint8_t { identity = 1, group = 2, domain = 3, everybody = 4 };

inline constexpr std::size_t kMaxRules = 10'000;  // one more is a conflict
inline constexpr std::size_t kMaxRuleListEntries = 256;
// Of a ticket: no rule and no setting allows more.
inline constexpr std::chrono::hours kLongestValidity{24 * 366};
inline constexpr std::uint32_t kMaxKeysInTicket = 32;  // session keys

// Names in the lists.
inline constexpr const char* kTicketType3gpp = "3gpp";    // 2/1/1
inline constexpr const char* kTicketTypeMikey = "mikey";  // 1/1/1
inline constexpr const char* kSuite256Bit = "256-bit";
inline constexpr const char* kSuite128Bit = "128-bit";

struct PolicyRule {
  using List = std::vector<std::string>;

  RuleScope scope = RuleScope::everybody;
  std::string subject;  // canonical name, host, or empty for everybody

  // Whom it may request tickets for, and whose tickets it may resolve: matchers (uri_pattern.h).
  // "*" allows everything, an empty list nothing.
  std::optional<List> responders;
  std::optional<List> initiators;
  std::optional<List> applications;  // IDRapp of the tickets; "*": any
  std::optional<List> ticket_types;
  std::optional<List> suites;
  std::optional<bool> require_forking;  // flag I: keys of their own for each responder
  std::optional<bool> allow_reuse;      // flag J as wished; false: taken away
  std::optional<bool> allow_mode3;      // its own tickets resolve, under a TPK shared with it
  std::optional<std::uint32_t> max_keys;
  std::optional<std::chrono::milliseconds> max_validity;
  std::optional<std::chrono::milliseconds> default_validity;  // at most max_validity

  WallTime updated;
};

// "identity sip:a@x", "group sip:team@x", "domain x", "default": how audit and operators name it.
std::string rule_name(RuleScope scope, const std::string& subject);

// Brings subject and lists to their canonical forms. Fails (malformed) with a sentence that names
// the value that is wrong.
Result<PolicyRule> checked_rule(PolicyRule rule);

}  // namespace keystub::kms
