#include "kms-server/policy_admin.h"

#include <fmt/format.h>

#include "kms-server/identity_uri.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {
namespace {

std::string text_of(const PolicyRule::List& list) {
  return list.empty() ? "none" : fmt::format("{}", fmt::join(list, ", "));
}
std::string text_of(bool value) { return value ? "yes" : "no"; }
std::string text_of(std::uint32_t value) { return std::to_string(value); }
std::string text_of(std::chrono::milliseconds value) {
  return fmt::format("{}s", std::chrono::duration_cast<std::chrono::seconds>(value).count());
}

std::vector<Explanation::Setting> settings_of(const EffectivePolicy& effective) {
  std::vector<Explanation::Setting> settings;
  const auto add = [&](const char* name, auto member) {
    const auto setting = effective.get(member);
    settings.push_back({name, text_of(setting.value), setting.rule.name});
  };
  add("responders", &PolicyRule::responders);
  add("initiators", &PolicyRule::initiators);
  add("applications", &PolicyRule::applications);
  add("ticket_types", &PolicyRule::ticket_types);
  add("suites", &PolicyRule::suites);
  add("require_forking", &PolicyRule::require_forking);
  add("allow_reuse", &PolicyRule::allow_reuse);
  add("allow_mode3", &PolicyRule::allow_mode3);
  add("max_keys", &PolicyRule::max_keys);
  add("max_validity", &PolicyRule::max_validity);
  add("default_validity", &PolicyRule::default_validity);
  return settings;
}

Explanation::Decision decision_of(const Denial& denial) {
  return {false, std::string(denial.rule), denial.policy, denial.reason};
}
Explanation::Decision granted_by(const std::string& rule) { return {true, "granted", rule, {}}; }

}  // namespace

Result<PolicyRule> PolicyAdmin::set(const rpc::Caller& caller, PolicyRule rule) {
  const std::string name = rule_name(rule.scope, rule.subject);
  const auto work = [&]() -> Result<PolicyRule> {
    return parts_.store.set_rule(TRY(checked_rule(std::move(rule))), deadline());
  };
  return audit_.recorded(caller, "set_policy_rule", name, work);
}

Result<void> PolicyAdmin::remove(const rpc::Caller& caller, RuleScope scope,
                                 const std::string& subject) {
  const auto work = [&]() -> Result<void> {
    PolicyRule rule;
    rule.scope = scope;
    rule.subject = subject;
    rule = TRY(checked_rule(std::move(rule)));
    return parts_.store.remove_rule(scope, rule.subject, deadline());
  };
  return audit_.recorded(caller, "delete_policy_rule", rule_name(scope, subject), work);
}

Result<std::vector<PolicyRule>> PolicyAdmin::list() { return parts_.store.list_rules(deadline()); }

Result<Explanation> PolicyAdmin::explain(std::string_view from, std::string_view to) {
  const std::string from_uri = TRY(canonical_uri(from));
  const std::string to_matcher = TRY(canonical_matcher(to));
  const auto sender = TRY(parts_.keys.find_identity(from_uri, deadline()));
  const auto book = TRY(parts_.keys.find_policy(deadline()));
  // The end of a ticket is a whole second: between two, its validity would be a fraction short.
  const WallTime now = std::chrono::floor<std::chrono::seconds>(parts_.clock.now());

  mikey::TicketPolicy wish;
  wish.flags = mikey::kMode1Flags;
  wish.idr_r = {mikey::Identity::uri(to_matcher)};
  Explanation out;
  out.settings = settings_of(parts_.policy.effective(*book, *sender));
  const auto granted =
      parts_.policy.grant(*book, wish, *sender, mikey::Identity::uri(from_uri), now);
  if (!granted) {
    out.request = decision_of(granted.error());
    return out;
  }
  out.request = granted_by(granted->rule);
  out.validity = std::chrono::duration_cast<std::chrono::milliseconds>(
      granted->policy.tre->to_wall_time() - now);

  if (!canonical_uri(to_matcher)) return out;  // "*" or a pattern: nobody in particular
  const auto responder = parts_.keys.find_identity(to_matcher, deadline());
  if (!responder && responder.error().category() == Category::not_found) return out;
  if (!responder) return std::unexpected(responder.error());
  if ((*responder)->kind == IdentityKind::group) return out;
  const auto resolved =
      parts_.policy.resolve(*book, granted->policy, mikey::Timestamp::from(now), nullptr,
                            **responder, mikey::Identity::uri(to_matcher), now);
  out.resolve = resolved ? granted_by(resolved->rule) : decision_of(resolved.error());
  return out;
}

}  // namespace keystub::kms
