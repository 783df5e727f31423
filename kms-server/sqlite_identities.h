// The statements of SqliteStore about identities and what belongs to them: names, keys,
// certificates, memberships. Each runs inside a transaction that its caller opened; those that
// change something belong on the writer, and `now` is the time of the change in milliseconds.
//
// Errors are those of identity_store.h.
#pragma once

#include "kms-server/sqlite_changes.h"

namespace keystub::kms::sql {

// `uri` is any URI of the identity.
Result<Identity> select_identity(SqliteDatabase& db, std::string_view uri);
Result<Identity> select_identity_of_psk(SqliteDatabase& db, Bytes psk_id);
Result<Identity> select_owner(SqliteDatabase& db, std::string_view uri);
Result<IdentityPage> select_identities(SqliteDatabase& db, std::string_view prefix,
                                       std::string_view after, std::size_t limit);
Result<IdentityPage> select_groups(SqliteDatabase& db, std::string_view prefix,
                                   std::string_view after, std::size_t limit);
Result<MemberPage> select_members(SqliteDatabase& db, std::string_view group,
                                  std::string_view after, std::size_t limit);

Result<Identity> create_identity(SqliteDatabase& db, std::string_view uri, IdentityKind kind,
                                 const std::optional<WrappedPsk>& psk, std::int64_t now);
Result<Identity> set_identity_state(SqliteDatabase& db, std::string_view uri, IdentityState state,
                                    std::int64_t now);
Result<void> remove_identity(SqliteDatabase& db, std::string_view uri, std::int64_t now);

Result<Identity> set_psk(SqliteDatabase& db, std::string_view uri, const WrappedPsk& psk,
                         std::int64_t now);
Result<Identity> remove_psk(SqliteDatabase& db, std::string_view uri, Bytes psk_id,
                            std::int64_t now);
Result<Identity> add_alias(SqliteDatabase& db, std::string_view uri, std::string_view alias,
                           std::int64_t now);
Result<Identity> remove_alias(SqliteDatabase& db, std::string_view uri, std::string_view alias,
                              std::int64_t now);
Result<Identity> add_pattern(SqliteDatabase& db, std::string_view uri, std::string_view pattern,
                             std::int64_t now);
Result<Identity> remove_pattern(SqliteDatabase& db, std::string_view uri, std::string_view pattern,
                                std::int64_t now);
Result<Identity> add_certificate(SqliteDatabase& db, std::string_view uri,
                                 const PinnedCertificate& certificate, std::int64_t now);
Result<Identity> remove_certificate(SqliteDatabase& db, std::string_view uri, Bytes fingerprint,
                                    std::int64_t now);
Result<Identity> add_member(SqliteDatabase& db, std::string_view group, std::string_view member,
                            std::int64_t now);
Result<Identity> remove_member(SqliteDatabase& db, std::string_view group, std::string_view member,
                               std::int64_t now);
Result<Identity> share_tpk(SqliteDatabase& db, std::string_view uri, const WrappedKey& tpk,
                           std::int64_t now);
// An empty id: all. How many are gone.
Result<std::size_t> unshare_tpk(SqliteDatabase& db, std::string_view uri, Bytes tpk_id,
                                std::int64_t now);

}  // namespace keystub::kms::sql
