#include "kms-server/sqlite_identity_rows.h"

#include <fmt/format.h>

#include "kms-server/uri_pattern.h"

namespace keystub::kms::sql {
namespace {

// A URI names one identity, and nobody's pattern covers it.
Result<void> check_uri_is_free(SqliteDatabase& db, std::string_view uri) {
  if (const auto taken = TRY(look_up(db, uri))) {
    return fail(Category::conflict, taken->uri == uri
                                        ? fmt::format("there is an identity {} already", uri)
                                        : fmt::format("{} is an alias of {}", uri, taken->uri));
  }
  if (const auto owned = TRY(find_pattern_of(db, uri))) {
    return fail(Category::conflict, fmt::format("{} is one of the URIs {} that {} owns", uri,
                                                owned->pattern, owned->owner));
  }
  return {};
}

Result<void> check_pattern_covers_nobody(SqliteDatabase& db, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  const std::string_view prefix = pattern.substr(0, star);
  const std::string_view suffix = pattern.substr(star + 1);
  const std::string end = end_of_prefix(prefix);
  SqliteStatement select = TRY(db.prepare(
      "SELECT uri FROM (SELECT uri FROM identities WHERE uri >= ?1 AND uri < ?2 UNION ALL "
      "SELECT uri FROM aliases WHERE uri >= ?1 AND uri < ?2) "
      "WHERE substr(uri, length(uri) - length(?3) + 1) = ?3 AND length(uri) >= ?4 LIMIT 1"));
  if (TRY(select.bind(1, prefix)
              .bind(2, std::string_view(end))
              .bind(3, suffix)
              .bind(4, static_cast<std::int64_t>(pattern.size()))
              .step())) {
    return fail(Category::conflict,
                fmt::format("{} covers {}, which has keys of its own: choose a pattern that covers "
                            "no identity",
                            pattern, select.text(0)));
  }
  return {};
}

}  // namespace

std::unexpected<Error> no_identity(std::string_view uri) {
  return fail(Category::not_found, fmt::format("there is no identity {}", uri));
}

std::unexpected<Error> too_many(const IdentityRow& row, std::size_t limit, std::string_view what) {
  return fail(Category::conflict, fmt::format("{} has {} {}: it cannot have more, remove one first",
                                              row.uri, limit, what));
}

Result<std::optional<IdentityRow>> look_up(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select =
      TRY(db.prepare("SELECT id, uri, kind, change_sequence FROM identities WHERE uri = ?1 "
                     "UNION ALL SELECT i.id, i.uri, i.kind, i.change_sequence FROM aliases AS a "
                     "JOIN identities AS i ON i.id = a.identity_id WHERE a.uri = ?1"));
  if (!TRY(select.bind(1, uri).step())) return std::optional<IdentityRow>();
  return std::optional<IdentityRow>(IdentityRow{select.integer(0), std::string(select.text(1)),
                                                static_cast<IdentityKind>(select.integer(2)),
                                                select.integer(3)});
}

Result<IdentityRow> find_row(SqliteDatabase& db, std::string_view uri) {
  auto row = TRY(look_up(db, uri));
  if (!row) return no_identity(uri);
  return std::move(*row);
}

Result<std::optional<OwnedUri>> find_pattern_of(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select =
      TRY(db.prepare("SELECT p.pattern, i.uri FROM owned_patterns AS p JOIN identities AS i "
                     "ON i.id = p.identity_id WHERE p.host = ?1"));
  select.bind(1, host_of(uri));
  while (TRY(select.step())) {
    if (covers(select.text(0), uri)) {
      return std::optional(OwnedUri{std::string(select.text(0)), std::string(select.text(1))});
    }
  }
  return std::optional<OwnedUri>();
}

Result<std::int64_t> touch(SqliteDatabase& db, const IdentityRow& row, std::int64_t now) {
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(row.uri)));
  SqliteStatement update =
      TRY(db.prepare("UPDATE identities SET updated_ms = ?2, change_sequence = ?3 WHERE id = ?1"));
  TRY(update.bind(1, row.id).bind(2, now).bind(3, sequence).run());
  return sequence;
}

Result<std::size_t> count(SqliteDatabase& db, SqlLiteral sql, std::int64_t identity) {
  SqliteStatement select = TRY(db.prepare(sql));
  TRY(select.bind(1, identity).step());
  return static_cast<std::size_t>(select.integer(0));
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

Result<IdentityRow> insert_identity(SqliteDatabase& db, std::string_view uri, IdentityKind kind,
                                    IdentityState state, std::int64_t now) {
  TRY(check_uri_is_free(db, uri));
  IdentityRow row;
  row.uri = uri;
  row.kind = kind;
  row.change_sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(uri)));
  SqliteStatement insert = TRY(db.prepare(
      "INSERT INTO identities (uri, kind, state, created_ms, updated_ms, change_sequence) "
      "VALUES (?1, ?2, ?3, ?4, ?4, ?5) RETURNING id"));
  TRY(insert.bind(1, uri)
          .bind(2, std::int64_t{static_cast<std::uint8_t>(kind)})
          .bind(3, std::int64_t{static_cast<std::uint8_t>(state)})
          .bind(4, now)
          .bind(5, row.change_sequence)
          .step());
  row.id = insert.integer(0);
  return row;
}

