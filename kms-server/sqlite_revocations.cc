#include "kms-server/sqlite_revocations.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace keystub::kms::sql {
namespace {

// Columns of a revocation; to be followed by a WHERE.
#define SELECT_REVOCATION                                                       \
  "SELECT sequence, kind, subject, time_ms, limit_ms, aliases, owned_patterns " \
  "FROM revocations "

// Lists are kept as lines: no URI holds a line end.
std::string lines_of(const std::vector<std::string>& list) {
  return fmt::format("{}", fmt::join(list, "\n"));
}
std::vector<std::string> list_of(std::string_view lines) {
  std::vector<std::string> list;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    list.emplace_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return list;
}

// `row`: of SELECT_REVOCATION.
Revocation read_revocation(const SqliteStatement& row) {
  Revocation revocation;
  revocation.sequence = static_cast<std::uint64_t>(row.integer(0));
  revocation.kind = static_cast<RevocationKind>(row.integer(1));
  revocation.subject = to_vector(row.blob(2));
  revocation.time = from_ms(row.integer(3));
  if (!row.is_null(4)) revocation.limit = from_ms(row.integer(4));
  revocation.aliases = list_of(row.text(5));
  revocation.owned_patterns = list_of(row.text(6));
  return revocation;
}

Result<std::optional<Revocation>> find(SqliteDatabase& db, RevocationKind kind, Bytes subject) {
  SqliteStatement select = TRY(db.prepare(SELECT_REVOCATION "WHERE kind = ?1 AND subject = ?2"));
  select.bind(1, std::int64_t{static_cast<std::uint8_t>(kind)}).bind(2, subject);
  if (!TRY(select.step())) return std::optional<Revocation>();
  return std::optional(read_revocation(select));
}

// In the place of an earlier one of the same subject, under a sequence of its own.
Result<void> enter(SqliteDatabase& db, Revocation& revocation) {
  const std::int64_t sequence = TRY(next_sequence(db));
  revocation.sequence = static_cast<std::uint64_t>(sequence);
  const std::string aliases = lines_of(revocation.aliases);
  const std::string patterns = lines_of(revocation.owned_patterns);
  SqliteStatement insert =
      TRY(db.prepare("INSERT OR REPLACE INTO revocations "
                     "(sequence, kind, subject, time_ms, limit_ms, aliases, owned_patterns) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  insert.bind(1, sequence)
      .bind(2, std::int64_t{static_cast<std::uint8_t>(revocation.kind)})
      .bind(3, Bytes(revocation.subject))
      .bind(4, to_ms(revocation.time))
      .bind(6, std::string_view(aliases))
      .bind(7, std::string_view(patterns));
  if (revocation.limit) insert.bind(5, to_ms(*revocation.limit));
  return insert.run();
}

Result<void> raise_floor(SqliteDatabase& db, std::int64_t sequence) {
  SqliteStatement raise =
      TRY(db.prepare("UPDATE revocation_floor SET value = max(value, ?1) WHERE only_row = 1"));
  return raise.bind(1, sequence).run();
}

Result<void> drop_expired_tickets(SqliteDatabase& db, std::int64_t now) {
  std::int64_t newest = 0;
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM revocations WHERE kind = 1 AND limit_ms < ?1 "
                       "RETURNING sequence"));
    erase.bind(1, now);
    while (TRY(erase.step())) newest = std::max(newest, erase.integer(0));
  }
  return newest == 0 ? Result<void>() : raise_floor(db, newest);
}

Result<std::int64_t> count(SqliteDatabase& db, SqlLiteral sql) {
  SqliteStatement select = TRY(db.prepare(sql));
  TRY(select.step());
  return select.integer(0);
}

Result<std::vector<Revocation>> select_after(SqliteDatabase& db, std::int64_t after,
                                             std::int64_t limit) {
  SqliteStatement select =
      TRY(db.prepare(SELECT_REVOCATION "WHERE sequence > ?1 ORDER BY sequence LIMIT ?2"));
  select.bind(1, after).bind(2, limit);
  std::vector<Revocation> revocations;
  while (TRY(select.step())) revocations.push_back(read_revocation(select));
  return revocations;
}

}  // namespace

