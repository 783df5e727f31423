#include "mrfc-agent/session_policy.h"

#include <algorithm>

#include <fmt/format.h>

#include "mrfc-agent/peer_identity.h"

namespace keystub::mrfc {
namespace {

// Clocks differ: a ticket is valid from a little before its making.
constexpr std::chrono::minutes kValidBefore{5};
constexpr std::size_t kSpiOctets = 4;

// Identities are compared in the form that signalling is brought into. What a ticket says in
// another form (a NAI, a byte string) stays as it is and equals no URI.
bool same_user(const mikey::Identity& identity, const std::string& user) {
  if (identity.type != mikey::IdType::uri) return false;
  const auto canonical = user_identity(identity.data);
  return canonical.has_value() && *canonical == user;
}

}  // namespace

Result<std::string> serving_identity(const SessionPolicy& policy, const std::string& served) {
  if (served.empty()) return policy.identity;
  std::string wanted = TRY(user_identity(served));
  if (wanted == policy.identity) return wanted;
  if (std::ranges::find(policy.conferences, wanted) != policy.conferences.end()) return wanted;
  return fail(Category::denied,
              fmt::format("{} is not served here: it is neither identity.uri nor one of "
                          "conferences.uris",
                          wanted));
}

Result<mikey::TicketPolicy> offered_ticket_policy(const SessionPolicy& policy,
                                                  const mikey::Environment& env,
                                                  const std::string& self,
                                                  const std::string& peer) {
  const WallTime now = env.clock.now();
  mikey::TicketPolicy ticket;
  ticket.flags =
      policy.key_source == KeySource::kms_issued ? mikey::kMode1Flags : mikey::kMode3Flags;
  ticket.idr_kms = policy.kms;
  ticket.idr_i = mikey::Identity::uri(self);
  ticket.trs = mikey::Timestamp::from(now - kValidBefore);
  ticket.tre = mikey::Timestamp::from(now + policy.ticket_validity);
  mikey::KeyWish wish;
  wish.spi = TRY(env.random.bytes(kSpiOctets));
  ticket.keys.push_back(std::move(wish));
  ticket.idr_r.push_back(mikey::Identity::uri(peer));
  if (policy.any_resolver) {
    ticket.idr_r.push_back(mikey::Identity::uri(std::string(mikey::kAnyResponder)));
  }
  return ticket;
}

mikey::ResponderProfile responder_profile(const SessionPolicy& policy) {
  mikey::ResponderProfile profile;
  profile.own_identities.push_back(mikey::Identity::uri(policy.identity));
  for (const std::string& conference : policy.conferences) {
    profile.own_identities.push_back(mikey::Identity::uri(conference));
  }
  profile.group_patterns = policy.groups;
  profile.accept_128_bit_suite = policy.accept_128_bit_suite;
  return profile;
}

Result<void> check_skew(const SessionPolicy& policy, const mikey::Timestamp& t, WallTime now) {
  const Place place{"TRANSFER_INIT", "T", "RFC 6043 12.4", 0};
  if (!t.is_time()) {
    return std::unexpected(
        Error(Category::malformed, "T is a counter; a time is needed, or replays could not be told",
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(mikey::ErrorNo::invalid_ts)));
  }
  const auto off = t.to_wall_time() - now;
  if (off > policy.skew || off < -policy.skew) {
    return std::unexpected(
        Error(Category::expired,
              fmt::format(
                  "T is {} seconds {} our clock; {} are allowed (replay.skew)",
                  std::chrono::duration_cast<std::chrono::seconds>(off < off.zero() ? -off : off)
                      .count(),
                  off < off.zero() ? "behind" : "ahead of",
                  std::chrono::duration_cast<std::chrono::seconds>(policy.skew).count()),
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(mikey::ErrorNo::invalid_ts)));
  }
  return {};
}

Result<void> check_responder(const SessionPolicy& policy, const mikey::TicketPolicy& ticket,
                             const mikey::Identity& responder, const std::string& asserted_peer,
                             const std::string& invited_peer) {
  if (!ticket.names_responder(responder.data)) {
    return fail(Category::denied,
                fmt::format("{} answered, whom the ticket does not authorise", responder.data));
  }
  if (!asserted_peer.empty()) {
    const std::string asserted = TRY(user_identity(asserted_peer));
    if (same_user(responder, asserted)) return {};
    return fail(Category::denied,
                fmt::format("{} answered, but the network asserts {}", responder.data, asserted));
  }
  if (policy.any_resolver || same_user(responder, invited_peer)) return {};
  return fail(Category::denied,
              fmt::format("{} answered, but {} was invited", responder.data, invited_peer));
}

Result<void> check_caller(const mikey::Identity& caller, const Parties& parties) {
  const bool asserted = !parties.asserted_peer.empty();
  const std::string& named = asserted ? parties.asserted_peer : parties.claimed_peer;
  if (named.empty()) {
    return fail(Category::malformed,
                "the caller is not named: neither asserted_peer nor "
                "claimed_peer is given");
  }
  const std::string expected = TRY(user_identity(named));
  if (same_user(caller, expected)) return {};
  return fail(Category::denied,
              fmt::format("the ticket belongs to {}, but {} {}", caller.data,
                          asserted ? "the network asserts" : "the caller calls itself", expected));
}

}  // namespace keystub::mrfc
