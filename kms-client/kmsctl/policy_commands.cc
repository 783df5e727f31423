// kmsctl policy set|show|list|delete|explain: the rules of the policy.
#include <google/protobuf/util/time_util.h>

#include <utility>

#include "kms-client/kmsctl/commands.h"
#include "service/config.h"

namespace keystub::kmsctl {
namespace {

using google::protobuf::util::TimeUtil;

constexpr std::int64_t kMostKeys = 32;
constexpr const char* kNone = "none";  // an empty list: nothing is allowed

std::string scope_name(v1::RuleScope scope) {
  switch (scope) {
    case v1::RULE_SCOPE_IDENTITY: return "identity";
    case v1::RULE_SCOPE_GROUP: return "group";
    case v1::RULE_SCOPE_DOMAIN: return "domain";
    case v1::RULE_SCOPE_EVERYBODY: return "default";
    default: return "unknown";
  }
}

std::vector<std::string> entries_of(const v1::RuleList& list) {
  if (list.entries().empty()) return {kNone};
  return {list.entries().begin(), list.entries().end()};
}

std::string seconds_of(const google::protobuf::Duration& duration) {
  return std::to_string(TimeUtil::DurationToSeconds(duration)) + "s";
}

// What the rule sets, and nothing else.
std::vector<Row> rows_of(const v1::PolicyRule& rule) {
  std::vector<Row> rows = {{"scope", scope_name(rule.scope())}, {"subject", rule.subject()}};
  const auto list = [&](const char* name, bool set, const v1::RuleList& entries) {
    if (set) rows.emplace_back(name, entries_of(entries));
  };
  list("responders", rule.has_responders(), rule.responders());
  list("initiators", rule.has_initiators(), rule.initiators());
  list("applications", rule.has_applications(), rule.applications());
  list("ticket_types", rule.has_ticket_types(), rule.ticket_types());
  list("suites", rule.has_suites(), rule.suites());
  if (rule.has_require_forking()) {
    rows.emplace_back("forking", rule.require_forking() ? "required" : "optional");
  }
  if (rule.has_allow_reuse()) {
    rows.emplace_back("reuse", rule.allow_reuse() ? "allowed" : "refused");
  }
  if (rule.has_allow_mode3()) {
    rows.emplace_back("mode3", rule.allow_mode3() ? "allowed" : "refused");
  }
  if (rule.has_max_keys()) rows.emplace_back("max_keys", std::uint64_t{rule.max_keys()});
  if (rule.has_max_validity()) {
    rows.emplace_back("max_validity", seconds_of(rule.max_validity()));
  }
  if (rule.has_default_validity()) {
    rows.emplace_back("default_validity", seconds_of(rule.default_validity()));
  }
  return rows;
}

Result<void> set_list(const std::vector<std::string>& given,
                      v1::RuleList* (v1::PolicyRule::*field)(), v1::PolicyRule& rule) {
  if (given.empty()) return {};
  v1::RuleList& list = *(rule.*field)();
  if (given.size() == 1 && given.front() == kNone) return {};
  for (const std::string& entry : given) {
    if (entry == kNone) return fail(Category::malformed, "\"none\" stands alone in a list");
    list.add_entries(entry);
  }
  return {};
}

Result<void> set_duration(const std::string& text,
                          google::protobuf::Duration* (v1::PolicyRule::*field)(),
                          v1::PolicyRule& rule) {
  if (text.empty()) return {};
  *(rule.*field)() = TimeUtil::MillisecondsToDuration(TRY(service::parse_duration(text)).count());
  return {};
}

void add_decision(std::vector<Row>& rows, const std::string& name,
                  const v1::ExplainPolicyResponse::Decision& decision) {
  rows.emplace_back(name, decision.granted() ? "granted" : "refused");
  if (!decision.granted()) {
    rows.emplace_back(name + "_check", decision.check());
    rows.emplace_back(name + "_reason", decision.reason());
  }
  rows.emplace_back(name + "_rule", decision.rule());
}

}  // namespace

PolicyCommands::PolicyCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& policy = top.verb("policy", "Who may request and resolve what.");
  const auto with_subject = [this](service::Verb& verb) -> service::Verb& {
    return verb.option("--identity", identity_, "The rule for this identity.")
        .option("--group", group_, "The rule for the members of this group.")
        .option("--domain", domain_, "The rule for the identities of this host.")
        .flag("--default", everybody_, "The rule for everybody.");
  };
  with_subject(policy.verb("set",
                           "Sets the rule for one subject, whole: what is not given is left "
                           "to the next less specific rule."))
      .option("--responder", responders_,
              "Whom it may request tickets for: a URI, a group, a pattern, \"*\"; or none.")
      .option("--initiator", initiators_, "Whose tickets it may resolve; or none.")
      .option("--application", applications_, "Applications (IDRapp) of the tickets; or none.")
      .option("--ticket-type", ticket_types_, "3gpp or mikey; or none.")
      .option("--suite", suites_, "256-bit or 128-bit; or none.")
      .option("--forking", forking_, "required or optional.")
      .option("--reuse", reuse_, "allowed or refused.")
      .option("--mode3", mode3_, "allowed or refused: tickets that it issues itself.")
      .option("--max-keys", max_keys_, "Session keys in one ticket.")
      .option("--max-validity", max_validity_, "The longest validity: 24h.")
      .option("--default-validity", default_validity_, "Where the wish names no end.")
      .action([this] { return exit_code_of(set()); });
  with_subject(policy.verb("show", "Shows the rule for one subject.")).action([this] {
    return exit_code_of(show());
  });
  with_subject(policy.verb("delete", "Removes the rule for one subject.")).action([this] {
    return exit_code_of(remove());
  });
  policy.verb("list", "Shows all rules, the most specific first.").action([this] {
    return exit_code_of(list());
  });
  policy.verb("explain", "Says what would be granted, and which rules decide it.")
      .required_option("--from", from_, "The initiator.")
      .required_option("--to", to_, "The responder: a URI, a group, a pattern, \"*\".")
      .action([this] { return exit_code_of(explain()); });
}

