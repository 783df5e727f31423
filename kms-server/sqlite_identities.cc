#include "kms-server/sqlite_identities.h"

#include <fmt/format.h>

#include <algorithm>

#include "kms-server/sqlite_policy.h"
#include "kms-server/sqlite_revocations.h"
#include "kms-server/sqlite_tpks.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms::sql {
namespace {

// What the statements about an identity need of its row.
struct Row {
  std::int64_t id = 0;
  std::string uri;  // the canonical name
  IdentityKind kind = IdentityKind::user;
};

std::unexpected<Error> no_identity(std::string_view uri) {
  return fail(Category::not_found, fmt::format("there is no identity {}", uri));
}

std::unexpected<Error> too_many(const Row& row, std::size_t limit, std::string_view what) {
  return fail(Category::conflict, fmt::format("{} has {} {}: it cannot have more, remove one first",
                                              row.uri, limit, what));
}

// By any of its URIs.
Result<std::optional<Row>> look_up(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select =
      TRY(db.prepare("SELECT id, uri, kind FROM identities WHERE uri = ?1 UNION ALL "
                     "SELECT i.id, i.uri, i.kind FROM aliases AS a JOIN identities AS i "
                     "ON i.id = a.identity_id WHERE a.uri = ?1"));
  if (!TRY(select.bind(1, uri).step())) return std::optional<Row>();
  return std::optional<Row>(Row{select.integer(0), std::string(select.text(1)),
                                static_cast<IdentityKind>(select.integer(2))});
}

Result<Row> find_row(SqliteDatabase& db, std::string_view uri) {
  auto row = TRY(look_up(db, uri));
  if (!row) return no_identity(uri);
  return std::move(*row);
}

Result<std::int64_t> touch(SqliteDatabase& db, const Row& row, std::int64_t now) {
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(row.uri)));
  SqliteStatement update =
      TRY(db.prepare("UPDATE identities SET updated_ms = ?2, change_sequence = ?3 WHERE id = ?1"));
  TRY(update.bind(1, row.id).bind(2, now).bind(3, sequence).run());
  return sequence;
}

// What is cached of a member says which of its groups are active.
Result<void> touch_members(SqliteDatabase& db, const Row& group, std::int64_t now) {
  std::vector<Row> members;
  {
    SqliteStatement select =
        TRY(db.prepare("SELECT i.id, i.uri FROM group_members AS m JOIN identities AS i "
                       "ON i.id = m.member_id WHERE m.group_id = ?1"));
    select.bind(1, group.id);
    while (TRY(select.step())) {
      members.push_back({select.integer(0), std::string(select.text(1)), IdentityKind::user});
    }
  }
  for (const Row& member : members) TRY(touch(db, member, now));
  return {};
}

// How many rows `sql` counts for one identity.
Result<std::size_t> count(SqliteDatabase& db, SqlLiteral sql, std::int64_t identity) {
  SqliteStatement select = TRY(db.prepare(sql));
  TRY(select.bind(1, identity).step());
  return static_cast<std::size_t>(select.integer(0));
}

struct OwnedUri {
  std::string pattern;
  std::string owner;  // canonical name
};

// Whose pattern covers the URI.
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

// What a prefix search ends before: the prefix with its last octet that can grow, grown.
std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
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

Result<void> upsert_psk(SqliteDatabase& db, std::int64_t identity, const WrappedPsk& psk,
                        std::int64_t now, std::int64_t sequence) {
  SqliteStatement upsert = TRY(db.prepare(
      "INSERT INTO psks (psk_id, identity_id, wrapped, created_ms, change_sequence, expires_ms) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (psk_id) DO UPDATE SET "
      "wrapped = excluded.wrapped, created_ms = excluded.created_ms, "
      "change_sequence = excluded.change_sequence, expires_ms = excluded.expires_ms "
      "WHERE identity_id = excluded.identity_id"));
  upsert.bind(1, Bytes(psk.id))
      .bind(2, identity)
      .bind(3, Bytes(psk.wrapped))
      .bind(4, now)
      .bind(5, sequence);
  if (psk.expires) upsert.bind(6, to_ms(*psk.expires));
  TRY(upsert.run());
  if (db.changed_rows() == 0) {
    return fail(Category::conflict, "another identity has a pre-shared key with this id");
  }
  return {};
}

