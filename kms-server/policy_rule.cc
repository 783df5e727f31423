#include "kms-server/policy_rule.h"

#include <fmt/format.h>

#include <algorithm>

#include "kms-server/identity_uri.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kShortest = 1min;

Result<std::string> canonical_subject(RuleScope scope, const std::string& subject) {
  switch (scope) {
    case RuleScope::identity:
    case RuleScope::group: return canonical_uri(subject);
    case RuleScope::domain: {
      const std::string uri = TRY(canonical_uri("sip:" + subject));
      if (uri.find('@') != std::string::npos) {
        return fail(Category::malformed, fmt::format("\"{}\" is no domain: leave out what stands "
                                                     "before the @",
                                                     subject));
      }
      return std::string(host_of(uri));
    }
    case RuleScope::everybody:
      if (subject.empty()) return std::string();
      return fail(Category::malformed, "the default rule has no subject");
  }
  return fail(Category::malformed, "a rule is for an identity, a group, a domain, or the default");
}

// Lines are how a list is stored.
Result<std::string> plain_text(std::string_view text) {
  const bool plain = !text.empty() && text.size() <= kMaxUriSize &&
                     std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
  if (plain) return std::string(text);
  return fail(Category::malformed, fmt::format("\"{}\" must be printable ASCII without spaces, at "
                                               "most {} octets",
                                               text, kMaxUriSize));
}

Result<void> canonicalize(std::string_view name, std::optional<PolicyRule::List>& list,
                          Result<std::string> (*canonical)(std::string_view)) {
  if (!list) return {};
  if (list->size() > kMaxRuleListEntries) {
    return fail(Category::malformed,
                fmt::format("{}: at most {} entries; use a group", name, kMaxRuleListEntries));
  }
  for (std::string& entry : *list) {
    auto made = canonical(entry);
    if (!made) return std::unexpected(std::move(made).error().with_context(std::string(name)));
    entry = std::move(*made);
  }
  std::ranges::sort(*list);
  list->erase(std::unique(list->begin(), list->end()), list->end());
  return {};
}

Result<void> check_names(std::string_view name, const std::optional<PolicyRule::List>& list,
                         std::initializer_list<std::string_view> known) {
  if (!list) return {};
  for (const std::string& entry : *list) {
    if (std::ranges::find(known, entry) == known.end()) {
      return fail(Category::malformed,
                  fmt::format("{}: \"{}\" is none of {}", name, entry, fmt::join(known, ", ")));
    }
  }
  return {};
}

Result<void> check_validity(std::string_view name,
                            const std::optional<std::chrono::milliseconds>& value) {
  if (!value || (*value >= kShortest && *value <= kLongestValidity)) return {};
  return fail(Category::malformed, fmt::format("{}: from one minute to 366 days", name));
}

}  // namespace

std::string rule_name(RuleScope scope, const std::string& subject) {
  switch (scope) {
    case RuleScope::identity: return "identity " + subject;
    case RuleScope::group: return "group " + subject;
    case RuleScope::domain: return "domain " + subject;
    case RuleScope::everybody: break;
  }
  return "default";
}

Result<PolicyRule> checked_rule(PolicyRule rule) {
  rule.subject = TRY(canonical_subject(rule.scope, rule.subject));
  TRY(canonicalize("responders", rule.responders, &canonical_matcher));
  TRY(canonicalize("initiators", rule.initiators, &canonical_matcher));
  TRY(canonicalize("applications", rule.applications, &plain_text));
  TRY(check_names("ticket_types", rule.ticket_types, {kTicketType3gpp, kTicketTypeMikey}));
  TRY(check_names("suites", rule.suites, {kSuite256Bit, kSuite128Bit}));
  if (rule.max_keys && (*rule.max_keys < 1 || *rule.max_keys > kMaxKeysInTicket)) {
    return fail(Category::malformed, fmt::format("max_keys: from 1 to {}", kMaxKeysInTicket));
  }
  TRY(check_validity("max_validity", rule.max_validity));
  TRY(check_validity("default_validity", rule.default_validity));
  if (rule.max_validity && rule.default_validity && *rule.default_validity > *rule.max_validity) {
    return fail(Category::malformed, "default_validity is longer than max_validity");
  }
  return rule;
}

}  // namespace keystub::kms
