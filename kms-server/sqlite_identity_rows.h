// What all statements about identities stand on: the row of an identity, the rule that a URI names
// one identity, and its parts (keys, names, memberships) put in one by one.
//
// Each runs inside a transaction that its caller opened. Putting a part in is no change yet:
// touch() makes it one. Errors are those of identity_store.h.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

// What the statements about an identity need of its row.
struct IdentityRow {
  std::int64_t id = 0;
  std::string uri;  // the canonical name
  IdentityKind kind = IdentityKind::user;
  std::int64_t change_sequence = 0;
};

std::unexpected<Error> no_identity(std::string_view uri);
std::unexpected<Error> too_many(const IdentityRow& row, std::size_t limit, std::string_view what);

// By any of its URIs.
Result<std::optional<IdentityRow>> look_up(SqliteDatabase& db, std::string_view uri);
// The same; not_found without one.
Result<IdentityRow> find_row(SqliteDatabase& db, std::string_view uri);
struct OwnedUri {
  std::string pattern;
  std::string owner;  // canonical name
};
// Whose pattern covers the URI.
Result<std::optional<OwnedUri>> find_pattern_of(SqliteDatabase& db, std::string_view uri);

// A change of the identity: its sequence.
Result<std::int64_t> touch(SqliteDatabase& db, const IdentityRow& row, std::int64_t now);
// How many rows `sql` counts for one identity.
Result<std::size_t> count(SqliteDatabase& db, SqlLiteral sql, std::int64_t identity);
// What a prefix search ends before: the prefix with its last octet that can grow, grown.
std::string end_of_prefix(std::string_view prefix);

// A new identity, as its first change.
Result<IdentityRow> insert_identity(SqliteDatabase& db, std::string_view uri, IdentityKind kind,
                                    IdentityState state, std::int64_t now);
// conflict for a group.
Result<void> check_may_have_keys(const IdentityRow& row);
// Adds the key, or replaces the one of this identity with the same id. Its change is the row's.
Result<void> upsert_psk(SqliteDatabase& db, const IdentityRow& row, const WrappedPsk& psk,
                        std::int64_t now);
Result<void> insert_alias(SqliteDatabase& db, const IdentityRow& row, std::string_view alias);
Result<void> insert_pattern(SqliteDatabase& db, const IdentityRow& row, std::string_view pattern);
Result<void> insert_membership(SqliteDatabase& db, const IdentityRow& group,
                               const IdentityRow& member);

}  // namespace keystub::kms::sql
