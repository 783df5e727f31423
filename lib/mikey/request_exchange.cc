#include "mikey/request_exchange.h"

#include <algorithm>

#include "mikey/exchange_rules.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kMinimumKeyOctets = 16;  // RFC 6043 12.1
constexpr std::size_t kMaximumRandOctets = 255;

// The keys that protect one message of a Ticket Request.
Result<MessageKeys> request_keys(const Suite& suite, const Psk& psk, std::uint32_t csb_id,
                                 bool response, Bytes randr_i, Protects protects) {
  return derive_message_keys(suite, psk.reveal(), {csb_id, response, randr_i, {}}, protects);
}

Result<void> check_psk(const Psk& psk) {
  if (psk.size() < kMinimumKeyOctets || psk.size() > kMaximumRandOctets) {
    return fail(Category::malformed, "the pre-shared key has " + std::to_string(psk.bits()) +
                                         " bits; 128 to 2040 are possible (RFC 6043 12.1)");
  }
  return {};
}

// RFC 6043 4.2.1.6: "the Initiator MUST check that the granted Ticket Policy is acceptable".
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
  return {};
}

}  // namespace

Result<TicketRequest> TicketRequest::start(const Environment& env,
                                           const KmsCredentials& credentials, TicketPolicy wish) {
  TRY(check_psk(credentials.psk));
  TRY(wish.flags.check());
  if (wish.idr_r.empty()) {
    return fail(Category::malformed, "a ticket needs at least one responder that may resolve it");
  }
  TicketRequest request(credentials, std::move(wish));
  const Suite& suite = suite_of(request.wish_.prf);
  request.csb_id_ = TRY(fresh_csb_id(env));
  request.randr_i_ = TRY(env.random.bytes(std::max(suite.key_octets, credentials.psk.size())));

  // "The V flag MUST be set to '1'" (4.2.1.1).
  MessageBuilder builder(DataType::request_init_psk, true, suite.prf, request.csb_id_);
  builder.t(TRY(fresh_t(env)))
      .randr(RandRole::initiator, request.randr_i_)
      .idr(IdRole::initiator, credentials.self)
      .idr(IdRole::kms, credentials.kms)
      .tp(request.wish_);
  if (!credentials.psk_id.empty()) {
    builder.idr(IdRole::psk, Identity::byte_string(credentials.psk_id));
  }
  const MessageKeys keys = TRY(request_keys(suite, credentials.psk, request.csb_id_, false,
                                            request.randr_i_, Protects::integrity));
  request.message_ = TRY(finish_with_mac(std::move(builder), suite, keys.auth,
                                         {credentials.self.bytes(), credentials.kms.bytes()}));
  return request;
}

Result<ReceivedError> TicketRequest::read_error(Bytes error) const {
  const MessageKeys keys = TRY(request_keys(suite_of(wish_.prf), credentials_->psk, csb_id_, false,
                                            randr_i_, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), wish_.prf, csb_id_, keys.auth);
}

Result<ByteVector> TicketRequest::refuse(const Environment& env, const Refusal& refusal) const {
  const MessageKeys keys = TRY(request_keys(suite_of(wish_.prf), credentials_->psk, csb_id_, true,
                                            randr_i_, Protects::integrity));
  // PRF and CSB ID of the response are those of the request (4.2.1.5).
  const Message request = TRY(Message::parse(message_));
  return build_error(env, request.header, refusal, keys.auth);
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

  const MessageKeys keys = TRY(request_keys(suite, credentials_->psk, csb_id_, true, randr_i_,
                                            Protects::integrity_and_keys));
  TRY(verify_mac(suite, keys.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));

  GrantedTicket granted;
  granted.policy = TRY(ticket.policy.read(message.name()));
  TRY(check_granted(wish_, granted.policy, credentials_->self));
  const Place at_kemac = message.place("KEMAC", "RFC 6043 4.2.1.5", kemac.encr_data.data());
  KemacKeys carried = TRY(open_kemac(suite, keys, csb_id_, *message.t, kemac, at_kemac));
  const bool forking = granted.policy.flags.has(TicketFlag::i_forking);
  if (carried.mpks.size() != (forking ? 2U : 1U)) {
    return fail(Category::malformed,
                forking ? "key forking needs MPKi and MPKr in the KEMAC"
                        : "without key forking the KEMAC carries exactly one MPK",
                at_kemac);
  }
  TRY(check_key_lengths(suite, carried.session_keys, at_kemac));
  granted.body = to_vector(ticket.body);
  granted.mpki = std::move(carried.mpks[0]);
  if (forking) granted.mpkr = std::move(carried.mpks[1]);
  granted.mpk_spi = std::move(carried.mpk_spi);
  granted.session_keys = std::move(carried.session_keys);
  return granted;
}

