#include "kms-server/sqlite_identities.h"

#include <fmt/format.h>

#include <algorithm>

#include "kms-server/sqlite_identity_rows.h"
#include "kms-server/sqlite_policy.h"
#include "kms-server/sqlite_revocations.h"
#include "kms-server/sqlite_tpks.h"

namespace keystub::kms::sql {
namespace {

// What is cached of a member says which of its groups are active.
Result<void> touch_members(SqliteDatabase& db, const IdentityRow& group, std::int64_t now) {
  std::vector<IdentityRow> members;
  {
    SqliteStatement select =
        TRY(db.prepare("SELECT i.id, i.uri FROM group_members AS m JOIN identities AS i "
                       "ON i.id = m.member_id WHERE m.group_id = ?1"));
    select.bind(1, group.id);
    while (TRY(select.step())) {
      members.push_back({select.integer(0), std::string(select.text(1)), IdentityKind::user});
    }
  }
  for (const IdentityRow& member : members) TRY(touch(db, member, now));
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

// What a reading costs that finds somebody: of a neighbour, the first that `sql` selects from ?1
// on. Senders are looked up before they have proved anything, and must not learn by the time it
// takes who is there.
template <class Wanted>
Result<void> spend_a_reading(SqliteDatabase& db, SqlLiteral sql, Wanted wanted) {
  SqliteStatement neighbour = TRY(db.prepare(sql));
  if (!TRY(neighbour.bind(1, wanted).step())) return {};
  TRY(read_identity(db, neighbour));
  return {};
}

// Of the identities that `sql` selects: ?1 prefix, ?2 its end, ?3 after, ?4 how many.
Result<IdentityPage> read_page(SqliteDatabase& db, SqlLiteral sql, std::string_view prefix,
                               std::string_view after, std::size_t limit) {
  const std::string end = end_of_prefix(prefix);
  SqliteStatement select = TRY(db.prepare(sql));
  // One lower bound: with two SQLite may begin at the smaller and walk over all pages before.
  select.bind(1, std::max(prefix, after))
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

}  // namespace

// ---------------------------------------------------------------------------------------- reading

Result<Identity> select_identity(SqliteDatabase& db, std::string_view uri) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE uri = ?1 UNION ALL "
      "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, i.change_sequence "
      "FROM aliases AS a JOIN identities AS i ON i.id = a.identity_id WHERE a.uri = ?1"));
  if (TRY(select.bind(1, uri).step())) return read_identity(db, select);
  TRY(spend_a_reading(db,
                      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence "
                      "FROM identities WHERE uri >= ?1 ORDER BY uri LIMIT 1",
                      uri));
  return no_identity(uri);
}

Result<Identity> select_identity_of_psk(SqliteDatabase& db, Bytes psk_id) {
  SqliteStatement select = TRY(db.prepare(
      "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, i.change_sequence "
      "FROM psks AS p JOIN identities AS i ON i.id = p.identity_id WHERE p.psk_id = ?1"));
  if (TRY(select.bind(1, psk_id).step())) return read_identity(db, select);
  TRY(spend_a_reading(db,
                      "SELECT i.id, i.uri, i.kind, i.state, i.created_ms, i.updated_ms, "
                      "i.change_sequence FROM psks AS p JOIN identities AS i "
                      "ON i.id = p.identity_id WHERE p.psk_id >= ?1 ORDER BY p.psk_id LIMIT 1",
                      psk_id));
  return fail(Category::not_found, "there is no pre-shared key with this id");
}

Result<Identity> select_owner(SqliteDatabase& db, std::string_view uri) {
  const auto owned = TRY(find_pattern_of(db, uri));
  if (!owned) return fail(Category::not_found, fmt::format("nobody owns {}", uri));
  return select_identity(db, owned->owner);
}

Result<IdentityPage> select_identities(SqliteDatabase& db, std::string_view prefix,
                                       std::string_view after, std::size_t limit) {
  return read_page(
      db,
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE uri >= ?1 AND (?2 = '' OR uri < ?2) AND uri <> ?3 ORDER BY uri LIMIT ?4",
      prefix, after, limit);
}

Result<IdentityPage> select_groups(SqliteDatabase& db, std::string_view prefix,
                                   std::string_view after, std::size_t limit) {
  return read_page(
      db,
      "SELECT id, uri, kind, state, created_ms, updated_ms, change_sequence FROM identities "
      "WHERE kind = 4 AND uri >= ?1 AND (?2 = '' OR uri < ?2) AND uri <> ?3 ORDER BY uri LIMIT ?4",
      prefix, after, limit);
}

Result<MemberPage> select_members(SqliteDatabase& db, std::string_view group,
                                  std::string_view after, std::size_t limit) {
  const IdentityRow row = TRY(find_row(db, group));
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
  const IdentityRow row = TRY(insert_identity(db, uri, kind, IdentityState::active, now));
  if (psk) TRY(upsert_psk(db, row, *psk, now));
  return select_identity(db, uri);
}

Result<Identity> set_identity_state(SqliteDatabase& db, std::string_view uri, IdentityState state,
                                    std::int64_t now) {
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
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
  IdentityRow row = TRY(find_row(db, uri));
  row.change_sequence = TRY(touch(db, row, now));
  {
    SqliteStatement purge =
        TRY(db.prepare("DELETE FROM psks WHERE identity_id = ?1 AND expires_ms <= ?2"));
    TRY(purge.bind(1, row.id).bind(2, now).run());
  }
  TRY(upsert_psk(db, row, psk, now));
  const std::size_t held =
      TRY(count(db, "SELECT count(*) FROM psks WHERE identity_id = ?1", row.id));
  if (held > kMaxPsks) return too_many(row, kMaxPsks, "pre-shared keys");
  return select_identity(db, row.uri);
}

Result<Identity> remove_psk(SqliteDatabase& db, std::string_view uri, Bytes psk_id,
                            std::int64_t now) {
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
  TRY(check_may_have_keys(row));
  const std::int64_t sequence = TRY(touch(db, row, now));
  TRY(insert_tpk(db, row.id, tpk, TpkState::active, now, sequence));
  return select_identity(db, row.uri);
}

Result<std::size_t> unshare_tpk(SqliteDatabase& db, std::string_view uri, Bytes tpk_id,
                                std::int64_t now) {
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
  TRY(insert_alias(db, row, alias));
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_alias(SqliteDatabase& db, std::string_view uri, std::string_view alias,
                              std::int64_t now) {
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow row = TRY(find_row(db, uri));
  TRY(insert_pattern(db, row, pattern));
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_pattern(SqliteDatabase& db, std::string_view uri, std::string_view pattern,
                                std::int64_t now) {
  const IdentityRow row = TRY(find_row(db, uri));
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
  const IdentityRow group_row = TRY(find_row(db, group));
  const IdentityRow row = TRY(find_row(db, member));
  TRY(insert_membership(db, group_row, row));
  TRY(touch(db, row, now));
  return select_identity(db, row.uri);
}

Result<Identity> remove_member(SqliteDatabase& db, std::string_view group, std::string_view member,
                               std::int64_t now) {
  const IdentityRow group_row = TRY(find_row(db, group));
  const IdentityRow row = TRY(find_row(db, member));
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
