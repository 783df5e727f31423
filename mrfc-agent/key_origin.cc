#include "mrfc-agent/key_origin.h"

#include <algorithm>

#include "mrfc-agent/peer_identity.h"

namespace keystub::mrfc {
namespace {

// One "*" for one character or more, as the KMS's owned patterns have it.
bool covers(std::string_view pattern, std::string_view uri) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == uri;
  return uri.size() >= pattern.size() && uri.starts_with(pattern.substr(0, star)) &&
         uri.ends_with(pattern.substr(star + 1));
}

bool names(const KeyRevocation& revocation, std::string_view party) {
  const auto same = [&](const std::string& uri) { return uri == party; };
  const auto covered = [&](const std::string& pattern) { return covers(pattern, party); };
  return std::ranges::any_of(revocation.uris, same) ||
         std::ranges::any_of(revocation.patterns, covered);
}

}  // namespace

Result<KeyOrigin> key_origin(const mikey::TicketView& ticket, std::vector<std::string> parties) {
  const mikey::TicketDataView data = TRY(mikey::parse_ticket_data(ticket, "ticket"));
  const mikey::TicketPolicy policy = TRY(ticket.policy.read("ticket"));
  KeyOrigin origin;
  origin.ticket_id = TRY(mikey::ticket_id_of_mac(data.mac));
  if (policy.flags.has(mikey::TicketFlag::d_kms_generated) && data.t.is_time()) {
    origin.issued_at = data.t.to_wall_time();
  }
  if (data.idr_psk) origin.tpk_id = to_vector(data.idr_psk->data);
  if (policy.idr_i) parties.push_back(policy.idr_i->data);
  for (const std::string& party : parties) {
    // What is no user's URI is no identity of the KMS.
    if (auto uri = user_identity(party)) origin.parties.push_back(std::move(*uri));
  }
  return origin;
}

std::string_view KeyRevocation::what() const noexcept {
  switch (kind) {
    case Kind::ticket: return "its ticket";
    case Kind::tickets_before: return "all tickets from that time";
    case Kind::identity: return "one of its parties";
    case Kind::tpk: return "the key that protects its ticket";
    case Kind::unknown: return "something that was not heard";
  }
  return "something";
}

bool cuts(const KeyRevocation& revocation, const KeyOrigin& origin, std::string_view peer) {
  switch (revocation.kind) {
    case KeyRevocation::Kind::ticket: return equal(revocation.id, origin.ticket_id);
    case KeyRevocation::Kind::tickets_before:
      return origin.issued_at && revocation.before && *origin.issued_at < *revocation.before;
    case KeyRevocation::Kind::identity: {
      const auto revoked = [&](const std::string& party) { return names(revocation, party); };
      if (std::ranges::any_of(origin.parties, revoked)) return true;
      const auto uri = user_identity(peer);
      return uri && revoked(*uri);
    }
    case KeyRevocation::Kind::tpk:
      return !origin.tpk_id.empty() && equal(revocation.id, origin.tpk_id);
    case KeyRevocation::Kind::unknown: return true;
  }
  return false;
}

}  // namespace keystub::mrfc