Result<v1::PolicyRule> PolicyCommands::subject() const {
  const int given =
      int{!identity_.empty()} + int{!group_.empty()} + int{!domain_.empty()} + int{everybody_};
  if (given != 1) {
    return fail(Category::malformed,
                "whose rule? One of --identity URI, --group URI, --domain HOST, --default");
  }
  v1::PolicyRule rule;
  rule.set_scope(!identity_.empty() ? v1::RULE_SCOPE_IDENTITY
                 : !group_.empty()  ? v1::RULE_SCOPE_GROUP
                 : !domain_.empty() ? v1::RULE_SCOPE_DOMAIN
                                    : v1::RULE_SCOPE_EVERYBODY);
  rule.set_subject(identity_ + group_ + domain_);
  return rule;
}

Result<void> PolicyCommands::set() {
  v1::PolicyRule rule = TRY(subject());
  TRY(set_list(responders_, &v1::PolicyRule::mutable_responders, rule));
  TRY(set_list(initiators_, &v1::PolicyRule::mutable_initiators, rule));
  TRY(set_list(applications_, &v1::PolicyRule::mutable_applications, rule));
  TRY(set_list(ticket_types_, &v1::PolicyRule::mutable_ticket_types, rule));
  TRY(set_list(suites_, &v1::PolicyRule::mutable_suites, rule));
  const auto one_of = [](const char* name, const std::string& given, const char* yes,
                         const char* no) -> Result<std::optional<bool>> {
    if (given.empty()) return std::optional<bool>();
    if (given == yes || given == no) return std::optional<bool>(given == yes);
    return fail(Category::malformed, std::string(name) + " is " + yes + " or " + no);
  };
  if (auto on = TRY(one_of("--forking", forking_, "required", "optional"))) {
    rule.set_require_forking(*on);
  }
  if (auto on = TRY(one_of("--reuse", reuse_, "allowed", "refused"))) rule.set_allow_reuse(*on);
  if (auto on = TRY(one_of("--mode3", mode3_, "allowed", "refused"))) rule.set_allow_mode3(*on);
  if (max_keys_ != kNotGiven) {
    if (max_keys_ < 1 || max_keys_ > kMostKeys) {
      return fail(Category::malformed, "--max-keys is a number from 1 to 32");
    }
    rule.set_max_keys(static_cast<std::uint32_t>(max_keys_));
  }
  TRY(set_duration(max_validity_, &v1::PolicyRule::mutable_max_validity, rule));
  TRY(set_duration(default_validity_, &v1::PolicyRule::mutable_default_validity, rule));
  const auto admin = TRY(session_.admin());
  print_rows(session_.out, session_.format(), rows_of(TRY(admin->set_rule(rule))));
  return {};
}

Result<void> PolicyCommands::show() {
  const v1::PolicyRule wanted = TRY(subject());
  const auto admin = TRY(session_.admin());
  const v1::ListPolicyRulesResponse all = TRY(admin->list_rules());
  for (const v1::PolicyRule& rule : all.rules()) {
    if (rule.scope() != wanted.scope() || rule.subject() != wanted.subject()) continue;
    print_rows(session_.out, session_.format(), rows_of(rule));
    return {};
  }
  return fail(Category::not_found, "there is no rule for this subject (give its canonical form)");
}

Result<void> PolicyCommands::remove() {
  const v1::PolicyRule rule = TRY(subject());
  const auto admin = TRY(session_.admin());
  TRY(admin->delete_rule(rule.scope(), rule.subject()));
  print_rows(session_.out, session_.format(),
             {{"deleted", scope_name(rule.scope()) + " " + rule.subject()}});
  return {};
}

Result<void> PolicyCommands::list() {
  const auto admin = TRY(session_.admin());
  const v1::ListPolicyRulesResponse all = TRY(admin->list_rules());
  std::vector<std::vector<Row>> rules;
  for (const v1::PolicyRule& rule : all.rules()) rules.push_back(rows_of(rule));
  print_list(session_.out, session_.format(), rules);
  return {};
}

Result<void> PolicyCommands::explain() {
  const auto admin = TRY(session_.admin());
  const v1::ExplainPolicyResponse answer = TRY(admin->explain_policy(from_, to_));
  std::vector<Row> rows = {{"from", from_}, {"to", to_}};
  add_decision(rows, "request", answer.request());
  if (answer.request().granted()) rows.emplace_back("validity", seconds_of(answer.validity()));
  if (answer.has_resolve()) add_decision(rows, "resolve", answer.resolve());
  for (const auto& setting : answer.settings()) {
    rows.emplace_back(setting.name(), setting.value() + "  (" + setting.rule() + ")");
  }
  print_rows(session_.out, session_.format(), rows);
  return {};
}

}  // namespace keystub::kmsctl
