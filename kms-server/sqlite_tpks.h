// The statements of SqliteStore about ticket protection keys. Each runs inside a transaction that
// its caller opened; those that change something belong on the writer.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

Result<Tpk> select_tpk(SqliteDatabase& db, Bytes tpk_id);
Result<Tpk> select_active_tpk(SqliteDatabase& db);
Result<std::vector<Tpk>> select_own_tpks(SqliteDatabase& db);

// `owner`: row of the identity that holds it too; none: of the KMS.
Result<void> insert_tpk(SqliteDatabase& db, std::optional<std::int64_t> owner,
                        const WrappedKey& tpk, TpkState state, std::int64_t now,
                        std::int64_t sequence);
// Of the KMS; retires the active one if the new one is.
Result<Tpk> add_tpk(SqliteDatabase& db, const WrappedKey& tpk, TpkState state, std::int64_t now);
Result<Tpk> set_tpk_state(SqliteDatabase& db, Bytes tpk_id, TpkState state, std::int64_t now);
Result<std::size_t> purge_tpks(SqliteDatabase& db, std::int64_t before);

}  // namespace keystub::kms::sql
