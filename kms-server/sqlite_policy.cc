#include "kms-server/sqlite_policy.h"

#include <fmt/format.h>

namespace keystub::kms::sql {
namespace {

// Entries have no line breaks (checked_rule). An empty list is not the same as none.
std::string joined(const PolicyRule::List& list) {
  std::string text;
  for (const std::string& entry : list) text.append(entry).append("\n");
  return text;
}

PolicyRule::List split(std::string_view text) {
  PolicyRule::List list;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    list.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return list;
}

// The columns of the values, from 2 on; of parameters from 3 on.
constexpr std::optional<PolicyRule::List> PolicyRule::* kLists[] = {
    &PolicyRule::responders, &PolicyRule::initiators, &PolicyRule::applications,
    &PolicyRule::ticket_types, &PolicyRule::suites};
constexpr std::optional<bool> PolicyRule::* kBooleans[] = {
    &PolicyRule::require_forking, &PolicyRule::allow_reuse, &PolicyRule::allow_mode3};

PolicyRule read_rule(const SqliteStatement& row) {
  PolicyRule rule;
  rule.scope = static_cast<RuleScope>(row.integer(0));
  rule.subject = row.text(1);
  int column = 2;
  for (const auto list : kLists) {
    if (!row.is_null(column)) rule.*list = split(row.text(column));
    ++column;
  }
  for (const auto boolean : kBooleans) {
    if (!row.is_null(column)) rule.*boolean = row.integer(column) != 0;
    ++column;
  }
  if (!row.is_null(column)) rule.max_keys = static_cast<std::uint32_t>(row.integer(column));
  ++column;
  for (const auto validity : {&PolicyRule::max_validity, &PolicyRule::default_validity}) {
    if (!row.is_null(column)) rule.*validity = std::chrono::milliseconds(row.integer(column));
    ++column;
  }
  rule.updated = from_ms(row.integer(column));
  return rule;
}

Result<void> check_subject(SqliteDatabase& db, const PolicyRule& rule) {
  if (rule.scope != RuleScope::identity && rule.scope != RuleScope::group) return {};
  SqliteStatement select = TRY(db.prepare("SELECT kind FROM identities WHERE uri = ?1"));
  if (!TRY(select.bind(1, std::string_view(rule.subject)).step())) {
    return fail(Category::not_found,
                fmt::format("there is no identity whose canonical name is {}", rule.subject));
  }
  const bool group = static_cast<IdentityKind>(select.integer(0)) == IdentityKind::group;
  if (group == (rule.scope == RuleScope::group)) return {};
  return fail(Category::conflict,
              rule.subject + (group ? " is a group: make a rule for a group"
                                    : " is no group: make a rule for an identity"));
}

}  // namespace

Result<std::vector<PolicyRule>> select_rules(SqliteDatabase& db) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT scope, subject, responders, initiators, applications, ticket_types, suites, "
      "require_forking, allow_reuse, allow_mode3, max_keys, max_validity_ms, "
      "default_validity_ms, updated_ms FROM policy_rules ORDER BY scope, subject"));
  std::vector<PolicyRule> rules;
  while (TRY(select.step())) rules.push_back(read_rule(select));
  return rules;
}

Result<PolicyRule> set_rule(SqliteDatabase& db, PolicyRule rule, std::int64_t now) {
  TRY(check_subject(db, rule));
  TRY(next_change(db, ChangeSubject::policy_rule, as_bytes(rule_name(rule.scope, rule.subject))));
  std::string lists[std::size(kLists)];
  {
    SqliteStatement insert = TRY(db.prepare(
        "INSERT OR REPLACE INTO policy_rules (scope, subject, responders, initiators, "
        "applications, ticket_types, suites, require_forking, allow_reuse, allow_mode3, max_keys, "
        "max_validity_ms, default_validity_ms, updated_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"));
    insert.bind(1, std::int64_t{static_cast<std::uint8_t>(rule.scope)})
        .bind(2, std::string_view(rule.subject))
        .bind(14, now);
    int parameter = 3;
    for (std::size_t i = 0; i < std::size(kLists); ++i, ++parameter) {
      if (!(rule.*kLists[i])) continue;
      lists[i] = joined(*(rule.*kLists[i]));
      insert.bind(parameter, std::string_view(lists[i]));
    }
    for (const auto boolean : kBooleans) {
      if (rule.*boolean) insert.bind(parameter, std::int64_t{*(rule.*boolean)});
      ++parameter;
    }
    if (rule.max_keys) insert.bind(parameter, std::int64_t{*rule.max_keys});
    ++parameter;
    for (const auto validity : {&PolicyRule::max_validity, &PolicyRule::default_validity}) {
      if (rule.*validity) insert.bind(parameter, std::int64_t{(rule.*validity)->count()});
      ++parameter;
    }
    TRY(insert.run());
  }
  SqliteStatement count = TRY(db.prepare("SELECT count(*) FROM policy_rules"));
  TRY(count.step());
  if (count.integer(0) > static_cast<std::int64_t>(kMaxRules)) {
    return fail(Category::conflict,
                fmt::format("there are {} rules: use groups and domains", kMaxRules));
  }
  rule.updated = from_ms(now);
  return rule;
}

Result<void> remove_rule(SqliteDatabase& db, RuleScope scope, std::string_view subject) {
  const std::string name = rule_name(scope, std::string(subject));
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM policy_rules WHERE scope = ?1 AND subject = ?2"));
    TRY(erase.bind(1, std::int64_t{static_cast<std::uint8_t>(scope)}).bind(2, subject).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found, fmt::format("there is no rule \"{}\"", name));
  }
  TRY(next_change(db, ChangeSubject::policy_rule, as_bytes(name)));
  return {};
}

Result<void> remove_rules_of(SqliteDatabase& db, std::string_view uri) {
  for (const RuleScope scope : {RuleScope::identity, RuleScope::group}) {
    auto removed = remove_rule(db, scope, uri);
    if (!removed && removed.error().category() != Category::not_found) return removed;
  }
  return {};
}

}  // namespace keystub::kms::sql