Result<GrantedTicket> issue_ticket(const Environment& env, TicketPolicy policy,
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
  Message message = TRY(Message::parse(request_init));
  TRY(require_type(message, DataType::request_init_psk));
  TRY(require_empty_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.1.1"));
  TRY(require(message.randr_i, message, "RANDRi", "RFC 6043 4.2.1.1"));
  const TicketPolicyView tp = TRY(require(message.tp, message, "TP", "RFC 6043 4.2.1.1"));
  TRY(require_one_suite(message));
  TicketPolicy wish = TRY(tp.read(message.name()));
  const Place at_tp = message.place("TP", "RFC 6043 6.10", tp.tp_data.data());
  TRY(at(at_tp, wish.flags.with(TicketFlag::k_changed, false).check()));  // K is ignored in a TP
  return ReceivedRequest(std::move(message), std::move(wish));
}

Result<AuthenticatedRequest> ReceivedRequest::authenticate(const Psk& psk,
                                                           const Identity& initiator,
                                                           const Identity& kms) const {
  const Suite& suite = suite_of(message_.header.prf);
  const MessageKeys keys = TRY(request_keys(suite, psk, message_.header.csb_id, false,
                                            *message_.randr_i, Protects::integrity));
  TRY(verify_mac(suite, keys.auth, {message_.without_mac(), initiator.bytes(), kms.bytes()},
                 message_.v->mac, message_.place("V", "RFC 6043 5.5", message_.v->mac.data())));
  // After the MAC: who cannot authenticate learns nothing about the key's length.
  TRY(check_rand_length(message_.randr_i->size(), psk.size(),
                        message_.place("RANDR", "RFC 6043 12.1", message_.randr_i->data())));
  return AuthenticatedRequest(message_, wish_, psk.clone(), kms);
}

Result<AuthenticatedRequest::Grant> AuthenticatedRequest::grant(
    const Environment& env, TicketPolicy granted, const std::vector<KeyWish>& wishes,
    const TicketProtection& protection) const {
  const Suite& suite = sending_suite(env, message_.header.prf);
  granted.keys.clear();
  const TicketKeys keys = TRY(make_ticket_keys(env.random, suite, wishes, protection.key.size()));
  const SealedTicket sealed = TRY(seal_ticket(suite, granted, keys, protection, TRY(fresh_t(env))));

  const Timestamp t = TRY(fresh_t(env));
  const std::uint32_t csb_id = message_.header.csb_id;
  const MessageKeys protecting =
      TRY(request_keys(suite, psk_, csb_id, true, *message_.randr_i, Protects::integrity_and_keys));
  const PlainKeyData plain =
      granted.flags.has(TicketFlag::i_forking)
          ? encode_kemac_keys({&sealed.mpki, &sealed.mpkr}, keys.mpk_spi, keys.session_keys)
          : encode_kemac_keys({&sealed.mpki}, keys.mpk_spi, keys.session_keys);
  const ByteVector encrypted = TRY(seal_kemac(suite, protecting, csb_id, t, plain));
  MessageBuilder builder(DataType::request_resp, false, suite.prf, csb_id);
  builder.t(t).idr(IdRole::kms, kms_).ticket(sealed.body, {}).kemac(suite.encr, encrypted);
  Grant out;
  out.message = TRY(finish_with_mac(std::move(builder), suite, protecting.auth, {message_.bytes}));
  // The MAC of the ticket's V ends its body.
  out.ticket_id = TRY(ticket_id_of_mac(Bytes(sealed.body).last(suite.auth_octets)));
  return out;
}

Result<ByteVector> AuthenticatedRequest::refuse(const Environment& env,
                                                const Refusal& refusal) const {
  const MessageKeys keys = TRY(request_keys(suite(), psk_, message_.header.csb_id, false,
                                            *message_.randr_i, Protects::integrity));
  return build_error(env, message_.header, refusal, keys.auth);
}

Result<ReceivedError> AuthenticatedRequest::read_error(Bytes error) const {
  const MessageKeys keys = TRY(request_keys(suite(), psk_, message_.header.csb_id, true,
                                            *message_.randr_i, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), message_.header.prf, message_.header.csb_id,
                           keys.auth);
}

}  // namespace keystub::mikey
