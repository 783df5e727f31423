#include "mikey/resolve_exchange.h"

#include <algorithm>

#include "mikey/hmac.h"
#include "mikey/initiator_data.h"
#include "mikey/sender_proof.h"

namespace keystub::mikey {
namespace {

// The keys that protect one message of a Ticket Resolve.
Result<MessageKeys> resolve_keys(const Suite& suite, const Prf& key, std::uint32_t csb_id,
                                 bool response, Bytes randr_r, Protects protects) {
  return derive_message_keys(suite, key, {csb_id, response, {}, randr_r}, protects);
}

}  // namespace

Result<TicketResolve> TicketResolve::start(const Environment& env,
                                           const KmsCredentials& credentials,
                                           const TicketView& ticket) {
  return build(env, DataType::resolve_init_psk, credentials, ticket);
}

Result<TicketResolve> TicketResolve::start(const Environment& env, const PkCredentials& credentials,
                                           const TicketView& ticket) {
  return build(env, DataType::resolve_init_pk, credentials, ticket);
}

template <class Credentials>
Result<TicketResolve> TicketResolve::build(const Environment& env, DataType type,
                                           const Credentials& credentials,
                                           const TicketView& ticket) {
  TRY(check_credentials(credentials, env.clock.now()));
  TicketResolve resolve;
  resolve.prf_ = ticket.policy.prf;
  resolve.forking_ = ticket.policy.flags.has(TicketFlag::i_forking);
  const Suite& suite = suite_of(resolve.prf_);
  resolve.csb_id_ = TRY(fresh_csb_id(env));  // [6043-4.2.3.1-02]
  resolve.randr_r_ = TRY(env.random.bytes(rand_octets(suite, credentials)));
  const ExchangeKey key = TRY(make_exchange_key(env, suite, credentials));
  resolve.key_ = TRY(share_prf(suite.prf, key.reveal()));

  // "The V flag MUST be set to '1'" (4.2.3.1). [6043-4.2.3.1-03]
  MessageBuilder builder(type, true, suite.prf, resolve.csb_id_);
  builder.t(TRY(fresh_t(env))).randr(RandRole::responder, resolve.randr_r_);
  add_identities(builder, IdRole::responder, credentials);
  builder.ticket(ticket.body, ticket.initiator_data);  // [6043-10-04]
  const MessageContext context{resolve.csb_id_, false, {}, resolve.randr_r_};
  resolve.message_ =
      TRY(finish_with_proof(env, std::move(builder), suite, context, key, credentials));
  return resolve;
}

Result<ReceivedError> TicketResolve::read_error(Bytes error) const {
  const MessageKeys keys =
      TRY(resolve_keys(suite_of(prf_), *key_, csb_id_, false, randr_r_, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), prf_, csb_id_, keys.auth);
}

Result<ByteVector> TicketResolve::refuse(const Environment& env, const Refusal& refusal) const {
  const MessageKeys keys =
      TRY(resolve_keys(suite_of(prf_), *key_, csb_id_, true, randr_r_, Protects::integrity));
  // PRF and CSB ID of the response are those of our message (4.2.3.5).
  const Message resolve = TRY(Message::parse(message_));
  return build_error(TRY(fresh_t(env)), resolve.header, refusal, keys.auth);
}

Result<ResolvedTicket> TicketResolve::finish(Bytes resolve_resp, ErrorsTaken errors) const {
  const Message message = TRY(Message::parse(resolve_resp));
  if (message.header.data_type == DataType::error)
    return ended_by(read_error(resolve_resp), errors);
  TRY(require_type(message, DataType::resolve_resp));
  TRY(require_same_header(message, prf_, csb_id_));
  TRY(require_empty_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.3.5"));
  const KemacView kemac = TRY(require(message.kemac, message, "KEMAC", "RFC 6043 4.2.3.5"));
  const Suite& suite = *TRY(require_one_suite(message));

  const MessageKeys keys =
      TRY(resolve_keys(suite, *key_, csb_id_, true, randr_r_, Protects::integrity_and_keys));
  // [6043-4.2.3.5-16] [6043-5.5-04]
  TRY(verify_mac(suite, keys.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));

  const Place at_kemac = message.place("KEMAC", "RFC 6043 4.2.3.5", kemac.encr_data.data());
  KemacKeys carried = TRY(open_kemac(suite, keys, csb_id_, *message.t, kemac, at_kemac));
  if (carried.mpks.size() != (forking_ ? 2U : 1U)) {  // [6043-4.2.3.5-07] [6043-4.2.3.5-08]
    return fail(Category::malformed,
                forking_ ? "key forking needs MPKi and MPKr' in the KEMAC"
                         : "without key forking the KEMAC carries exactly one MPK",
                at_kemac);
  }
  TRY(check_key_lengths(suite, carried.session_keys, at_kemac));
  ResolvedTicket resolved;
  if (forking_) {
    const IdentityView idr_r = TRY(require(message.idr_r, message, "IDRr", "RFC 6043 4.2.3.5"));
    const Bytes randr_kms =
        TRY(require(message.randr_kms, message, "RANDRkms", "RFC 6043 4.2.3.5"));
    TRY(check_rand_length(randr_kms.size(),  // [6043-12.1-06]
                          std::max(carried.mpks[1].size(), longest_tgk(carried.session_keys)),
                          message.place("RANDR", "RFC 6043 12.1", randr_kms.data())));
    resolved.mpkr_forked = std::move(carried.mpks[1]);
    resolved.idr_r.emplace(idr_r);
    resolved.randr_kms = to_vector(randr_kms);
  } else if (message.idr_r) {
    resolved.idr_r.emplace(*message.idr_r);
  }
  resolved.mpki = std::move(carried.mpks[0]);
  resolved.session_keys = std::move(carried.session_keys);
  return resolved;
}

Result<ReceivedResolve> ReceivedResolve::parse(Bytes resolve_init) {
  return from(TRY(Message::parse(resolve_init)));
}

Result<ReceivedResolve> ReceivedResolve::from(const Message& message) {
  TRY(require_type(
      message, is_pk_variant(message) ? DataType::resolve_init_pk : DataType::resolve_init_psk));
  TRY(require_empty_map(message));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.3.1"));  // [6043-4.2.3.1-01]
  TRY(require(message.randr_r, message, "RANDRr", "RFC 6043 4.2.3.1"));
  const TicketView ticket = TRY(require(message.ticket, message, "TICKET", "RFC 6043 4.2.3.1"));
  TRY(require_one_suite(message));
  if (is_pk_variant(message)) TRY(check_pk_payloads(message));
  TicketPolicy policy = TRY(ticket.policy.read(message.name()));
  TRY(at(message.place("TICKET", "RFC 6043 6.10", ticket.body.data()), policy.flags.check()));
  const TicketDataView data = TRY(parse_ticket_data(ticket, message.name()));
  return ReceivedResolve(std::make_shared<ResolveInit>(message, std::move(policy), data));
}

Result<AuthenticatedResolve> ReceivedResolve::authenticate(const Prepared<Psk>& psk,
                                                           const Identity& responder,
                                                           const Identity& kms) const {
  const HashContext around_all_hashes;
  SharedPrf key = TRY(verify_proof(init_->message, responder, kms, psk));
  return AuthenticatedResolve(init_, std::move(key), kms);
}

Result<AuthenticatedResolve> ReceivedResolve::authenticate(const PkAuthentication& pk,
                                                           const Identity& responder,
                                                           const Identity& kms) const {
  SharedPrf key = TRY(verify_proof(init_->message, responder, kms, pk));
  return AuthenticatedResolve(init_, std::move(key), kms);
}

Result<OpenedResolve> AuthenticatedResolve::open(const Prepared<Tpk>& tpk) const {
  const HashContext around_all_hashes;
  const TicketView& ticket = *message().ticket;
  const Suite& suite = suite_of(message().header.prf);
  OpenedTicket opened = TRY(open_ticket(ticket, init_->ticket_data, tpk, message().name()));
  const Place place = message().place("TICKET", "RFC 6043 12.1", ticket.ticket_data.data());
  TRY(check_key_lengths(suite, opened.session_keys, place));
  if (init_->policy.flags.has(TicketFlag::i_forking)) {
    TRY(verify_initiator_data(suite, ticket, opened.mpkr, message()));  // [6043-4.2.3.4-02]
  }
  return OpenedResolve(init_, std::move(opened), key_, kms_);
}

Result<ByteVector> AuthenticatedResolve::refuse(const Environment& env,
                                                const Refusal& refusal) const {
  const MessageKeys keys =
      TRY(resolve_keys(suite_of(message().header.prf), *key_, message().header.csb_id, false,
                       *message().randr_r, Protects::integrity));
  return build_error(TRY(fresh_t(env)), message().header, refusal, keys.auth);
}

Result<ByteVector> OpenedResolve::respond(const Environment& env, const Identity& responder) const {
  const HashContext around_all_hashes;
  const Suite& suite = sending_suite(env, message().header.prf);
  const std::uint32_t csb_id = message().header.csb_id;
  const bool forking = policy().flags.has(TicketFlag::i_forking);
  ByteVector randr_kms;
  Mpk mpkr_forked;
  std::vector<SessionKey> session_keys;
  if (forking) {
    randr_kms = TRY(env.random.bytes(
        std::max({suite.key_octets, ticket_.mpkr.size(), longest_tgk(ticket_.session_keys)})));
    session_keys.reserve(ticket_.session_keys.size());
    for (const SessionKey& key : ticket_.session_keys) {
      SessionKey& forked = session_keys.emplace_back(key.clone());
      // [6043-4.2.3.5-11] [6043-6.10-03]
      TRY(fork_session_key(policy().prf, forked, responder.bytes(), randr_kms));
    }
    mpkr_forked = TRY(fork_mpkr(policy().prf, ticket_.mpkr, responder.bytes(), randr_kms));
  }
  const PlainKeyData plain =
      forking ? encode_kemac_keys({&ticket_.mpki, &mpkr_forked}, ticket_.mpk_spi, session_keys)
              : encode_kemac_keys({&ticket_.mpki}, ticket_.mpk_spi, ticket_.session_keys);

  const Timestamp t = TRY(fresh_t(env));  // [6043-4.2.3.5-03]
  const MessageKeys keys = TRY(
      resolve_keys(suite, *key_, csb_id, true, *message().randr_r, Protects::integrity_and_keys));
  const ByteVector encrypted = TRY(seal_kemac(suite, keys, csb_id, t, plain));
  // [6043-4.2.3.5-01] [6043-4.2.3.5-02]
  MessageBuilder builder(DataType::resolve_resp, false, suite.prf, csb_id);
  builder.t(t).idr(IdRole::kms, kms_).kemac(suite.encr, encrypted);
  // [6043-4.2.3.5-12]
  if (forking) builder.idr(IdRole::responder, responder).randr(RandRole::kms, randr_kms);
  return finish_with_mac(std::move(builder), suite, keys.auth, {message().bytes});
}

Result<ReceivedError> OpenedResolve::read_error(Bytes error) const {
  const MessageKeys keys =
      TRY(resolve_keys(suite_of(message().header.prf), *key_, message().header.csb_id, true,
                       *message().randr_r, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), message().header.prf,
                           message().header.csb_id, keys.auth);
}

}  // namespace keystub::mikey
