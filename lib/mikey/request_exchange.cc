#include "mikey/request_exchange.h"

#include <algorithm>

#include "mikey/hmac.h"
#include "mikey/sender_proof.h"

namespace keystub::mikey {
namespace {

// The keys that protect one message of a Ticket Request.
Result<MessageKeys> request_keys(const Suite& suite, const Prf& key, std::uint32_t csb_id,
                                 bool response, Bytes randr_i, Protects protects) {
  return derive_message_keys(suite, key, {csb_id, response, randr_i, {}}, protects);
}

// RFC 6043 4.2.1.6: "the Initiator MUST check that the granted Ticket Policy is acceptable".
// [6043-4.2.1.6-03]
Result<void> check_granted(const TicketPolicy& wish, const TicketPolicy& granted,
                           const Identity& self) {
  using enum TicketFlag;
  const auto unacceptable = [](std::string_view what) {
    return fail(Category::denied,
                "the KMS granted another Ticket Policy than was asked for: " + std::string(what),
                Place{"REQUEST_RESP", "TICKET", "RFC 6043 4.2.1.6", 0});
  };
  TRY(at({"REQUEST_RESP", "TICKET", "RFC 6043 6.10", 0}, granted.flags.check()));
  if (granted.type != wish.type || granted.prf != wish.prf) {
    return unacceptable("ticket type or PRF differ");
  }
  const auto fixed = [](TicketFlags flags) {
    return flags.with(k_changed, false).with(j_reusable, false);
  };
  if (fixed(granted.flags) != fixed(wish.flags)) {
    return unacceptable("flags " + granted.flags.letters() + " for " + wish.flags.letters());
  }
  if (granted.flags.has(j_reusable) && !wish.flags.has(j_reusable)) {
    return unacceptable("the ticket became reusable (J)");
  }
  if (granted.idr_i && *granted.idr_i != self) {
    return unacceptable("it names another initiator, " + granted.idr_i->data);
  }
  for (const Identity& responder : granted.idr_r) {
    if (std::ranges::find(wish.idr_r, responder) == wish.idr_r.end()) {
      return unacceptable("it lets " + responder.data + " resolve, which was not wished for");
    }
  }
  const auto time = [](const std::optional<Timestamp>& t) { return t->to_wall_time(); };
  if (wish.tre && (!granted.tre || time(granted.tre) > time(wish.tre))) {
    return unacceptable("it is valid for longer (TRe)");
  }
  if (wish.trs && (!granted.trs || time(granted.trs) < time(wish.trs))) {
    return unacceptable("it is valid from an earlier time (TRs)");
  }
  if (granted.trr != wish.trr) {
    return unacceptable("keys would have to be renewed at another interval (TRr)");
  }
  return {};
}

}  // namespace

Result<TicketRequest> TicketRequest::start(const Environment& env,
                                           const KmsCredentials& credentials, TicketPolicy wish) {
  return build(env, DataType::request_init_psk, credentials, std::move(wish));
}

Result<TicketRequest> TicketRequest::start(const Environment& env, const PkCredentials& credentials,
                                           TicketPolicy wish) {
  return build(env, DataType::request_init_pk, credentials, std::move(wish));
}

template <class Credentials>
Result<TicketRequest> TicketRequest::build(const Environment& env, DataType type,
                                           const Credentials& credentials, TicketPolicy wish) {
  TRY(check_credentials(credentials, env.clock.now()));
  // "In the TP payload, it SHALL be set to '0' by the Initiator" [6043-6.10-16]
  wish.flags = wish.flags.with(TicketFlag::k_changed, false);
  TRY(wish.flags.check());
  if (wish.idr_r.empty()) {
    return fail(Category::malformed, "a ticket needs at least one responder that may resolve it");
  }
  for (const KeyWish& key : wish.keys) {
    if (!key.fault().empty()) return fail(Category::malformed, std::string(key.fault()));
  }
  TicketRequest request(credentials.self, std::move(wish));
  const Suite& suite = suite_of(request.wish_.prf);
  request.csb_id_ = TRY(fresh_csb_id(env));  // [6043-4.2.1.1-02]
  request.randr_i_ = TRY(env.random.bytes(rand_octets(suite, credentials)));
  const ExchangeKey key = TRY(make_exchange_key(env, suite, credentials));
  request.key_ = TRY(share_prf(suite.prf, key.reveal()));

  // "The V flag MUST be set to '1'" (4.2.1.1). [6043-4.2.1.1-03]
  MessageBuilder builder(type, true, suite.prf, request.csb_id_);
  builder.t(TRY(fresh_t(env))).randr(RandRole::initiator, request.randr_i_);
  add_identities(builder, IdRole::initiator, credentials);
  builder.tp(request.wish_);
  const MessageContext context{request.csb_id_, false, request.randr_i_, {}};
  request.message_ =
      TRY(finish_with_proof(env, std::move(builder), suite, context, key, credentials));
  return request;
}

Result<ReceivedError> TicketRequest::read_error(Bytes error) const {
  const MessageKeys keys =
      TRY(request_keys(suite_of(wish_.prf), *key_, csb_id_, false, randr_i_, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), wish_.prf, csb_id_, keys.auth);
}

Result<ByteVector> TicketRequest::refuse(const Environment& env, const Refusal& refusal) const {
  const MessageKeys keys =
      TRY(request_keys(suite_of(wish_.prf), *key_, csb_id_, true, randr_i_, Protects::integrity));
  // PRF and CSB ID of the response are those of the request (4.2.1.5).
  const Message request = TRY(Message::parse(message_));
  return build_error(TRY(fresh_t(env)), request.header, refusal, keys.auth);
}

Result<GrantedTicket> TicketRequest::finish(Bytes request_resp, ErrorsTaken errors) const {
  const Message message = TRY(Message::parse(request_resp));
  if (message.header.data_type == DataType::error)
    return ended_by(read_error(request_resp), errors);
  TRY(require_type(message, DataType::request_resp));
  TRY(require_same_header(message, wish_.prf, csb_id_));
  TRY(require_empty_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.1.5"));
  const TicketView ticket = TRY(require(message.ticket, message, "TICKET", "RFC 6043 4.2.1.5"));
  const KemacView kemac = TRY(require(message.kemac, message, "KEMAC", "RFC 6043 4.2.1.5"));
  const Suite& suite = *TRY(require_one_suite(message));

  const MessageKeys keys =
      TRY(request_keys(suite, *key_, csb_id_, true, randr_i_, Protects::integrity_and_keys));
  // [6043-4.2.1.5-14] [6043-5.5-04]
  TRY(verify_mac(suite, keys.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));

  GrantedTicket granted;
  granted.policy = TRY(ticket.policy.read(message.name()));
  TRY(check_granted(wish_, granted.policy, self_));  // [6043-4.2.1.6-04]
  const Place at_kemac = message.place("KEMAC", "RFC 6043 4.2.1.5", kemac.encr_data.data());
  KemacKeys carried = TRY(open_kemac(suite, keys, csb_id_, *message.t, kemac, at_kemac));
  const bool forking = granted.policy.flags.has(TicketFlag::i_forking);
  if (carried.mpks.size() != (forking ? 2U : 1U)) {  // [6043-4.2.1.5-08] [6043-4.2.1.5-09]
    return fail(Category::malformed,
                forking ? "key forking needs MPKi and MPKr in the KEMAC"
                        : "without key forking the KEMAC carries exactly one MPK",
                at_kemac);
  }
  TRY(check_key_lengths(suite, carried.session_keys, at_kemac));
  granted.body = to_vector(ticket.body);  // [6043-4.2.1.6-01]
  granted.mpki = std::move(carried.mpks[0]);
  if (forking) granted.mpkr = std::move(carried.mpks[1]);
  granted.mpk_spi = std::move(carried.mpk_spi);
  granted.session_keys = std::move(carried.session_keys);
  return granted;
}

Result<GrantedTicket> issue_ticket(const Environment& env, TicketPolicy policy,  // [6043-4.1-01]
                                   const TicketProtection& protection) {
  if (policy.flags.has(TicketFlag::d_kms_generated)) {
    return fail(Category::internal, "a ticket that its initiator issues has D = 0 (RFC 6043 6.10)");
  }
  const Suite& suite = sending_suite(env, policy.prf);
  const std::vector<KeyWish> wishes = std::exchange(policy.keys, {});
  TicketKeys keys = TRY(make_ticket_keys(env.random, suite, wishes, protection.key.size()));
  SealedTicket sealed = TRY(seal_ticket(suite, policy, keys, protection, TRY(fresh_t(env))));
  GrantedTicket granted;
  granted.body = std::move(sealed.body);
  granted.mpki = std::move(sealed.mpki);
  if (policy.flags.has(TicketFlag::i_forking)) granted.mpkr = std::move(sealed.mpkr);
  granted.mpk_spi = std::move(keys.mpk_spi);
  granted.session_keys = std::move(keys.session_keys);
  granted.policy = std::move(policy);
  return granted;
}

Result<ReceivedRequest> ReceivedRequest::parse(Bytes request_init) {
  return from(TRY(Message::parse(request_init)));
}

Result<ReceivedRequest> ReceivedRequest::from(const Message& message) {
  TRY(require_type(
      message, is_pk_variant(message) ? DataType::request_init_pk : DataType::request_init_psk));
  TRY(require_empty_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.1.1"));  // [6043-4.2.1.1-01]
  TRY(require(message.randr_i, message, "RANDRi", "RFC 6043 4.2.1.1"));
  const TicketPolicyView tp = TRY(require(message.tp, message, "TP", "RFC 6043 4.2.1.1"));
  TRY(require_one_suite(message));
  if (is_pk_variant(message)) TRY(check_pk_payloads(message));
  TicketPolicy wish = TRY(tp.read(message.name()));
  const Place at_tp = message.place("TP", "RFC 6043 6.10", tp.tp_data.data());
  // [6043-6.10-16]
  TRY(at(at_tp, wish.flags.with(TicketFlag::k_changed, false).check()));  // K is ignored in a TP
  return ReceivedRequest(std::make_shared<RequestInit>(message, std::move(wish)));
}

Result<AuthenticatedRequest> ReceivedRequest::authenticate(const Prepared<Psk>& psk,
                                                           const Identity& initiator,
                                                           const Identity& kms) const {
  const HashContext around_all_hashes;
  SharedPrf key = TRY(verify_proof(init_->message, initiator, kms, psk));
  return AuthenticatedRequest(init_, std::move(key), kms);
}

Result<AuthenticatedRequest> ReceivedRequest::authenticate(const PkAuthentication& pk,
                                                           const Identity& initiator,
                                                           const Identity& kms) const {
  SharedPrf key = TRY(verify_proof(init_->message, initiator, kms, pk));
  return AuthenticatedRequest(init_, std::move(key), kms);
}

Result<AuthenticatedRequest::Grant> AuthenticatedRequest::grant(
    const Environment& env, TicketPolicy granted, const std::vector<KeyWish>& wishes,
    const TicketProtection& protection) const {
  const HashContext around_all_hashes;
  const Suite& suite = sending_suite(env, message().header.prf);
  granted.keys.clear();  // [6043-6.10-32]
  const TicketKeys keys = TRY(make_ticket_keys(env.random, suite, wishes, protection.key.size()));
  const SealedTicket sealed = TRY(seal_ticket(suite, granted, keys, protection, TRY(fresh_t(env))));

  const Timestamp t = TRY(fresh_t(env));  // [6043-4.2.1.5-03]
  const std::uint32_t csb_id = message().header.csb_id;
  const MessageKeys protecting = TRY(
      request_keys(suite, *key_, csb_id, true, *message().randr_i, Protects::integrity_and_keys));
  const PlainKeyData plain =
      granted.flags.has(TicketFlag::i_forking)
          ? encode_kemac_keys({&sealed.mpki, &sealed.mpkr}, keys.mpk_spi, keys.session_keys)
          : encode_kemac_keys({&sealed.mpki}, keys.mpk_spi, keys.session_keys);
  const ByteVector encrypted = TRY(seal_kemac(suite, protecting, csb_id, t, plain));
  // [6043-4.2.1.5-01] [6043-4.2.1.5-02]
  MessageBuilder builder(DataType::request_resp, false, suite.prf, csb_id);
  builder.t(t).idr(IdRole::kms, kms_).ticket(sealed.body, {}).kemac(suite.encr, encrypted);
  Grant out;
  out.message = TRY(finish_with_mac(std::move(builder), suite, protecting.auth, {message().bytes}));
  // The MAC of the ticket's V ends its body.
  out.ticket_mac = to_vector(Bytes(sealed.body).last(suite.auth_octets));
  return out;
}

Result<ByteVector> AuthenticatedRequest::refuse(const Environment& env,
                                                const Refusal& refusal) const {
  const MessageKeys keys = TRY(request_keys(suite(), *key_, message().header.csb_id, false,
                                            *message().randr_i, Protects::integrity));
  return build_error(TRY(fresh_t(env)), message().header, refusal, keys.auth);
}

Result<ReceivedError> AuthenticatedRequest::read_error(Bytes error) const {
  const MessageKeys keys = TRY(request_keys(suite(), *key_, message().header.csb_id, true,
                                            *message().randr_i, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), message().header.prf,
                           message().header.csb_id, keys.auth);
}

}  // namespace keystub::mikey
