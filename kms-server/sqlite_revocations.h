// The statements of SqliteStore about revocations (revocation.h). Each runs inside a transaction
// that its caller opened; those that change something belong on the writer, and `now` is the time
// of the change in milliseconds.
//
// Errors are those of identity_store.h.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

// busy when `most` tickets are revoked one by one; those whose time is over give way first.
Result<Revocation> revoke_ticket(SqliteDatabase& db, Bytes ticket_id, std::int64_t until_ms,
                                 std::size_t most, std::int64_t now);
Result<Revocation> revoke_tickets_before(SqliteDatabase& db, std::int64_t before_ms,
                                         std::int64_t now);
// In the same transaction as what makes them revoked.
Result<void> enter_revoked_identity(SqliteDatabase& db, const Identity& identity, std::int64_t now);
Result<void> enter_revoked_tpk(SqliteDatabase& db, Bytes tpk_id, std::int64_t now);
// Removes the oldest of identities and TPKs until `most` are left.
Result<void> trim_revocation_log(SqliteDatabase& db, std::size_t most);

Result<RevocationPage> select_revocations(SqliteDatabase& db, std::int64_t after,
                                          std::size_t limit);
// All after `after`, in order: those of a transaction.
Result<std::vector<Revocation>> select_new_revocations(SqliteDatabase& db, std::int64_t after);
Result<std::int64_t> newest_sequence(SqliteDatabase& db);

}  // namespace keystub::kms::sql
