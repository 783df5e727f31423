// The policy RPCs of IdentityAdminService.
#include <google/protobuf/util/time_util.h>

#include "kms-server/identity_admin_service.h"

namespace keystub::kms {
namespace {

using google::protobuf::util::TimeUtil;

std::optional<PolicyRule::List> list_of(bool given, const v1::RuleList& list) {
  if (!given) return std::nullopt;
  return PolicyRule::List(list.entries().begin(), list.entries().end());
}

Result<RuleScope> scope_of(v1::RuleScope scope) {
  if (scope >= v1::RULE_SCOPE_IDENTITY && scope <= v1::RULE_SCOPE_EVERYBODY) {
    return static_cast<RuleScope>(scope);
  }
  return fail(Category::malformed, "a rule is for an identity, a group, a domain, or everybody");
}

Result<PolicyRule> rule_of(const v1::PolicyRule& in) {
  PolicyRule rule;
  rule.scope = TRY(scope_of(in.scope()));
  rule.subject = in.subject();
  rule.responders = list_of(in.has_responders(), in.responders());
  rule.initiators = list_of(in.has_initiators(), in.initiators());
  rule.applications = list_of(in.has_applications(), in.applications());
  rule.ticket_types = list_of(in.has_ticket_types(), in.ticket_types());
  rule.suites = list_of(in.has_suites(), in.suites());
  if (in.has_require_forking()) rule.require_forking = in.require_forking();
  if (in.has_allow_reuse()) rule.allow_reuse = in.allow_reuse();
  if (in.has_allow_mode3()) rule.allow_mode3 = in.allow_mode3();
  if (in.has_max_keys()) rule.max_keys = in.max_keys();
  const auto validity = [](const google::protobuf::Duration& duration) {
    return std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(duration));
  };
  if (in.has_max_validity()) rule.max_validity = validity(in.max_validity());
  if (in.has_default_validity()) rule.default_validity = validity(in.default_validity());
  return rule;
}

void set_list(const std::optional<PolicyRule::List>& list, v1::RuleList* (v1::PolicyRule::*field)(),
              v1::PolicyRule& out) {
  if (!list) return;
  v1::RuleList& entries = *(out.*field)();
  for (const std::string& entry : *list) entries.add_entries(entry);
}

void set_rule(v1::PolicyRule& out, const PolicyRule& rule) {
  out.set_scope(static_cast<v1::RuleScope>(rule.scope));
  out.set_subject(rule.subject);
  set_list(rule.responders, &v1::PolicyRule::mutable_responders, out);
  set_list(rule.initiators, &v1::PolicyRule::mutable_initiators, out);
  set_list(rule.applications, &v1::PolicyRule::mutable_applications, out);
  set_list(rule.ticket_types, &v1::PolicyRule::mutable_ticket_types, out);
  set_list(rule.suites, &v1::PolicyRule::mutable_suites, out);
  if (rule.require_forking) out.set_require_forking(*rule.require_forking);
  if (rule.allow_reuse) out.set_allow_reuse(*rule.allow_reuse);
  if (rule.allow_mode3) out.set_allow_mode3(*rule.allow_mode3);
  if (rule.max_keys) out.set_max_keys(*rule.max_keys);
  if (rule.max_validity) {
    *out.mutable_max_validity() = TimeUtil::MillisecondsToDuration(rule.max_validity->count());
  }
  if (rule.default_validity) {
    *out.mutable_default_validity() =
        TimeUtil::MillisecondsToDuration(rule.default_validity->count());
  }
  *out.mutable_update_time() = TimeUtil::MillisecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::milliseconds>(rule.updated.time_since_epoch())
          .count());
}

void set_decision(v1::ExplainPolicyResponse::Decision& out, const Explanation::Decision& decision) {
  out.set_granted(decision.granted);
  out.set_check(decision.check);
  out.set_rule(decision.rule);
  out.set_reason(decision.reason);
}

}  // namespace

grpc::ServerUnaryReactor* IdentityAdminService::SetPolicyRule(
    grpc::CallbackServerContext* context, const v1::SetPolicyRuleRequest* request,
    v1::SetPolicyRuleResponse* response) {
  return run(*context, "SetPolicyRule",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               PolicyRule rule = TRY(rule_of(request->rule()));
               set_rule(*response->mutable_rule(), TRY(policy_.set(caller, std::move(rule))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::DeletePolicyRule(
    grpc::CallbackServerContext* context, const v1::DeletePolicyRuleRequest* request,
    v1::DeletePolicyRuleResponse*) {
  return run(*context, "DeletePolicyRule",
             [this, request](const rpc::Caller& caller) -> Result<void> {
               return policy_.remove(caller, TRY(scope_of(request->scope())), request->subject());
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ListPolicyRules(
    grpc::CallbackServerContext* context, const v1::ListPolicyRulesRequest*,
    v1::ListPolicyRulesResponse* response) {
  return run(*context, "ListPolicyRules", [this, response](const rpc::Caller&) -> Result<void> {
    const std::vector<PolicyRule> rules = TRY(policy_.list());
    for (const PolicyRule& rule : rules) set_rule(*response->add_rules(), rule);
    return {};
  });
}

grpc::ServerUnaryReactor* IdentityAdminService::ExplainPolicy(
    grpc::CallbackServerContext* context, const v1::ExplainPolicyRequest* request,
    v1::ExplainPolicyResponse* response) {
  return run(*context, "ExplainPolicy",
             [this, request, response](const rpc::Caller&) -> Result<void> {
               const Explanation explanation = TRY(policy_.explain(request->from(), request->to()));
               set_decision(*response->mutable_request(), explanation.request);
               if (explanation.request.granted) {
                 *response->mutable_validity() =
                     TimeUtil::MillisecondsToDuration(explanation.validity.count());
               }
               for (const Explanation::Setting& setting : explanation.settings) {
                 auto& out = *response->add_settings();
                 out.set_name(setting.name);
                 out.set_value(setting.value);
                 out.set_rule(setting.rule);
               }
               if (explanation.resolve) {
                 set_decision(*response->mutable_resolve(), *explanation.resolve);
               }
               return {};
             });
}

}  // namespace keystub::kms
