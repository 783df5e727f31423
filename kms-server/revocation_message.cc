#include "kms-server/revocation_message.h"

#include "rpc/timestamp.h"

namespace keystub::kms {
void set_revocation(v1::Revocation& out, const Revocation& revocation) {
  out.set_sequence(revocation.sequence);
  rpc::set_timestamp(*out.mutable_time(), revocation.time);
  switch (revocation.kind) {
    case RevocationKind::ticket:
      out.set_ticket_id(to_string(Bytes(revocation.subject)));
      if (revocation.limit) rpc::set_timestamp(*out.mutable_expire_time(), *revocation.limit);
      break;
    case RevocationKind::tickets_before:
      if (revocation.limit) rpc::set_timestamp(*out.mutable_tickets_before(), *revocation.limit);
      break;
    case RevocationKind::identity: {
      v1::RevokedIdentity& identity = *out.mutable_identity();
      identity.set_uri(to_string(Bytes(revocation.subject)));
      for (const std::string& alias : revocation.aliases) identity.add_aliases(alias);
      for (const std::string& pattern : revocation.owned_patterns) {
        identity.add_owned_patterns(pattern);
      }
      break;
    }
    case RevocationKind::tpk: out.set_tpk_id(to_string(Bytes(revocation.subject))); break;
  }
}

}  // namespace keystub::kms
