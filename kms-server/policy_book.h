// PolicyBook: all rules of the policy at one moment, and what they come to for one sender.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kms-server/policy_rule.h"

namespace keystub::kms {

struct OpenIdentity;

// Immutable once made. Threads: const use from several is safe.
class PolicyBook {
 public:
  struct NamedRule {
    PolicyRule rule;
    std::string name;
  };

  PolicyBook() = default;
  explicit PolicyBook(std::vector<PolicyRule> rules);

  // The rules that apply to `who`, the most specific first. They belong to the book.
  std::vector<const NamedRule*> rules_for(const OpenIdentity& who) const;

 private:
  const NamedRule* find(RuleScope scope, std::string_view subject) const;

  std::unordered_map<std::string, NamedRule> rules_;  // by name
};

// What the rules come to for one sender: for each value the rule that sets it. Views: the book and
// the fallback must outlive it.
class EffectivePolicy {
 public:
  using Rule = PolicyBook::NamedRule;
  template <class T>
  struct Value {
    const T& value;
    const Rule& rule;
  };

  // `fallback` sets every value.
  EffectivePolicy(std::vector<const Rule*> rules, std::shared_ptr<const Rule> fallback);

  // The most specific rule.
  const Rule& decider() const noexcept { return *rules_.front(); }

  template <class T>
  Value<T> get(std::optional<T> PolicyRule::* member) const {
    for (const Rule* rule : rules_) {
      if (const auto& value = rule->rule.*member) return {*value, *rule};
    }
    const Rule& fallback = *rules_.back();
    return {*(fallback.rule.*member), fallback};
  }

 private:
  std::shared_ptr<const Rule> fallback_;
  std::vector<const Rule*> rules_;  // ends with the fallback
};

}  // namespace keystub::kms
