#include "kms-server/revocation_admin.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "kms-server/identity_admin.h"
#include "mikey/payload/bare_ticket.h"
#include "mikey/ticket.h"

namespace keystub::kms {
namespace {

// For how long a revocation outlives its ticket: a clock that is set back must not revive it.
constexpr std::chrono::hours kMargin{24};

struct Named {
  mikey::TicketId id{};
  std::optional<WallTime> end;  // TRe
};

std::unexpected<Error> not_ours() {
  return fail(Category::not_found,
              "no ticket protection key of this KMS opens the ticket: nobody can resolve it, and "
              "there is nothing to revoke");
}

Result<Named> open(Bytes octets, KeyDirectory& keys, Deadline deadline) {
  const mikey::TicketView ticket = TRY(mikey::parse_bare_ticket(octets));
  const mikey::TicketDataView data = TRY(mikey::parse_ticket_data(ticket, "ticket"));
  if (!data.idr_psk) return not_ours();
  const auto tpk = keys.find_tpk(data.idr_psk->data, deadline);
  if (!tpk && tpk.error().category() == Category::not_found) return not_ours();
  if (!tpk) return std::unexpected(tpk.error());
  if (!mikey::open_ticket(ticket, data, (*tpk)->key, "ticket")) return not_ours();
  Named named;
  named.id = TRY(mikey::ticket_id_of_mac(data.mac));
  const mikey::TicketPolicy policy = TRY(ticket.policy.read("ticket"));
  if (policy.tre && policy.tre->is_time()) named.end = policy.tre->to_wall_time();
  return named;
}

}  // namespace

Result<Revocation> RevocationAdmin::revoke_ticket_id(const rpc::Caller& caller, Bytes ticket_id) {
  const auto work = [&]() -> Result<Revocation> {
    if (ticket_id.size() != mikey::TicketId().size()) {
      return fail(Category::malformed, "the id of a ticket is 16 octets, 32 hex digits");
    }
    return parts_.store.revoke_ticket(ticket_id, parts_.clock.now() + kLongestValidity + kMargin,
                                      deadline());
  };
  return audit_.recorded(caller, "revoke_ticket", {}, work, {}, to_hex(ticket_id));
}

Result<Revocation> RevocationAdmin::revoke_ticket(const rpc::Caller& caller, Bytes ticket) {
  std::string id;
  const auto work = [&]() -> Result<Revocation> {
    const Named named = TRY(open(ticket, parts_.keys, deadline()));
    id = to_hex(named.id);
    // One that has ended may have media that still runs: that is for the subscribers.
    const WallTime now = parts_.clock.now();
    const WallTime end = std::max(now, named.end.value_or(now + kLongestValidity));
    return parts_.store.revoke_ticket(named.id, end + kMargin, deadline());
  };
  return audit_.recorded(caller, "revoke_ticket", {}, work, {}, id);
}

Result<Revocation> RevocationAdmin::revoke_before(const rpc::Caller& caller, WallTime time) {
  const auto work = [&]() -> Result<Revocation> {
    if (time > parts_.clock.now()) {
      return fail(Category::malformed,
                  "this time is in the future: tickets that do not exist yet are not revoked");
    }
    return parts_.store.revoke_tickets_before(time, deadline());
  };
  const auto seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  return audit_.recorded(caller, "revoke_tickets_before", {}, work,
                         fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(seconds)));
}

Result<RevocationPage> RevocationAdmin::list(std::uint64_t sequence, std::size_t page_size) {
  return parts_.store.revocations_since(sequence, TRY(checked_page_size(page_size)), deadline());
}

}  // namespace keystub::kms
