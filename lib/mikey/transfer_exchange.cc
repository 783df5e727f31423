#include "mikey/transfer_exchange.h"

#include <algorithm>
#include <set>

#include "mikey/exchange_rules.h"
#include "mikey/initiator_data.h"

namespace keystub::mikey {
namespace {

const SessionKey* find_key(const std::vector<SessionKey>& keys, Bytes spi) noexcept {
  const auto found =
      std::ranges::find_if(keys, [spi](const SessionKey& key) { return equal(key.spi, spi); });
  return found == keys.end() ? nullptr : &*found;
}

// The RANDs that go into session keys: RANDRi where H says so, RANDRr where G does (5.1.3).
struct SessionRands {
  Bytes randr_i;
  Bytes randr_r;
};
SessionRands session_rands(TicketFlags flags, Bytes randr_i, Bytes randr_r) noexcept {
  return {flags.has(TicketFlag::h_randr_i) ? randr_i : Bytes(),
          flags.has(TicketFlag::g_randr_r) ? randr_r : Bytes()};
}

// The key of each crypto session. `keys` are forked already where they have to be.
Result<std::vector<EstablishedSession>> derive_sessions(const Suite& suite,
                                                        const std::vector<CryptoSession>& sessions,
                                                        const std::vector<SessionKey>& keys,
                                                        const SessionRands& rands,
                                                        std::string_view message) {
  std::vector<EstablishedSession> established;
  for (const CryptoSession& session : sessions) {
    const SessionKey* key = find_key(keys, session.spi);
    if (key == nullptr) {
      return fail(Category::malformed,
                  "crypto session " + std::to_string(session.cs_id) + " points to SPI " +
                      to_hex(session.spi) + ", which names none of the ticket's keys",
                  Place{message, "HDR", "RFC 6043 6.1.1", 10});
    }
    Tek tek = TRY(
        derive_tek(suite.prf, *key, session.cs_id, rands.randr_i, rands.randr_r, suite.key_octets));
    established.push_back(
        {session.cs_id, session.prot_type, session.spi, std::move(tek), key->salt.clone()});
  }
  return established;
}

Result<void> check_sessions(const std::vector<CryptoSession>& sessions, std::string_view message) {
  std::set<std::uint8_t> seen;
  for (const CryptoSession& session : sessions) {
    if (!seen.insert(session.cs_id).second) {
      return fail(Category::malformed,
                  "two crypto sessions with CS ID " + std::to_string(session.cs_id),
                  Place{message, "HDR", "RFC 6043 6.1.1", 10});
    }
  }
  return {};
}

Result<void> require_generic_map(const Message& message) {
  if (message.header.map_type != CsIdMapType::generic_id) {
    return fail(Category::malformed,
                "the crypto sessions are not in a GENERIC-ID map; no other map type is accepted in "
                "the Ticket Transfer",
                Place{message.name(), "HDR", "RFC 6043 6.1", 9});
  }
  return {};
}

}  // namespace

std::vector<CryptoSession> tls_session(const std::vector<SessionKey>& keys, ProtType prot_type) {
  CryptoSession session;
  session.prot_type = prot_type;
  if (!keys.empty()) session.spi = keys.front().spi;
  return {std::move(session)};
}

// --- Initiator -----------------------------------------------------------------------------

Result<TransferOffer> TransferOffer::start(const Environment& env,
                                           std::shared_ptr<const GrantedTicket> ticket,
                                           OfferParameters parameters) {
  const TicketFlags flags = ticket->policy.flags;
  if (!flags.has(TicketFlag::n_plain_initiator)) {
    return fail(
        Category::denied,
        "the ticket needs processing of its own by the initiator (N = 0), which is unknown");
  }
  TRY(check_sessions(parameters.sessions, "TRANSFER_INIT"));
  TransferOffer offer(std::move(ticket), std::move(parameters));
  const GrantedTicket& granted = *offer.ticket_;
  const OfferParameters& offered = offer.parameters_;
  const Suite& suite = granted.suite();
  offer.csb_id_ = TRY(fresh_csb_id(env));
  offer.randr_i_ = TRY(env.random.bytes(
      std::max({suite.key_octets, granted.mpki.size(), longest_tgk(granted.session_keys)})));

  // "The value of the V flag SHALL agree with the F flag in the Ticket Policy" (4.2.2.1).
  MessageBuilder builder(DataType::transfer_init, flags.has(TicketFlag::f_response), suite.prf,
                         offer.csb_id_, offered.sessions);
  builder.t(TRY(fresh_t(env)))
      .randr(RandRole::initiator, offer.randr_i_)
      .idr(IdRole::initiator, offered.initiator)
      .idr(IdRole::responder, offered.responder);
  for (const SecurityPolicy& policy : offered.policies) builder.sp(policy);
  if (!offered.sdp_ids.empty()) builder.ext(ExtType::sdp_ids, as_bytes(offered.sdp_ids));
  builder.ticket_without_initiator_data(granted.body);

  const MessageKeys keys =
      TRY(derive_message_keys(suite, granted.mpki.reveal(),
                              {offer.csb_id_, false, offer.randr_i_, {}}, Protects::integrity));
  const Mac mac = TRY(compute_mac(
      suite, keys.auth,
      {builder.begin_v(suite.mac), offered.initiator.bytes(), offered.responder.bytes()}));
  ByteVector initiator_data;
  if (flags.has(TicketFlag::i_forking)) {
    initiator_data = TRY(make_initiator_data(suite, granted.mpkr, mac));
  }
  offer.message_ = TRY(std::move(builder).end_v(mac.bytes(), initiator_data));
  return offer;
}

Result<EstablishedTransfer> TransferOffer::accept(Bytes transfer_resp) const {
  const GrantedTicket& granted = *ticket_;
  const TicketFlags flags = granted.policy.flags;
  const Suite& suite = granted.suite();
  const Message message = TRY(Message::parse(transfer_resp));
  TRY(require_type(message, DataType::transfer_resp));
  TRY(require_same_header(message, suite.prf, csb_id_));
  TRY(require_generic_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.2.3"));
  TRY(require_one_suite(message));

  const bool forking = flags.has(TicketFlag::i_forking);
  Bytes randr_r;
  if (flags.has(TicketFlag::g_randr_r)) {
    randr_r = TRY(require(message.randr_r, message, "RANDRr", "RFC 6043 4.2.2.3"));
  }
  Identity peer = parameters_.responder;
  if (message.idr_r) peer = Identity(*message.idr_r);
  Mpk mpkr_forked;
  std::vector<SessionKey> keys;
  if (forking) {
    TRY(require(message.idr_r, message, "IDRr", "RFC 6043 4.2.2.3"));
    const Bytes randr_kms =
        TRY(require(message.randr_kms, message, "RANDRkms", "RFC 6043 4.2.2.3"));
    TRY(check_rand_length(randr_kms.size(),
                          std::max(granted.mpkr.size(), longest_tgk(granted.session_keys)),
                          message.place("RANDR", "RFC 6043 12.1", randr_kms.data())));
    mpkr_forked = TRY(fork_mpkr(granted.policy.prf, granted.mpkr, peer.bytes(), randr_kms));
    for (const SessionKey& key : granted.session_keys) {
      keys.push_back(TRY(fork_session_key(granted.policy.prf, key, peer.bytes(), randr_kms)));
    }
  } else {
    for (const SessionKey& key : granted.session_keys) keys.push_back(key.clone());
  }
  TRY(check_rand_length(randr_i_.size() + randr_r.size(),
                        std::max(granted.mpki.size(), longest_tgk(granted.session_keys)),
                        message.place("RANDR", "RFC 6043 12.1", message.bytes.data())));

  const Mpk& mpk = forking ? mpkr_forked : granted.mpki;
  const MessageKeys protecting = TRY(derive_message_keys(
      suite, mpk.reveal(), {csb_id_, true, randr_i_, randr_r}, Protects::integrity));
  TRY(verify_mac(suite, protecting.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));

  if (message.kemac) {
    return fail(Category::denied,
                "the responder supplies session keys of its own, which this profile does not use",
                message.place("KEMAC", "RFC 6043 4.2.2.3", message.kemac->encr_data.data()));
  }
  if (!parameters_.accept_group_members && !granted.policy.names_responder(peer.data)) {
    return fail(Category::denied,
                "the answer comes from " + peer.data + ", whom the ticket does not name",
                message.place("IDR", "RFC 6043 4.2.2.4", message.bytes.data()));
  }
  const std::vector<CryptoSession> sessions = TRY(message.header.crypto_sessions(message.name()));
  TRY(check_sessions(sessions, message.name()));
  for (const CryptoSession& offered : parameters_.sessions) {
    const bool answered = std::ranges::any_of(sessions, [&](const CryptoSession& session) {
      return session.cs_id == offered.cs_id && session.prot_type == offered.prot_type;
    });
    if (!answered) {
      return fail(Category::malformed,
                  "crypto session " + std::to_string(offered.cs_id) + " is not in the answer",
                  Place{message.name(), "HDR", "RFC 6043 4.2.2.3", 8});
    }
  }
  EstablishedTransfer established;
  established.csb_id = csb_id_;
  established.peer = std::move(peer);
  established.sessions = TRY(derive_sessions(
      suite, sessions, keys, session_rands(flags, randr_i_, randr_r), message.name()));
  established.mac = to_vector(message.v->mac);
  return established;
}

// --- Responder -----------------------------------------------------------------------------

Result<ReceivedTransfer> ReceivedTransfer::parse(Bytes transfer_init) {
  Message message = TRY(Message::parse(transfer_init));
  TRY(require_type(message, DataType::transfer_init));
  TRY(require_generic_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.2.1"));
  TRY(require(message.randr_i, message, "RANDRi", "RFC 6043 4.2.2.1"));
  const TicketView ticket = TRY(require(message.ticket, message, "TICKET", "RFC 6043 4.2.2.1"));
  TRY(require_one_suite(message));
  TRY(check_sessions(TRY(message.header.crypto_sessions(message.name())), message.name()));
  TicketPolicy policy = TRY(ticket.policy.read(message.name()));
  return ReceivedTransfer(std::move(message), std::move(policy));
}

Result<void> ReceivedTransfer::check_early(const ResponderProfile& profile, WallTime now) const {
  const Place at_ticket =
      message_.place("TICKET", "RFC 6043 4.2.2.2", message_.ticket->body.data());
  const Place at_header{message_.name(), "HDR", "RFC 6043 4.2.2.2", 0};
  if (policy_.type != k3gppBaseTicket && policy_.type != kMikeyBaseTicket) {
    return refuse(Category::denied, ErrorNo::invalid_ticket,
                  "ticket type " + std::to_string(policy_.type.type) +
                      " is not supported; 1/1/1 "
                      "and 2/1/1 are",
                  at_ticket);
  }
  TRY(at(at_ticket, policy_.flags.check()));
  if (!policy_.flags.has(TicketFlag::o_plain_responder)) {
    return refuse(Category::denied, ErrorNo::invalid_tppar,
                  "the ticket needs processing of its own by the responder (O = 0)", at_ticket);
  }
  const bool forking = policy_.flags.has(TicketFlag::i_forking);
  if (profile.require_forking && !forking) {
    return refuse(Category::denied, ErrorNo::invalid_tppar,
                  "the ticket does not use key forking (I = 0), which is required here", at_ticket);
  }
  if (!profile.accept_128_bit_suite && message_.header.prf == PrfFunc::mikey_1) {
    return refuse(Category::denied, ErrorNo::invalid_prf,
                  "the 128-bit suite is not accepted here; use PRF-HMAC-SHA-256", at_header);
  }
  TRY(at(at_ticket, policy_.check_valid_at(now)));
  if (forking) {
    TRY(check_vi(message_));
  } else if (!message_.ticket->initiator_data.empty()) {
    return fail(Category::malformed, "Initiator Data without key forking (I = 0)", at_ticket);
  }
  if (profile.require_single_tls_session) {
    const auto sessions = TRY(message_.header.crypto_sessions(message_.name()));
    if (sessions.size() != 1 || !is_tls(sessions.front().prot_type)) {
      return refuse(Category::denied, ErrorNo::invalid_sp,
                    "the message must offer exactly one crypto session, of type TLS", at_header);
    }
    if (sessions.front().policies.size() > 1) {
      return refuse(Category::denied, ErrorNo::invalid_sppar,
                    "a TLS crypto session goes without security policies: TLS negotiates its own",
                    at_header);
    }
  }
  const auto meant = [&](const Identity& pattern) {
    return std::ranges::any_of(
               profile.own_identities,
               [&](const Identity& own) { return names(pattern.data, own.data); }) ||
           std::ranges::any_of(profile.group_patterns, [&](const std::string& group) {
             return names(group, pattern.data);
           });
  };
  if (!std::ranges::any_of(policy_.idr_r, meant)) {
    return refuse(Category::denied, ErrorNo::invalid_id,
                  "none of the responders that the ticket names is served here", at_ticket);
  }
  return {};
}

Result<VerifiedTransfer> ReceivedTransfer::verify(ResolvedTicket resolved,
                                                  const Identity& responder) const {
  const Suite& suite = suite_of(message_.header.prf);
  if (!policy_.idr_i) {
    return refuse(Category::unauthenticated, ErrorNo::invalid_id,
                  "the Ticket Policy does not say who requested the ticket: the caller is unknown",
                  message_.place("TICKET", "RFC 6043 6.10", message_.ticket->body.data()));
  }
  const Identity initiator = message_.idr_i ? Identity(*message_.idr_i) : *policy_.idr_i;
  const Identity meant = message_.idr_r ? Identity(*message_.idr_r) : responder;
  const MessageKeys keys = TRY(derive_message_keys(
      suite, resolved.mpki.reveal(), {message_.header.csb_id, false, *message_.randr_i, {}},
      Protects::integrity));
  const CoveredTransferInit covered = covered_by_mac(message_);
  TRY(verify_mac(suite, keys.auth,
                 {covered.before, covered.after, initiator.bytes(), meant.bytes()}, message_.v->mac,
                 message_.place("V", "RFC 6043 5.5", message_.v->mac.data())));
  if (policy_.flags.has(TicketFlag::i_forking)) TRY(check_vi(message_));
  if (initiator != *policy_.idr_i) {
    return refuse(Category::unauthenticated, ErrorNo::invalid_id,
                  "the message claims to come from " + initiator.data + ", the ticket belongs to " +
                      policy_.idr_i->data,
                  message_.place("IDR", "RFC 6043 4.2.3", message_.bytes.data()));
  }
  if (message_.kemac) {
    return fail(Category::denied,
                "the initiator supplies session keys of its own, which this profile does not use",
                message_.place("KEMAC", "RFC 6043 4.2.2.1", message_.kemac->encr_data.data()));
  }
  if (!policy_.flags.has(TicketFlag::g_randr_r)) {
    TRY(check_rand_length(message_.randr_i->size(),
                          std::max(resolved.mpki.size(), longest_tgk(resolved.session_keys)),
                          message_.place("RANDR", "RFC 6043 12.1", message_.randr_i->data())));
  }
  return VerifiedTransfer(message_, policy_, std::move(resolved));
}

Result<TransferAnswer> VerifiedTransfer::respond(const Environment& env,
                                                 ResponseParameters parameters) const {
  const Suite& suite = suite_of(message_.header.prf);
  const TicketFlags flags = policy_.flags;
  const bool forking = flags.has(TicketFlag::i_forking);
  const Identity self = ticket_.idr_r ? *ticket_.idr_r : parameters.responder;
  if (parameters.sessions.empty()) {
    parameters.sessions = TRY(message_.header.crypto_sessions(message_.name()));
  }
  for (CryptoSession& session : parameters.sessions) {
    // "The Responder MUST provide … SPI for each crypto session for which the Initiator has not".
    if (session.spi.empty() && !ticket_.session_keys.empty()) {
      session.spi = ticket_.session_keys.front().spi;
    }
  }
  ByteVector randr_r;
  if (flags.has(TicketFlag::g_randr_r)) {
    randr_r = TRY(env.random.bytes(
        std::max({suite.key_octets, ticket_.mpki.size(), longest_tgk(ticket_.session_keys)})));
  }

  TransferAnswer answer;
  answer.established.csb_id = message_.header.csb_id;
  answer.established.peer = *policy_.idr_i;
  answer.established.sessions =
      TRY(derive_sessions(suite, parameters.sessions, ticket_.session_keys,
                          session_rands(flags, *message_.randr_i, randr_r), "TRANSFER_RESP"));
  if (!flags.has(TicketFlag::f_response)) {
    answer.established.mac = to_vector(message_.v->mac);
    return answer;
  }

  MessageBuilder builder(DataType::transfer_resp, false, suite.prf, message_.header.csb_id,
                         parameters.sessions);
  builder.t(TRY(fresh_t(env)));
  if (!randr_r.empty()) builder.randr(RandRole::responder, randr_r);
  builder.idr(IdRole::responder, self);
  if (!ticket_.randr_kms.empty()) builder.randr(RandRole::kms, ticket_.randr_kms);
  for (const SecurityPolicy& policy : parameters.policies) builder.sp(policy);
  const Mpk& mpk = forking ? ticket_.mpkr_forked : ticket_.mpki;
  const MessageKeys keys = TRY(derive_message_keys(
      suite, mpk.reveal(), {message_.header.csb_id, true, *message_.randr_i, randr_r},
      Protects::integrity));
  answer.message = TRY(finish_with_mac(std::move(builder), suite, keys.auth, {message_.bytes}));
  answer.established.mac = to_vector(Bytes(answer.message).last(suite.auth_octets));
  return answer;
}

}  // namespace keystub::mikey