// What stands in other tables, in one statement: most identities have a key and nothing else.
Result<void> read_parts(SqliteDatabase& db, std::int64_t id, Identity& identity) {
  SqliteStatement row = TRY(db.prepare(
      "SELECT 1, uri, NULL, NULL FROM aliases WHERE identity_id = ?1 UNION ALL "
      "SELECT 2, pattern, NULL, NULL FROM owned_patterns WHERE identity_id = ?1 UNION ALL "
      "SELECT 3, psk_id, wrapped, expires_ms FROM psks WHERE identity_id = ?1 UNION ALL "
      "SELECT 4, tpk_id, wrapped, NULL FROM tpks WHERE owner_id = ?1 UNION ALL "
      "SELECT 5, g.uri, NULL, g.state FROM group_members AS m JOIN identities AS g "
      "ON g.id = m.group_id WHERE m.member_id = ?1 UNION ALL "
      "SELECT 6, fingerprint, der, NULL FROM certificates WHERE identity_id = ?1"));
  row.bind(1, id);
  while (TRY(row.step())) {
    switch (row.integer(0)) {
      case 1: identity.aliases.emplace_back(row.text(1)); break;
      case 2: identity.owned_patterns.emplace_back(row.text(1)); break;
      case 3: {
        WrappedPsk psk{to_vector(row.blob(1)), to_vector(row.blob(2)), {}};
        if (!row.is_null(3)) psk.expires = from_ms(row.integer(3));
        identity.psks.push_back(std::move(psk));
        break;
      }
      case 4:
        identity.shared_tpks.push_back({to_vector(row.blob(1)), to_vector(row.blob(2))});
        break;
      case 5:
        identity.groups.push_back({std::string(row.text(1)), static_cast<IdentityState>(row.integer(
                                                                 3)) == IdentityState::active});
        break;
      default:
        identity.certificates.push_back({to_vector(row.blob(1)), to_vector(row.blob(2))});
        break;
    }
  }
  std::ranges::sort(identity.aliases);
  std::ranges::sort(identity.owned_patterns);
  std::ranges::sort(identity.psks, {}, &WrappedPsk::id);
  std::ranges::sort(identity.shared_tpks, {}, &WrappedKey::id);
  std::ranges::sort(identity.groups, {}, &GroupMembership::group);
  std::ranges::sort(identity.certificates, {}, &PinnedCertificate::fingerprint);
  return {};
}

// `row`: id, uri, kind, state, created_ms, updated_ms, change_sequence.
Result<Identity> read_identity(SqliteDatabase& db, const SqliteStatement& row) {
  Identity identity;
  identity.uri = row.text(1);
  identity.kind = static_cast<IdentityKind>(row.integer(2));
  identity.state = static_cast<IdentityState>(row.integer(3));
  identity.created = from_ms(row.integer(4));
  identity.updated = from_ms(row.integer(5));
  identity.change_sequence = static_cast<std::uint64_t>(row.integer(6));
  TRY(read_parts(db, row.integer(0), identity));
  return identity;
}

}  // namespace

// ---------------------------------------------------------------------------------------- reading

Result<Identity> select_identity(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE uri = ?1 UNION ALL "
      "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, i.change_sequence "
      "FROM aliases AS a JOIN identities AS i ON i.id = a.identity_id WHERE a.uri = ?1"));
  if (!TRY(select.bind(1, uri).step())) return no_identity(uri);
  return read_identity(db, select);
}

