// The statements of SqliteStore about the rules of the policy. Each runs inside a transaction that
// its caller opened.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

Result<std::vector<PolicyRule>> select_rules(SqliteDatabase& db);
// The identity or group of the rule must exist (not_found) and be no group or a group (conflict).
Result<PolicyRule> set_rule(SqliteDatabase& db, PolicyRule rule, std::int64_t now);
Result<void> remove_rule(SqliteDatabase& db, RuleScope scope, std::string_view subject);
// With their identity or group; success also when there was none.
Result<void> remove_rules_of(SqliteDatabase& db, std::string_view uri);

}  // namespace keystub::kms::sql