Result<Revocation> revoke_ticket(SqliteDatabase& db, Bytes ticket_id, std::int64_t until_ms,
                                 std::size_t most, std::int64_t now) {
  if (auto before = TRY(find(db, RevocationKind::ticket, ticket_id))) return std::move(*before);
  TRY(drop_expired_tickets(db, now));
  const std::int64_t kept = TRY(count(db, "SELECT count(*) FROM revocations WHERE kind = 1"));
  if (kept >= static_cast<std::int64_t>(most)) {
    return fail(Category::busy,
                fmt::format("{} tickets are revoked one by one, and more are not kept "
                            "(revocation.max_tickets): revoke all tickets from before a time, or "
                            "the identity that they are from",
                            kept));
  }
  Revocation revocation;
  revocation.kind = RevocationKind::ticket;
  revocation.subject = to_vector(ticket_id);
  revocation.time = from_ms(now);
  revocation.limit = from_ms(until_ms);
  TRY(enter(db, revocation));
  return revocation;
}

Result<Revocation> revoke_tickets_before(SqliteDatabase& db, std::int64_t before_ms,
                                         std::int64_t now) {
  auto in_force = TRY(find(db, RevocationKind::tickets_before, {}));
  if (in_force && to_ms(*in_force->limit) >= before_ms) return std::move(*in_force);
  Revocation revocation;
  revocation.kind = RevocationKind::tickets_before;
  revocation.time = from_ms(now);
  revocation.limit = from_ms(before_ms);
  TRY(enter(db, revocation));
  return revocation;
}

Result<void> enter_revoked_identity(SqliteDatabase& db, const Identity& identity,
                                    std::int64_t now) {
  Revocation revocation;
  revocation.kind = RevocationKind::identity;
  revocation.subject = to_vector(as_bytes(identity.uri));
  revocation.time = from_ms(now);
  revocation.aliases = identity.aliases;
  revocation.owned_patterns = identity.owned_patterns;
  return enter(db, revocation);
}

Result<void> enter_revoked_tpk(SqliteDatabase& db, Bytes tpk_id, std::int64_t now) {
  Revocation revocation;
  revocation.kind = RevocationKind::tpk;
  revocation.subject = to_vector(tpk_id);
  revocation.time = from_ms(now);
  return enter(db, revocation);
}

Result<void> trim_revocation_log(SqliteDatabase& db, std::size_t most) {
  std::int64_t newest_to_go = 0;
  {
    SqliteStatement select =
        TRY(db.prepare("SELECT sequence FROM revocations WHERE kind >= 3 "
                       "ORDER BY sequence DESC LIMIT 1 OFFSET ?1"));
    if (!TRY(select.bind(1, static_cast<std::int64_t>(most)).step())) return {};
    newest_to_go = select.integer(0);
  }
  {
    SqliteStatement erase =
        TRY(db.prepare("DELETE FROM revocations WHERE kind >= 3 AND sequence <= ?1"));
    TRY(erase.bind(1, newest_to_go).run());
  }
  return raise_floor(db, newest_to_go);
}

Result<RevocationPage> select_revocations(SqliteDatabase& db, std::int64_t after,
                                          std::size_t limit) {
  RevocationPage page;
  page.revocations = TRY(select_after(db, after, static_cast<std::int64_t>(limit) + 1));
  page.more = page.revocations.size() > limit;
  if (page.more) page.revocations.pop_back();
  page.newest = static_cast<std::uint64_t>(TRY(newest_sequence(db)));
  page.kept_from = static_cast<std::uint64_t>(TRY(count(db, "SELECT value FROM revocation_floor")));
  page.log_size =
      static_cast<std::size_t>(TRY(count(db, "SELECT count(*) FROM revocations WHERE kind >= 3")));
  return page;
}

Result<std::vector<Revocation>> select_new_revocations(SqliteDatabase& db, std::int64_t after) {
  return select_after(db, after, std::numeric_limits<std::int64_t>::max());
}

Result<std::int64_t> newest_sequence(SqliteDatabase& db) {
  return count(db, "SELECT value FROM change_counter");
}

}  // namespace keystub::kms::sql