Result<Identity> select_identity_of_psk(SqliteDatabase& db, Bytes psk_id) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, i.change_sequence "
      "FROM psks AS p JOIN identities AS i ON i.id = p.identity_id WHERE p.psk_id = ?1"));
  if (!TRY(select.bind(1, psk_id).step())) {
    return fail(Category::not_found, "there is no pre-shared key with this id");
  }
  return read_identity(db, select);
}

Result<Identity> select_owner(SqliteDatabase& db, std::string_view uri) {
  const auto owned = TRY(find_pattern_of(db, uri));
  if (!owned) return fail(Category::not_found, fmt::format("nobody owns {}", uri));
  return select_identity(db, owned->owner);
}

Result<IdentityPage> select_identities(SqliteDatabase& db, std::string_view prefix,
                                       std::string_view after, std::size_t limit) {
  const std::string end = end_of_prefix(prefix);
  SqliteStatement select = TRY(db.prepare(
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE uri >= ?1 AND (?2 = '' OR uri < ?2) AND uri > ?3 ORDER BY uri LIMIT ?4"));
  select.bind(1, prefix)
      .bind(2, std::string_view(end))
      .bind(3, after)
      .bind(4, static_cast<std::int64_t>(limit) + 1);
  IdentityPage page;
  while (TRY(select.step())) {
    if (page.identities.size() == limit) {
      page.more = true;
      break;
    }
    page.identities.push_back(TRY(read_identity(db, select)));
  }
  return page;
}

Result<MemberPage> select_members(SqliteDatabase& db, std::string_view group,
                                  std::string_view after, std::size_t limit) {
  const Row row = TRY(find_row(db, group));
  if (row.kind != IdentityKind::group) {
    return fail(Category::conflict, fmt::format("{} is not a group: it has no members", row.uri));
  }
  SqliteStatement select = TRY(
      db.prepare("SELECT i.uri FROM group_members AS m JOIN identities AS i ON i.id = m.member_id "
                 "WHERE m.group_id = ?1 AND i.uri > ?2 ORDER BY i.uri LIMIT ?3"));
  select.bind(1, row.id).bind(2, after).bind(3, static_cast<std::int64_t>(limit) + 1);
  MemberPage page;
  while (TRY(select.step())) {
    if (page.uris.size() == limit) {
      page.more = true;
      break;
    }
    page.uris.emplace_back(select.text(0));
  }
  return page;
}

// --------------------------------------------------------------------------------------- identity

Result<Identity> create_identity(SqliteDatabase& db, std::string_view uri, IdentityKind kind,
                                 const std::optional<WrappedPsk>& psk, std::int64_t now) {
  TRY(check_uri_is_free(db, uri));
  const std::int64_t sequence = TRY(next_change(db, ChangeSubject::identity, as_bytes(uri)));
  std::int64_t id = 0;
  {
    SqliteStatement insert = TRY(db.prepare(
        "INSERT INTO identities (uri, kind, state, created_ms, updated_ms, change_sequence) "
        "VALUES (?1, ?2, 1, ?3, ?3, ?4) RETURNING id"));
    TRY(insert.bind(1, uri)
            .bind(2, std::int64_t{static_cast<std::uint8_t>(kind)})
            .bind(3, now)
            .bind(4, sequence)
            .step());
    id = insert.integer(0);
  }
  if (psk) TRY(upsert_psk(db, id, *psk, now, sequence));
  return select_identity(db, uri);
}

Result<Identity> set_identity_state(SqliteDatabase& db, std::string_view uri, IdentityState state,
                                    std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  Identity before = TRY(select_identity(db, row.uri));
  if (before.state == state) return before;
  TRY(touch(db, row, now));
  if (state == IdentityState::suspended) TRY(enter_revoked_identity(db, before, now));
  {
    SqliteStatement update = TRY(db.prepare("UPDATE identities SET state = ?2 WHERE id = ?1"));
    TRY(update.bind(1, row.id).bind(2, std::int64_t{static_cast<std::uint8_t>(state)}).run());
  }
  if (row.kind == IdentityKind::group) TRY(touch_members(db, row, now));
  return select_identity(db, row.uri);
}

Result<void> remove_identity(SqliteDatabase& db, std::string_view uri, std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  if (row.kind == IdentityKind::group) TRY(touch_members(db, row, now));
  TRY(remove_rules_of(db, row.uri));
  TRY(next_change(db, ChangeSubject::identity, as_bytes(row.uri)));
  TRY(enter_revoked_identity(db, TRY(select_identity(db, row.uri)), now));
  SqliteStatement erase = TRY(db.prepare("DELETE FROM identities WHERE id = ?1"));
  return erase.bind(1, row.id).run();
}

// ------------------------------------------------------------------------------------------- keys

Result<Identity> set_psk(SqliteDatabase& db, std::string_view uri, const WrappedPsk& psk,
                         std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  const std::int64_t sequence = TRY(touch(db, row, now));
  {
    SqliteStatement purge =
        TRY(db.prepare("DELETE FROM psks WHERE identity_id = ?1 AND expires_ms <= ?2"));
    TRY(purge.bind(1, row.id).bind(2, now).run());
  }
  TRY(upsert_psk(db, row.id, psk, now, sequence));
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM psks WHERE identity_id = ?1", row.id));
  if (held > kMaxPsks) return too_many(row, kMaxPsks, "pre-shared keys");
  return select_identity(db, row.uri);
}

Result<Identity> remove_psk(SqliteDatabase& db, std::string_view uri, Bytes psk_id,
                            std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM psks WHERE psk_id = ?1 AND identity_id = ?2"));
    TRY(erase.bind(1, psk_id).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found, fmt::format("{} has no pre-shared key with this id", row.uri));
  }
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> share_tpk(SqliteDatabase& db, std::string_view uri, const WrappedKey& tpk,
                           std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  const std::int64_t sequence = TRY(touch(db, row, now));
  TRY(insert_tpk(db, row.id, tpk, TpkState::active, now, sequence));
  return select_identity(db, row.uri);
}

Result<std::size_t> unshare_tpk(SqliteDatabase& db, std::string_view uri, Bytes tpk_id,
                                std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  std::vector<ByteVector> removed;
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM tpks WHERE owner_id = ?1 AND (length(?2) = 0 OR tpk_id = ?2) "
                       "RETURNING tpk_id"));
    erase.bind(1, row.id).bind(2, tpk_id);
    while (TRY(erase.step())) removed.push_back(to_vector(erase.blob(0)));
  }
  for (const ByteVector& id : removed) TRY(enter_revoked_tpk(db, id, now));
  if (!removed.empty()) TRY(touch(db, row, now));
  return removed.size();
}

