#include "mikey/transfer_offer.h"

#include <algorithm>

#include "mikey/bundle_state.h"
#include "mikey/initiator_data.h"

namespace keystub::mikey {

std::vector<CryptoSession> tls_session(const std::vector<SessionKey>& keys, ProtType prot_type) {
  CryptoSession session;
  session.prot_type = prot_type;
  if (!keys.empty()) session.spi = keys.front().spi;
  return {std::move(session)};
}

// An answer whose MAC verifies, and what its IDRr and RANDRkms make of the ticket's keys.
struct TransferOffer::GenuineAnswer {
  Message message;
  const Suite* suite = nullptr;
  Identity peer;
  Bytes randr_r;  // empty without flag G
  Mpk mpk;        // MPKi, with key forking MPKr'
  std::vector<SessionKey> ticket_keys;
  MessageKeys keys;
};

Result<TransferOffer> TransferOffer::start(const Environment& env,
                                           std::shared_ptr<const GrantedTicket> ticket,
                                           OfferParameters parameters) {
  TransferOffer offer(std::move(ticket), std::move(parameters));
  TRY(offer.check_parameters());
  TRY(offer.build(env));
  const bool first = offer.ticket_->used.take();
  if (!first && !offer.ticket_->policy.flags.has(TicketFlag::j_reusable)) {
    // [6043-5.3-03] [6043-6.10-15]
    return fail(Category::conflict,
                "the ticket was used before, and its policy forbids to reuse it (J = 0): request "
                "another one");
  }
  return offer;
}

Result<void> TransferOffer::check_parameters() const {
  const TicketFlags flags = ticket_->policy.flags;
  const std::string_view message = name_of(DataType::transfer_init);
  if (!flags.has(TicketFlag::n_plain_initiator)) {  // [6043-6.10-21]
    return fail(
        Category::denied,
        "the ticket needs processing of its own by the initiator (N = 0), which is unknown");
  }
  TRY(check_crypto_sessions(parameters_.sessions, message));
  TRY(check_policies(parameters_.sessions, parameters_.policies, message));
  if (!flags.has(TicketFlag::f_response)) TRY(check_settled(parameters_.sessions, message));
  if (!parameters_.keys.empty()) {
    TRY(check_may_supply(flags, CsbRole::initiator, {}));  // [6043-4.2.2.1-10] [6043-6.10-18]
    TRY(check_supplied_keys(ticket_->suite(), parameters_.keys));
  }
  std::vector<SessionKey> all = clone(ticket_->session_keys);
  TRY(add_keys(all, clone(parameters_.keys), {}));
  if (!parameters_.group_randr_i.empty() && flags.has(TicketFlag::g_randr_r)) {
    return fail(Category::denied,
                "a group key needs the same RANDs in all Ticket Transfers, so the ticket must not "
                "ask for RANDRr (G = 0; RFC 6043 9)");  // [6043-9-02]
  }
  return {};
}

Result<void> TransferOffer::build(const Environment& env) {
  const GrantedTicket& granted = *ticket_;
  const TicketFlags flags = granted.policy.flags;
  const Suite& suite = sending_suite(env, granted.policy.prf);
  const std::size_t longest_key = std::max(
      {granted.mpki.size(), longest_tgk(granted.session_keys), longest_tgk(parameters_.keys)});
  // "An Initiator MUST check for collisions when choosing the ID". [3830-6.1-04] [3830-6.1-05]
  do {
    csb_id_ = TRY(fresh_csb_id(env));
  } while (std::ranges::find(parameters_.csb_ids_in_use, csb_id_) !=
           parameters_.csb_ids_in_use.end());
  if (parameters_.group_randr_i.empty()) {
    randr_i_ = TRY(env.random.bytes(std::max(suite.key_octets, longest_key)));
  } else {
    randr_i_ = parameters_.group_randr_i;
    TRY(check_rand_length(randr_i_.size(), longest_key, {}));
  }
  t_ = TRY(fresh_t(env));

  // "The value of the V flag SHALL agree with the F flag in the Ticket Policy". [6043-4.2.2.1-03]
  MessageBuilder builder(DataType::transfer_init, flags.has(TicketFlag::f_response), suite.prf,
                         csb_id_, parameters_.sessions);
  builder.t(t_)
      .randr(RandRole::initiator, randr_i_)
      .idr(IdRole::initiator, parameters_.initiator)
      .idr(IdRole::responder, parameters_.responder);
  for (const SecurityPolicy& policy : parameters_.policies) builder.sp(policy);
  if (!parameters_.sdp_ids.empty()) builder.ext(ExtType::sdp_ids, as_bytes(parameters_.sdp_ids));
  builder.ticket_without_initiator_data(granted.body);

  const bool with_keys = !parameters_.keys.empty();
  const MessageKeys keys =
      TRY(derive_message_keys(suite, granted.mpki.reveal(), {csb_id_, false, randr_i_, {}},
                              with_keys ? Protects::integrity_and_keys : Protects::integrity));
  if (with_keys) {
    const PlainKeyData plain = encode_kemac_keys({}, {}, parameters_.keys);
    builder.kemac(suite.encr, TRY(seal_kemac(suite, keys, csb_id_, t_, plain)));
  }
  const Mac mac = TRY(compute_mac(
      suite, keys.auth,
      {builder.begin_v(suite.mac), parameters_.initiator.bytes(), parameters_.responder.bytes()}));
  ByteVector initiator_data;
  if (flags.has(TicketFlag::i_forking)) {  // [6043-6.10-34]
    initiator_data = TRY(make_initiator_data(suite, granted.mpkr, mac));
  }
  message_ = TRY(std::move(builder).end_v(mac.bytes(), initiator_data));
  return {};
}

BundleState TransferOffer::bundle_state() const {
  BundleState state;
  state.role = CsbRole::initiator;
  state.csb_id = csb_id_;
  state.prf = ticket_->policy.prf;
  state.flags = ticket_->policy.flags;
  state.initiator = parameters_.initiator;
  state.responder = parameters_.responder;
  state.mpk = ticket_->mpki.clone();
  state.randr_i = randr_i_;
  state.ticket = ticket_->body;
  state.contents.policies = parameters_.policies;
  state.timestamps.start_with_ours(t_);
  return state;
}

Result<TransferOffer::GenuineAnswer> TransferOffer::authenticate(Bytes transfer_resp) const {
  const GrantedTicket& granted = *ticket_;
  const TicketFlags flags = granted.policy.flags;
  const PrfFunc prf = granted.policy.prf;
  GenuineAnswer answer;
  answer.message = TRY(Message::parse(transfer_resp));
  const Message& message = answer.message;
  TRY(require_type(message, DataType::transfer_resp));
  if (!flags.has(TicketFlag::f_response)) {  // [6043-6.10-07]
    return fail(Category::denied, "the Ticket Policy forbids a TRANSFER_RESP (F = 0)",
                Place{message.name(), "HDR", "RFC 6043 6.10", 1});
  }
  TRY(require_same_header(message, prf, csb_id_));
  TRY(require(message.t, message, "T", "RFC 6043 4.2.2.3"));
  answer.suite = TRY(require_one_suite(message));

  if (flags.has(TicketFlag::g_randr_r)) {
    answer.randr_r = TRY(require(message.randr_r, message, "RANDRr", "RFC 6043 4.2.2.3"));
  }
  answer.peer = message.idr_r ? Identity(*message.idr_r) : parameters_.responder;
  if (flags.has(TicketFlag::i_forking)) {
    TRY(require(message.idr_r, message, "IDRr", "RFC 6043 4.2.2.3"));
    const Bytes randr_kms =
        TRY(require(message.randr_kms, message, "RANDRkms", "RFC 6043 4.2.2.3"));
    TRY(check_rand_length(randr_kms.size(),
                          std::max(granted.mpkr.size(), longest_tgk(granted.session_keys)),
                          message.place("RANDR", "RFC 6043 12.1", randr_kms.data())));
    const Bytes id_data = answer.peer.bytes();
    answer.mpk = TRY(fork_mpkr(prf, granted.mpkr, id_data, randr_kms));
    for (const SessionKey& key : granted.session_keys) {
      SessionKey& forked = answer.ticket_keys.emplace_back(key.clone());
      TRY(fork_session_key(prf, forked, id_data, randr_kms));
    }
  } else {
    answer.mpk = granted.mpki.clone();
    answer.ticket_keys = clone(granted.session_keys);
  }

  answer.keys = TRY(derive_message_keys(
      *answer.suite, answer.mpk.reveal(), {csb_id_, true, randr_i_, answer.randr_r},
      message.kemac ? Protects::integrity_and_keys : Protects::integrity));
  TRY(verify_mac(*answer.suite, answer.keys.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));
  return answer;
}

Result<EstablishedTransfer> TransferOffer::accept(Bytes transfer_resp, ErrorsTaken errors) const {
  if (TRY(Message::parse(transfer_resp)).header.data_type == DataType::error) {
    return ended_by(read_error(transfer_resp), errors);
  }
  GenuineAnswer answer = TRY(authenticate(transfer_resp));
  const Message& message = answer.message;
  const TicketPolicy& policy = ticket_->policy;
  if (!parameters_.accept_group_members && !policy.names_responder(answer.peer.data)) {
    return fail(Category::denied,
                "the answer comes from " + answer.peer.data + ", whom the ticket does not name",
                message.place("IDR", "RFC 6043 4.2.2.4", message.bytes.data()));
  }

  const auto sessions = TRY(read_crypto_sessions(message));
  const auto made = TRY(read_policies(message));
  BundleState state = bundle_state();
  state.contents.policies = overlay(std::move(state.contents.policies), made);
  TRY(check_settled(sessions, message.name()));
  TRY(check_policies(sessions, state.contents.policies, message.name()));
  TRY(check_answer(sessions, parameters_.sessions, made, parameters_.accepted, message.name()));

  state.contents.keys = std::move(answer.ticket_keys);
  TRY(add_keys(state.contents.keys, clone(parameters_.keys), {}));
  if (message.kemac) {
    auto supplied = TRY(open_supplied_keys(*answer.suite, answer.keys, policy.flags,
                                           CsbRole::responder, parameters_.accepted, message));
    TRY(add_keys(state.contents.keys, std::move(supplied),
                 message.place("KEMAC", "RFC 6043 5.2", message.kemac->encr_data.data())));
  }
  TRY(check_rand_length(randr_i_.size() + answer.randr_r.size(),
                        std::max(ticket_->mpki.size(), longest_tgk(state.contents.keys)),
                        message.place("RANDR", "RFC 6043 12.1", message.bytes.data())));

  state.responder = answer.peer;
  state.mpk = std::move(answer.mpk);
  state.after_response = true;
  state.randr_r = to_vector(answer.randr_r);
  if (message.randr_kms) state.randr_kms = to_vector(*message.randr_kms);
  state.contents.sessions = sessions;
  state.timestamps.start_with_theirs(*message.t);
  return establish(std::move(state), message.name(), message.v->mac);
}

Result<EstablishedTransfer> TransferOffer::complete() const {
  if (ticket_->policy.flags.has(TicketFlag::f_response)) {
    return fail(Category::conflict,
                "the Ticket Policy wants a TRANSFER_RESP (F = 1): accept() it to complete");
  }
  BundleState state = bundle_state();
  state.contents.sessions = parameters_.sessions;
  state.contents.keys = clone(ticket_->session_keys);
  TRY(add_keys(state.contents.keys, clone(parameters_.keys), {}));
  return establish(std::move(state), name_of(DataType::transfer_init),
                   Bytes(message_).last(ticket_->suite().auth_octets));
}

Result<ReceivedError> TransferOffer::read_error(Bytes error) const {
  const MessageKeys keys =
      TRY(derive_message_keys(ticket_->suite(), ticket_->mpki.reveal(),
                              {csb_id_, false, randr_i_, {}}, Protects::integrity));
  return mikey::read_error(TRY(Message::parse(error)), ticket_->policy.prf, csb_id_, keys.auth);
}

Result<ByteVector> TransferOffer::refuse(const Environment& env, Bytes transfer_resp,
                                         const Refusal& refusal) const {
  const GenuineAnswer answer = TRY(authenticate(transfer_resp));
  return build_error(TRY(fresh_t(env)), answer.message.header, refusal, answer.keys.auth);
}

}  // namespace keystub::mikey
