#include "kms-server/policy_book.h"

#include "kms-server/key_directory.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {

PolicyBook::PolicyBook(std::vector<PolicyRule> rules) {
  for (PolicyRule& rule : rules) {
    std::string name = rule_name(rule.scope, rule.subject);
    rules_.emplace(name, NamedRule{std::move(rule), name});
  }
}

const PolicyBook::NamedRule* PolicyBook::find(RuleScope scope, std::string_view subject) const {
  const auto found = rules_.find(rule_name(scope, std::string(subject)));
  return found == rules_.end() ? nullptr : &found->second;
}

std::vector<const PolicyBook::NamedRule*> PolicyBook::rules_for(const OpenIdentity& who) const {
  std::vector<const NamedRule*> found;
  if (rules_.empty()) return found;
  const auto add = [&](RuleScope scope, std::string_view subject) {
    if (const NamedRule* rule = find(scope, subject)) found.push_back(rule);
  };
  add(RuleScope::identity, who.uri);
  for (const std::string& group : who.groups) add(RuleScope::group, group);
  if (const std::string_view host = host_of(who.uri); !host.empty()) add(RuleScope::domain, host);
  add(RuleScope::everybody, {});
  return found;
}

EffectivePolicy::EffectivePolicy(std::vector<const Rule*> rules,
                                 std::shared_ptr<const Rule> fallback)
    : fallback_(std::move(fallback)), rules_(std::move(rules)) {
  rules_.push_back(fallback_.get());
}

}  // namespace keystub::kms