Result<Identity> add_certificate(SqliteDatabase& db, std::string_view uri,
                                 const PinnedCertificate& certificate, std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  {
    SqliteStatement taken =
        TRY(db.prepare("SELECT i.uri FROM certificates AS c JOIN identities AS i "
                       "ON i.id = c.identity_id WHERE c.fingerprint = ?1"));
    if (TRY(taken.bind(1, Bytes(certificate.fingerprint)).step())) {
      return fail(Category::conflict,
                  fmt::format("this certificate is pinned for {} already", taken.text(0)));
    }
  }
  {
    SqliteStatement insert =
        TRY(db.prepare("INSERT INTO certificates (fingerprint, identity_id, der, created_ms) "
                       "VALUES (?1, ?2, ?3, ?4)"));
    TRY(insert.bind(1, Bytes(certificate.fingerprint))
            .bind(2, row.id)
            .bind(3, Bytes(certificate.der))
            .bind(4, now)
            .run());
  }
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM certificates WHERE identity_id = ?1", row.id));
  if (held > kMaxCertificates) return too_many(row, kMaxCertificates, "pinned certificates");
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_certificate(SqliteDatabase& db, std::string_view uri, Bytes fingerprint,
                                    std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM certificates WHERE fingerprint = ?1 AND identity_id = ?2"));
    TRY(erase.bind(1, fingerprint).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found,
                fmt::format("no certificate with this fingerprint is pinned for {}", row.uri));
  }
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

// ------------------------------------------------------------------------------------------ names

Result<Identity> add_alias(SqliteDatabase& db, std::string_view uri, std::string_view alias,
                           std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  TRY(check_uri_is_free(db, alias));
  {
    SqliteStatement insert =
        TRY(db.prepare("INSERT INTO aliases (uri, identity_id) VALUES (?1, ?2)"));
    TRY(insert.bind(1, alias).bind(2, row.id).run());
  }
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM aliases WHERE identity_id = ?1", row.id));
  if (held > kMaxAliases) return too_many(row, kMaxAliases, "aliases");
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_alias(SqliteDatabase& db, std::string_view uri, std::string_view alias,
                              std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  if (row.uri == alias) {
    return fail(Category::conflict,
                fmt::format("{} is the canonical name: delete the identity instead", alias));
  }
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM aliases WHERE uri = ?1 AND identity_id = ?2"));
    TRY(erase.bind(1, alias).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found, fmt::format("{} is no alias of {}", alias, row.uri));
  }
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> add_pattern(SqliteDatabase& db, std::string_view uri, std::string_view pattern,
                             std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
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
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_pattern(SqliteDatabase& db, std::string_view uri, std::string_view pattern,
                                std::int64_t now) {
  const Row row = TRY(find_row(db, uri));
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM owned_patterns WHERE pattern = ?1 AND identity_id = ?2"));
    TRY(erase.bind(1, pattern).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found, fmt::format("{} does not own {}", row.uri, pattern));
  }
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

// ----------------------------------------------------------------------------------------- groups

Result<Identity> add_member(SqliteDatabase& db, std::string_view group, std::string_view member,
                            std::int64_t now) {
  const Row group_row = TRY(find_row(db, group));
  const Row row = TRY(find_row(db, member));
  if (group_row.kind != IdentityKind::group) {
    return fail(Category::conflict,
                fmt::format("{} is not a group: it has no members", group_row.uri));
  }
  if (row.kind == IdentityKind::group) {
    return fail(Category::conflict,
                fmt::format("{} is a group: add its members, groups do not nest", row.uri));
  }
  {
    SqliteStatement insert = TRY(
        db.prepare("INSERT OR IGNORE INTO group_members (group_id, member_id) VALUES (?1, ?2)"));
    TRY(insert.bind(1, group_row.id).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::conflict,
                fmt::format("{} is a member of {} already", row.uri, group_row.uri));
  }
  const std::size_t members =
      TRY(count(db, "SELECT count(*) FROM group_members WHERE group_id = ?1", group_row.id));
  if (members > kMaxMembersOfGroup) return too_many(group_row, kMaxMembersOfGroup, "members");
  const std::size_t groups =
      TRY(count(db, "SELECT count(*) FROM group_members WHERE member_id = ?1", row.id));
  if (groups > kMaxGroupsOfMember) return too_many(row, kMaxGroupsOfMember, "groups");
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_member(SqliteDatabase& db, std::string_view group, std::string_view member,
                               std::int64_t now) {
  const Row group_row = TRY(find_row(db, group));
  const Row row = TRY(find_row(db, member));
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM group_members WHERE group_id = ?1 AND member_id = ?2"));
    TRY(erase.bind(1, group_row.id).bind(2, row.id).run());
  }
  if (db.changed_rows() == 0) {
    return fail(Category::not_found, fmt::format("{} is no member of {}", row.uri, group_row.uri));
  }
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

}  // namespace keystub::kms::sql
