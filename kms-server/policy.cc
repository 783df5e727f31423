#include "kms-server/policy.h"

#include <algorithm>

#include "kms-server/identity_uri.h"
#include "kms-server/uri_pattern.h"
#include "mikey/suite.h"

namespace keystub::kms {
namespace {

using mikey::ErrorNo;
using mikey::TicketFlag;
using mikey::Timestamp;
using mikey::TsType;

constexpr std::size_t kMinKeyOctets = 16;  // RFC 6043 12.1: 128 bits or more [6043-12.1-04]

std::unexpected<Denial> deny(std::string_view rule, std::string reason, ErrorNo number) {
  return std::unexpected(Denial{rule, std::move(reason), number});
}

// Because `decider`, a rule of the policy, says so.
std::unexpected<Denial> deny(std::string_view rule, std::string reason, ErrorNo number,
                             const PolicyBook::NamedRule& decider) {
  return std::unexpected(Denial{rule, std::move(reason), number, decider.name});
}

PolicyBook::NamedRule fallback_of(const PolicySettings& settings) {
  PolicyRule rule;
  rule.responders = {std::string(kAnybody)};
  rule.initiators = {std::string(kAnybody)};
  rule.applications = {std::string(kAnybody)};
  rule.ticket_types = {kTicketType3gpp, kTicketTypeMikey};
  rule.suites = {kSuite256Bit};
  if (settings.allow_128_bit_suite) rule.suites->emplace_back(kSuite128Bit);
  rule.require_forking = settings.require_forking;
  rule.allow_reuse = settings.allow_reuse;
  rule.allow_mode3 = true;  // the grant is the TPK that is shared
  rule.max_keys = static_cast<std::uint32_t>(settings.max_keys);
  rule.max_validity = settings.max_validity;
  rule.default_validity = settings.default_validity;
  return {std::move(rule), "configuration"};
}

bool holds(const PolicyRule::List& list, std::string_view entry) {
  return std::ranges::find(list, entry) != list.end();
}

// Whether the matchers allow what a ticket names: a URI that one of them covers, or a wildcard or
// group that stands in the list itself. What is no URI at all only "*" allows.
bool allows(const PolicyRule::List& matchers, const mikey::Identity& named) {
  if (holds(matchers, kAnybody)) return true;
  if (named.type != mikey::IdType::uri) return false;
  if (const auto uri = canonical_uri(named.data)) {
    return std::ranges::any_of(matchers,
                               [&](const std::string& matcher) { return covers(matcher, *uri); });
  }
  const auto pattern = canonical_pattern(named.data);
  return pattern && holds(matchers, *pattern);
}

std::expected<void, Denial> check_sender(const OpenIdentity& sender) {
  if (sender.state != IdentityState::active) {
    return deny("suspended", "the identity is suspended", ErrorNo::invalid_id);
  }
  if (sender.kind == IdentityKind::group) {
    return deny("group", "a group cannot act for itself", ErrorNo::invalid_id);
  }
  return {};
}

// Whether `named` is a URI of `who`: one of its own, or one that it owns.
bool names_uri_of(const mikey::Identity& named, const OpenIdentity& who) {
  if (named.type != mikey::IdType::uri) return false;
  if (named.data == who.uri) return true;
  const auto canonical = canonical_uri(named.data);
  return canonical && who.answers_to(*canonical);
}

// KMS-5: whether `named` stands for several and `who` is one of them: a wildcard over one of its
// own URIs, anybody, or a group that it is a member of.
bool covers_member(const mikey::Identity& named, const OpenIdentity& who) {
  if (named.type != mikey::IdType::uri) return false;
  const auto matcher = canonical_matcher(named.data);
  if (!matcher) return false;
  return covers(*matcher, who.uri) ||
         std::ranges::any_of(who.aliases,
                             [&](const std::string& alias) { return covers(*matcher, alias); }) ||
         std::ranges::binary_search(who.groups, *matcher);
}

// RFC 6043 4.2.1.5: without a wish, one TGK. [6043-4.2.1.5-07]
std::vector<mikey::KeyWish> default_keys(const mikey::Suite& suite) {
  return {{mikey::KeyType::tgk, static_cast<std::uint16_t>(suite.key_octets), 0, {0, 0, 0, 1}}};
}

std::expected<void, Denial> check_keys(const std::vector<mikey::KeyWish>& keys,
                                       const mikey::Suite& suite, const EffectivePolicy& rules) {
  if (const auto most = rules.get(&PolicyRule::max_keys); keys.size() > most.value) {
    return deny("keys", "more session keys are wished for than one ticket may hold",
                ErrorNo::invalid_tppar, most.rule);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    // RFC 6043 12.1: session keys longer than 128 bits rule out the 128-bit algorithms; and none
    // may be longer than the randomness that the suite mixes in. [6043-12.1-12]
    if (keys[i].key_octets < kMinKeyOctets || keys[i].key_octets > suite.key_octets) {
      return deny("keys", "the suite does not allow session keys of the wished length",
                  ErrorNo::invalid_tppar);
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (keys[j].spi == keys[i].spi) {
        return deny("keys", "two session keys are wished for under one SPI",
                    ErrorNo::invalid_tppar);
      }
    }
  }
  return {};
}

// What holds for every ticket, whoever makes it. [6043-12.1-01]
std::expected<void, Denial> check_ticket(const EffectivePolicy& effective,
                                         const mikey::TicketPolicy& policy) {
  const char* const type = policy.type == mikey::k3gppBaseTicket    ? kTicketType3gpp
                           : policy.type == mikey::kMikeyBaseTicket ? kTicketTypeMikey
                                                                    : nullptr;
  if (type == nullptr) {
    return deny("ticket_type", "the ticket type is not supported", ErrorNo::invalid_ticket);
  }
  if (const auto types = effective.get(&PolicyRule::ticket_types); !holds(types.value, type)) {
    return deny("ticket_type", "the ticket type is not allowed here", ErrorNo::invalid_ticket,
                types.rule);
  }
  const char* const suite = policy.prf == mikey::PrfFunc::mikey_1 ? kSuite128Bit : kSuite256Bit;
  if (const auto suites = effective.get(&PolicyRule::suites); !holds(suites.value, suite)) {
    return deny("suite", std::string("the ").append(suite).append(" suite is not allowed here"),
                ErrorNo::invalid_prf, suites.rule);
  }
  if (const auto forking = effective.get(&PolicyRule::require_forking);
      forking.value && !policy.flags.has(TicketFlag::i_forking)) {
    return deny("forking", "key forking (flag I) is required here", ErrorNo::invalid_tppar,
                forking.rule);
  }
  const auto applications = effective.get(&PolicyRule::applications);
  // RFC 6043 6.10: it is for all of them.
  if (policy.idr_app.empty() && !holds(applications.value, kAnybody)) {
    return deny("application",
                "the ticket names no application, and so is for all: name one that is allowed here",
                ErrorNo::invalid_tppar, applications.rule);
  }
  for (const mikey::Identity& application : policy.idr_app) {
    if (holds(applications.value, kAnybody) || holds(applications.value, application.data)) {
      continue;
    }
    return deny("application", "the ticket is for an application that is not allowed here",
                ErrorNo::invalid_tppar, applications.rule);
  }
  for (const auto& time : {policy.trs, policy.tre}) {
    if (time && !time->is_time()) {
      return deny("validity", "validity must be given as a time, not as a counter",
                  ErrorNo::invalid_tppar);
    }
  }
  return {};
}

std::expected<void, Denial> check_responders(const EffectivePolicy& effective,
                                             const mikey::TicketPolicy& wish) {
  if (wish.idr_r.empty()) {
    return deny("responder", "the wish names no responder", ErrorNo::invalid_tppar);
  }
  const auto responders = effective.get(&PolicyRule::responders);
  for (const mikey::Identity& named : wish.idr_r) {
    if (allows(responders.value, named)) continue;
    return deny("responder", "a responder is wished for that is not allowed for this sender",
                ErrorNo::invalid_id, responders.rule);
  }
  return {};
}

std::expected<void, Denial> check_self_issued(const EffectivePolicy& rules,
                                              const mikey::TicketPolicy& ticket,
                                              const mikey::Timestamp& issued_at,
                                              const OpenIdentity& owner,
                                              std::chrono::milliseconds clock_skew) {
  if (ticket.flags.has(TicketFlag::d_kms_generated)) {
    return deny("mode3_d", "a ticket under a shared TPK must not claim to come from the KMS",
                ErrorNo::invalid_ticket);
  }
  if (owner.state != IdentityState::active) {
    return deny("mode3_owner", "the issuer of the ticket is suspended", ErrorNo::invalid_ticket);
  }
  if (owner.kind == IdentityKind::group) {
    return deny("mode3_owner", "a group cannot issue tickets", ErrorNo::invalid_ticket);
  }
  if (const auto mode3 = rules.get(&PolicyRule::allow_mode3); !mode3.value) {
    return deny("mode3", "the issuer of the ticket may not issue tickets itself",
                ErrorNo::invalid_ticket, mode3.rule);
  }
  if (auto allowed = check_ticket(rules, ticket); !allowed) {
    return std::unexpected(allowed.error());
  }
  if (auto allowed = check_responders(rules, ticket); !allowed) {
    return std::unexpected(allowed.error());
  }
  if (!ticket.idr_i || !names_uri_of(*ticket.idr_i, owner)) {
    return deny("mode3_initiator", "the ticket does not name its issuer as the initiator",
                ErrorNo::invalid_ticket);
  }
  if (!ticket.tre) {
    return deny("mode3_end", "the ticket has no end of validity", ErrorNo::invalid_ticket);
  }
  const auto longest = rules.get(&PolicyRule::max_validity);
  if (ticket.tre->to_wall_time() > issued_at.to_wall_time() + longest.value + clock_skew) {
    return deny("mode3_validity", "the ticket is valid for longer than the policy allows",
                ErrorNo::invalid_ticket, longest.rule);
  }
  return {};
}

}  // namespace

Policy::Policy(const PolicySettings& settings, mikey::Identity kms)
    : kms_(std::move(kms)), in_force_(make(settings)) {}

Policy::SharedInForce Policy::make(const PolicySettings& settings) {
  return std::make_shared<const InForce>(settings, fallback_of(settings));
}

void Policy::configure(const PolicySettings& settings) { in_force_.store(make(settings)); }

std::expected<Granted, Denial> Policy::grant(const PolicyBook& book,
                                             const mikey::TicketPolicy& wish,
                                             const OpenIdentity& sender,
                                             const mikey::Identity& sender_id, WallTime now) const {
  if (auto allowed = check_sender(sender); !allowed) return std::unexpected(allowed.error());
  const SharedInForce in_force = in_force_.load();
  const PolicySettings& settings = in_force->settings;
  const EffectivePolicy rules = effective(book, sender, in_force);
  if (auto allowed = check_ticket(rules, wish); !allowed) return std::unexpected(allowed.error());
  if (wish.idr_i && !names_uri_of(*wish.idr_i, sender)) {
    return deny("initiator", "the ticket is wished for under an identity that is not the sender's",
                ErrorNo::invalid_id);
  }
  if (auto allowed = check_responders(rules, wish); !allowed) {
    return std::unexpected(allowed.error());
  }
  if (wish.trr && wish.trr->type != TsType::ntp_utc_32) {
    return deny("rekeying", "TRr must be of type NTP-UTC-32", ErrorNo::invalid_tppar);
  }

  Granted granted{wish, wish.keys, rules.decider().name};
  mikey::TicketPolicy& policy = granted.policy;
  policy.keys.clear();  // SHALL NOT be present in the granted policy (RFC 6043 6.10) [6043-6.10-32]
  if (granted.keys.empty()) granted.keys = default_keys(mikey::suite_of(policy.prf));
  if (auto allowed = check_keys(granted.keys, mikey::suite_of(policy.prf), rules); !allowed) {
    return std::unexpected(allowed.error());
  }

  const mikey::TicketFlags wished_flags = wish.flags.with(TicketFlag::k_changed, false);
  policy.flags = wished_flags.with(TicketFlag::d_kms_generated);
  // [6043-12.5-01]
  if (!rules.get(&PolicyRule::allow_reuse).value)
    policy.flags = policy.flags.with(TicketFlag::j_reusable, false);
  bool changed = policy.flags != wished_flags;
  const auto change = [&changed](auto& field, const auto& value) {
    field = value;
    changed = true;
  };
  if (policy.idr_kms != kms_) change(policy.idr_kms, kms_);
  if (!policy.idr_i) change(policy.idr_i, sender_id);  // [6043-4.2.1.1-08]

  // The limits give way by the clock skew: a sender that computed them itself, on a clock that is
  // a little off, keeps its wish.
  const WallTime earliest = now - settings.start_margin;
  if (!policy.trs || policy.trs->to_wall_time() < earliest - settings.clock_skew) {
    change(policy.trs, Timestamp::from(earliest, TsType::ntp_utc_32));
  }
  const auto longest = rules.get(&PolicyRule::max_validity).value;
  if (!policy.tre) {
    // A more specific rule may shorten the one and say nothing of the other.
    const auto unasked = std::min(rules.get(&PolicyRule::default_validity).value, longest);
    change(policy.tre, Timestamp::from(now + unasked, TsType::ntp_utc_32));
  } else if (policy.tre->to_wall_time() > now + longest + settings.clock_skew) {
    change(policy.tre, Timestamp::from(now + longest, TsType::ntp_utc_32));
  }
  if (policy.trs->to_wall_time() >= now + longest + settings.clock_skew) {
    return deny("validity",
                "the wished validity begins after the longest that is allowed has ended",
                ErrorNo::invalid_tppar, rules.get(&PolicyRule::max_validity).rule);
  }
  if (policy.tre->to_wall_time() <= now ||
      policy.tre->to_wall_time() <= policy.trs->to_wall_time()) {
    return deny("validity", "the wished validity is over, or ends before it starts",
                ErrorNo::invalid_tppar);
  }

  policy.flags = policy.flags.with(TicketFlag::k_changed, changed);  // [6043-6.10-43]
  return granted;
}

std::expected<Resolvable, Denial> Policy::resolve(
    const PolicyBook& book, const mikey::TicketPolicy& ticket, const mikey::Timestamp& issued_at,
    const OpenIdentity* owner, const OpenIdentity& sender, const mikey::Identity& sender_id,
    WallTime now) const {
  if (auto allowed = check_sender(sender); !allowed) return std::unexpected(allowed.error());
  const SharedInForce in_force = in_force_.load();
  const PolicySettings& settings = in_force->settings;
  const EffectivePolicy rules = effective(book, sender, in_force);
  if (auto allowed = check_ticket(rules, ticket); !allowed) {
    return std::unexpected(allowed.error());
  }
  if (ticket.idr_kms && *ticket.idr_kms != kms_) {
    return deny("other_kms", "the ticket names another KMS", ErrorNo::invalid_ticket);
  }
  // A T of the issuer's own choosing must not outlive what counts from T on.
  if (!issued_at.is_time() || issued_at.to_wall_time() > now + settings.clock_skew) {
    return deny("issued", "the ticket was issued in the future", ErrorNo::invalid_ticket);
  }
  if (owner != nullptr) {
    if (auto allowed = check_self_issued(effective(book, *owner, in_force), ticket, issued_at,
                                         *owner, settings.clock_skew);
        !allowed) {
      return std::unexpected(allowed.error());
    }
  } else if (!ticket.flags.has(TicketFlag::d_kms_generated)) {
    return deny("mode1_d", "a ticket under a TPK of the KMS must come from the KMS",
                ErrorNo::invalid_ticket);
  }
  if (!ticket.check_valid_at(now)) {  // [6043-6.10-44]
    return deny("validity", "the ticket is outside its validity", ErrorNo::invalid_ticket);
  }
  if (const auto initiators = rules.get(&PolicyRule::initiators);
      !allows(initiators.value, ticket.idr_i.value_or(mikey::Identity::byte_string({})))) {
    return deny("initiator", "tickets of this initiator are not allowed for this sender",
                ErrorNo::invalid_id, initiators.rule);
  }
  const auto literal = std::ranges::find_if(
      ticket.idr_r, [&](const mikey::Identity& named) { return names_uri_of(named, sender); });
  if (literal != ticket.idr_r.end())
    return Resolvable{*literal, rules.decider().name};  // [6043-4.2.3.5-13]
  const bool named = std::ranges::any_of(
      ticket.idr_r, [&](const mikey::Identity& several) { return covers_member(several, sender); });
  if (!named) {  // [6043-4.2.3.4-01] [6043-12.5-02]
    return deny("not_named", "the ticket does not name the sender as a responder",
                ErrorNo::invalid_id);
  }
  return Resolvable{sender_id, rules.decider().name};
}

}  // namespace keystub::kms