Result<void> check_may_have_keys(const IdentityRow& row) {
  if (row.kind != IdentityKind::group) return {};
  return fail(Category::conflict,
              fmt::format("{} is a group: it has no keys, its members have", row.uri));
}

Result<void> upsert_psk(SqliteDatabase& db, const IdentityRow& row, const WrappedPsk& psk,
                        std::int64_t now) {
  TRY(check_may_have_keys(row));
  SqliteStatement upsert = TRY(db.prepare(
      "INSERT INTO psks (psk_id, identity_id, wrapped, created_ms, change_sequence, expires_ms) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (psk_id) DO UPDATE SET "
      "wrapped = excluded.wrapped, created_ms = excluded.created_ms, "
      "change_sequence = excluded.change_sequence, expires_ms = excluded.expires_ms "
      "WHERE identity_id = excluded.identity_id"));
  upsert.bind(1, Bytes(psk.id))
      .bind(2, row.id)
      .bind(3, Bytes(psk.wrapped))
      .bind(4, now)
      .bind(5, row.change_sequence);
  if (psk.expires) upsert.bind(6, to_ms(*psk.expires));
  TRY(upsert.run());
  if (db.changed_rows() == 0) {
    return fail(Category::conflict, "another identity has a pre-shared key with this id");
  }
  return {};
}

Result<void> insert_alias(SqliteDatabase& db, const IdentityRow& row, std::string_view alias) {
  TRY(check_uri_is_free(db, alias));
  {
    SqliteStatement insert =
        TRY(db.prepare("INSERT INTO aliases (uri, identity_id) VALUES (?1, ?2)"));
    TRY(insert.bind(1, alias).bind(2, row.id).run());
  }
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM aliases WHERE identity_id = ?1", row.id));
  if (held > kMaxAliases) return too_many(row, kMaxAliases, "aliases");
  return {};
}

Result<void> insert_pattern(SqliteDatabase& db, const IdentityRow& row, std::string_view pattern) {
  {
    SqliteStatement taken =
        TRY(db.prepare("SELECT i.uri FROM owned_patterns AS p JOIN identities AS i "
                       "ON i.id = p.identity_id WHERE p.pattern = ?1"));
    if (TRY(taken.bind(1, pattern).step())) {
      return fail(Category::conflict, fmt::format("{} owns {} already", taken.text(0), pattern));
    }
  }
  TRY(check_pattern_covers_nobody(db, pattern));
  {
    SqliteStatement insert = TRY(
        db.prepare("INSERT INTO owned_patterns (pattern, host, identity_id) VALUES (?1, ?2, ?3)"));
    TRY(insert.bind(1, pattern).bind(2, host_of(pattern)).bind(3, row.id).run());
  }
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM owned_patterns WHERE identity_id = ?1", row.id));
  if (held > kMaxOwnedPatterns) return too_many(row, kMaxOwnedPatterns, "patterns");
  return {};
}

Result<void> insert_membership(SqliteDatabase& db, const IdentityRow& group,
                               const IdentityRow& member) {
  if (group.kind != IdentityKind::group) {
    return fail(Category::conflict, fmt::format("{} is not a group: it has no members", group.uri));
  }
  if (member.kind == IdentityKind::group) {
    return fail(Category::conflict,
                fmt::format("{} is a group: add its members, groups do not nest", member.uri));
  }
  {
    SqliteStatement insert = TRY(
        db.prepare("INSERT OR IGNORE INTO group_members (group_id, member_id) VALUES (?1, ?2)"));
    TRY(insert.bind(1, group.id).bind(2, member.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::conflict,
                fmt::format("{} is a member of {} already", member.uri, group.uri));
  }
  const std::size_t members =
      TRY(count(db, "SELECT count(*) FROM group_members WHERE group_id = ?1", group.id));
  if (members > kMaxMembersOfGroup) return too_many(group, kMaxMembersOfGroup, "members");
  const std::size_t groups =
      TRY(count(db, "SELECT count(*) FROM group_members WHERE member_id = ?1", member.id));
  if (groups > kMaxGroupsOfMember) return too_many(member, kMaxGroupsOfMember, "groups");
  return {};
}

}  // namespace keystub::kms::sql
