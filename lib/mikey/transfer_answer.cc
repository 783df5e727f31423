#include "mikey/transfer_answer.h"

#include <algorithm>

#include "mikey/bundle_state.h"
#include "mikey/initiator_data.h"

namespace keystub::mikey {
namespace {

ResolvedTicket clone(const ResolvedTicket& ticket) {
  return {ticket.mpki.clone(), ticket.mpkr_forked.clone(), mikey::clone(ticket.session_keys),
          ticket.idr_r, ticket.randr_kms};
}

// The responder must not be offered what it would have to guess at.
Result<void> require_single_tls_session(const std::vector<CryptoSession>& sessions,
                                        const Place& at_header) {
  if (sessions.size() != 1 || !is_tls(sessions.front().prot_type)) {
    return refuse(Category::denied, ErrorNo::invalid_sp,
                  "the message must offer exactly one crypto session, of type TLS", at_header);
  }
  if (sessions.front().policies.size() > 1) {
    return refuse(Category::denied, ErrorNo::invalid_sppar,
                  "a TLS crypto session goes without security policies: TLS negotiates its own",
                  at_header);
  }
  return {};
}

}  // namespace

// --- Step 1
// ---------------------------------------------------------------------------------------

Result<ReceivedTransfer> ReceivedTransfer::parse(Bytes transfer_init) {
  Message message = TRY(Message::parse(transfer_init));
  TRY(require_type(message, DataType::transfer_init));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.2.1"));
  TRY(require(message.randr_i, message, "RANDRi", "RFC 6043 4.2.2.1"));
  const TicketView ticket = TRY(require(message.ticket, message, "TICKET", "RFC 6043 4.2.2.1"));
  TRY(require_one_suite(message));
  const auto sessions = TRY(read_crypto_sessions(message));
  TRY(check_policies(sessions, TRY(read_policies(message)), message.name()));
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
                      " is not supported; 1/1/1 and 2/1/1 are",
                  at_ticket);
  }
  TRY(at(at_ticket, policy_.flags.check()));                // [6043-6.10-42]
  if (!policy_.flags.has(TicketFlag::o_plain_responder)) {  // [6043-6.10-22]
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
  if (policy_.trr && !profile.accept_rekeying) {  // [6043-6.10-27] [6043-6.10-29]
    return refuse(Category::denied, ErrorNo::invalid_tppar,
                  "the ticket demands that keys are renewed (TRr), which is not done here",
                  at_ticket);
  }
  if (forking) {
    TRY(check_vi(message_));
  } else if (!message_.ticket->initiator_data.empty()) {  // [6043-6.10-34]
    return fail(Category::malformed, "Initiator Data without key forking (I = 0)", at_ticket);
  }
  const auto sessions = TRY(message_.header.crypto_sessions(message_.name()));
  if (profile.require_single_tls_session) TRY(require_single_tls_session(sessions, at_header));
  if (!policy_.flags.has(TicketFlag::f_response)) TRY(check_settled(sessions, message_.name()));
  if (message_.kemac) {
    const Place at_kemac =
        message_.place("KEMAC", "RFC 6043 4.2.2.1", message_.kemac->encr_data.data());
    TRY(check_may_supply(policy_.flags, CsbRole::initiator, at_kemac));
    if (!profile.accept_initiator_keys) {
      return fail(Category::denied,
                  "the initiator supplies session keys of its own, which are not accepted here",
                  at_kemac);
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

// --- Modes 2 and 4
// --------------------------------------------------------------------------------

Result<std::optional<IdentityView>> ReceivedTransfer::tpk_id() const {
  return TRY(parse_ticket_data(ticket(), message_.name())).idr_psk;
}

Result<ResolvedTicket> ReceivedTransfer::open(const Tpk& tpk) const {
  const Place at_ticket = message_.place("TICKET", "RFC 6043 6.10", ticket().body.data());
  TRY(at(at_ticket, policy_.flags.check()));
  if (policy_.flags.has(TicketFlag::e_resolve_mandatory)) {  // [6043-6.10-04]
    return refuse(Category::denied, ErrorNo::invalid_tppar,
                  "the KMS has to resolve the ticket (E = 1): it must not be opened here",
                  at_ticket);
  }
  const TicketDataView data = TRY(parse_ticket_data(ticket(), message_.name()));
  OpenedTicket opened = TRY(open_ticket(ticket(), data, tpk, message_.name()));
  TRY(check_key_lengths(suite_of(policy_.prf), opened.session_keys, at_ticket));
  // I implies E: without a Ticket Resolve no key is forked, and MPKr is not needed.
  ResolvedTicket resolved;
  resolved.mpki = std::move(opened.mpki);
  resolved.session_keys = std::move(opened.session_keys);
  return resolved;
}

Result<ResolvedTicket> ReceivedTransfer::open_from_kms(const Tpk& tpk) const {
  if (!policy_.flags.has(TicketFlag::d_kms_generated)) {
    return refuse(Category::denied, ErrorNo::invalid_ticket,
                  "the initiator issued the ticket (D = 0), but the TPK is the KMS's",
                  message_.place("TICKET", "RFC 6043 4.1.1", ticket().body.data()));
  }
  return open(tpk);
}

Result<ResolvedTicket> ReceivedTransfer::open_from_initiator(const Tpk& tpk,
                                                             const Identity& initiator) const {
  const Place at_ticket = message_.place("TICKET", "RFC 6043 4.1.1", ticket().body.data());
  if (policy_.flags.has(TicketFlag::d_kms_generated)) {
    return refuse(
        Category::denied, ErrorNo::invalid_ticket,
        "the ticket claims to be the KMS's (D = 1), but the TPK is " + initiator.data + "'s",
        at_ticket);
  }
  // Who holds the TPK can put any name into the policy.
  if (policy_.idr_i != initiator) {
    return refuse(Category::unauthenticated, ErrorNo::invalid_id,
                  "the ticket is not in the name of " + initiator.data + ", whose TPK protects it",
                  at_ticket);
  }
  return open(tpk);
}

// --- Step 2
// ---------------------------------------------------------------------------------------

Result<VerifiedTransfer> ReceivedTransfer::verify(ResolvedTicket resolved,
                                                  const Identity& responder) const {
  const Place at_ticket = message_.place("TICKET", "RFC 6043 6.10", ticket().body.data());
  TRY(at(at_ticket, policy_.flags.check(has_tgk(resolved.session_keys))));
  if (!policy_.idr_i) {
    return refuse(Category::unauthenticated, ErrorNo::invalid_id,
                  "the Ticket Policy does not say who requested the ticket: the caller is unknown",
                  at_ticket);
  }
  const Identity initiator = message_.idr_i ? Identity(*message_.idr_i) : *policy_.idr_i;
  const Identity meant = message_.idr_r ? Identity(*message_.idr_r) : responder;
  const Suite& suite = *TRY(require_one_suite(message_));
  const MessageKeys keys = TRY(derive_message_keys(
      suite, resolved.mpki.reveal(), {message_.header.csb_id, false, *message_.randr_i, {}},
      message_.kemac ? Protects::integrity_and_keys : Protects::integrity));
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

  VerifiedTransfer verified(message_, policy_, std::move(resolved), meant);
  if (message_.kemac) {
    // Whether they are welcome was for check_early() to say.
    verified.initiator_keys_ = TRY(open_supplied_keys(
        suite, keys, policy_.flags, CsbRole::initiator, AcceptedAdditions{.keys = true}, message_));
  }
  if (!policy_.flags.has(TicketFlag::g_randr_r)) {
    TRY(check_rand_length(message_.randr_i->size(), verified.longest_key(),
                          message_.place("RANDR", "RFC 6043 12.1", message_.randr_i->data())));
  }
  return verified;
}

Result<VerifiedTransfer> ReceivedTransfer::verify(const KeptTicket& kept,
                                                  const Identity& responder) const {
  // Nobody but the KMS vouches for a policy: only the very ticket that was resolved will do.
  if (!equal(kept.body_, ticket().body)) {
    return fail(Category::not_found,
                "the message has another ticket than the one that is kept: resolve it",
                message_.place("TICKET", "RFC 6043 5.3", ticket().body.data()));
  }
  return verify(clone(kept.resolved_), responder);
}

std::size_t VerifiedTransfer::longest_key() const noexcept {
  return std::max(
      {ticket_.mpki.size(), longest_tgk(ticket_.session_keys), longest_tgk(initiator_keys_)});
}

Result<KeptTicket> VerifiedTransfer::keep_ticket() const {
  if (!policy_.flags.has(TicketFlag::j_reusable)) {  // [6043-5.3-03] [6043-6.10-15]
    return fail(Category::denied, "the Ticket Policy forbids to keep the ticket (J = 0)",
                message_.place("TICKET", "RFC 6043 5.3", message_.ticket->body.data()));
  }
  return KeptTicket(to_vector(message_.ticket->body), clone(ticket_));
}

// Every crypto session with one policy and an SPI, as far as we can choose for the caller.
Result<std::vector<CryptoSession>> VerifiedTransfer::settle_sessions(
    const ResponseParameters& parameters) const {
  const SessionKey* first = nullptr;
  for (const auto* keys : {&ticket_.session_keys, &initiator_keys_, &parameters.keys}) {
    if (first == nullptr && !keys->empty()) first = &keys->front();
  }
  return settle(parameters.sessions, TRY(message_.header.crypto_sessions(message_.name())), first);
}

BundleState VerifiedTransfer::bundle_state() const {
  BundleState state;
  state.role = CsbRole::responder;
  state.csb_id = message_.header.csb_id;
  state.prf = message_.header.prf;
  state.flags = policy_.flags;
  state.initiator = *policy_.idr_i;
  state.responder = meant_;
  state.mpk = ticket_.mpki.clone();
  state.randr_i = to_vector(*message_.randr_i);
  state.ticket = to_vector(message_.ticket->body);
  state.contents.keys = mikey::clone(ticket_.session_keys);
  state.timestamps.start_with_theirs(*message_.t);
  return state;
}

Result<TransferAnswer> VerifiedTransfer::respond(const Environment& env,
                                                 ResponseParameters parameters) const {
  const TicketFlags flags = policy_.flags;
  const bool answers = flags.has(TicketFlag::f_response);
  const std::string_view name =
      name_of(answers ? DataType::transfer_resp : DataType::transfer_init);
  if (!answers &&
      !(parameters.sessions.empty() && parameters.policies.empty() && parameters.keys.empty())) {
    return fail(Category::denied,
                "the Ticket Policy forbids a TRANSFER_RESP (F = 0): what TRANSFER_INIT says cannot "
                "be changed");
  }
  const Suite& suite = sending_suite(env, message_.header.prf);
  const auto offered_policies = TRY(read_policies(message_));
  // "The Responder SHOULD NOT resend SP payloads, which the Initiator supplied". [6043-4.2.2.3-14]
  std::erase_if(parameters.policies, [&](const SecurityPolicy& policy) {
    return std::ranges::find(offered_policies, policy) != offered_policies.end();
  });

  BundleState state = bundle_state();
  state.contents.policies = overlay(offered_policies, parameters.policies);
  state.contents.sessions = TRY(settle_sessions(parameters));
  TRY(check_crypto_sessions(state.contents.sessions, name));
  TRY(check_settled(state.contents.sessions, name));
  TRY(check_answer(state.contents.sessions, TRY(message_.header.crypto_sessions(message_.name())),
                   parameters.policies, {.keys = true, .crypto_sessions = true, .policies = true},
                   name));
  TRY(check_policies(state.contents.sessions, state.contents.policies, name));
  TRY(add_keys(state.contents.keys, mikey::clone(initiator_keys_),
               message_.place("KEMAC", "RFC 6043 5.2", message_.bytes.data())));
  if (!parameters.keys.empty()) {
    TRY(check_may_supply(flags, CsbRole::responder, {}));  // [6043-4.2.2.3-17] [6043-6.10-20]
    TRY(check_supplied_keys(suite, parameters.keys));
    TRY(add_keys(state.contents.keys, mikey::clone(parameters.keys), {}));
  }
  if (!answers) {
    EstablishedTransfer established = TRY(establish(std::move(state), name, message_.v->mac));
    return TransferAnswer{{}, std::move(established)};
  }

  const std::size_t longest = std::max(longest_key(), longest_tgk(parameters.keys));
  if (flags.has(TicketFlag::g_randr_r)) {  // [6043-4.2.2.3-09] [6043-6.10-09]
    state.randr_r = TRY(env.random.bytes(std::max(suite.key_octets, longest)));
  }
  TRY(check_rand_length(state.randr_i.size() + state.randr_r.size(), longest, {}));
  // [6043-4.2.2.3-10] [6043-4.2.2.3-12]
  state.responder = ticket_.idr_r ? *ticket_.idr_r : parameters.responder;
  state.randr_kms = ticket_.randr_kms;
  if (flags.has(TicketFlag::i_forking)) state.mpk = ticket_.mpkr_forked.clone();
  state.after_response = true;

  const Timestamp t = TRY(fresh_t(env));  // [6043-4.2.2.3-07]
  state.timestamps.start_with_ours(t);
  MessageBuilder builder(DataType::transfer_resp, false, suite.prf, state.csb_id,
                         state.contents.sessions);
  builder.t(t);
  if (!state.randr_r.empty()) builder.randr(RandRole::responder, state.randr_r);
  builder.idr(IdRole::responder, state.responder);
  if (!state.randr_kms.empty()) builder.randr(RandRole::kms, state.randr_kms);
  for (const SecurityPolicy& policy : parameters.policies) builder.sp(policy);
  const bool with_keys = !parameters.keys.empty();
  const MessageKeys keys = TRY(
      state.message_keys(suite, with_keys ? Protects::integrity_and_keys : Protects::integrity));
  if (with_keys) {
    const PlainKeyData plain = encode_kemac_keys({}, {}, parameters.keys);
    builder.kemac(suite.encr, TRY(seal_kemac(suite, keys, state.csb_id, t, plain)));
  }
  ByteVector message = TRY(finish_with_mac(std::move(builder), suite, keys.auth, {message_.bytes}));
  EstablishedTransfer established =
      TRY(establish(std::move(state), name, Bytes(message).last(suite.auth_octets)));
  return TransferAnswer{std::move(message), std::move(established)};
}

Result<ByteVector> VerifiedTransfer::refuse(const Environment& env, const Refusal& refusal) const {
  const MessageKeys keys = TRY(derive_message_keys(
      suite_of(message_.header.prf), ticket_.mpki.reveal(),
      {message_.header.csb_id, false, *message_.randr_i, {}}, Protects::integrity));
  return build_error(TRY(fresh_t(env)), message_.header, refusal, keys.auth);
}

}  // namespace keystub::mikey
