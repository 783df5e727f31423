#include "mikey/csb_update.h"

#include <algorithm>

#include "mikey/bundle_state.h"
#include "mikey/initiator_data.h"

namespace keystub::mikey {
namespace {

constexpr std::string_view kClause = "RFC 6043 5.2";

CsbRole other(CsbRole role) noexcept {
  return role == CsbRole::initiator ? CsbRole::responder : CsbRole::initiator;
}

constexpr IdRole id_role(CsbRole role) noexcept {
  return role == CsbRole::initiator ? IdRole::initiator : IdRole::responder;
}

// The one with this CS ID; the end where there is none.
auto find_session(auto& sessions, std::uint8_t cs_id) {
  return std::ranges::find(sessions, cs_id, &CryptoSession::cs_id);
}

// What the bundle becomes. Crypto sessions that are not named go on as they are, policies included:
// a policy number that one of them uses cannot come to mean something else.
Result<BundleContents> changed(const BundleContents& contents,
                               const std::vector<CryptoSession>& sessions,
                               const std::vector<SecurityPolicy>& policies,
                               std::vector<SessionKey> keys, const Place& place) {
  BundleContents next = contents.clone();
  next.policies = overlay(std::move(next.policies), policies);
  TRY(add_keys(next.keys, std::move(keys), place));
  for (const CryptoSession& session : sessions) {
    const auto known = find_session(next.sessions, session.cs_id);
    if (known == next.sessions.end()) {
      next.sessions.push_back(session);
    } else if (known->prot_type != session.prot_type) {
      return fail(Category::malformed,
                  "crypto session " + std::to_string(session.cs_id) +
                      " is for another security protocol in this bundle",
                  place);
    } else {
      *known = session;
    }
  }
  for (const CryptoSession& session : contents.sessions) {
    if (find_session(sessions, session.cs_id) != sessions.end()) continue;
    for (const std::uint8_t number : session.policies) {
      const auto by_number = [number](const std::vector<SecurityPolicy>& all) {
        return std::ranges::find(all, number, &SecurityPolicy::policy_no);
      };
      const auto before = by_number(contents.policies);
      const auto after = by_number(next.policies);
      if (before != contents.policies.end() && *before != *after) {
        return refuse(Category::malformed, ErrorNo::invalid_sp,
                      "policy " + std::to_string(number) + " is changed under crypto session " +
                          std::to_string(session.cs_id) + ", which the update does not name",
                      place);
      }
    }
  }
  return next;
}

// "Static payloads such as RANDRi, RANDRr, RANDRkms, and TICKET […] SHOULD NOT be included unless
// they are needed by a specific use case. New RANDs or TICKETs MUST NOT be included."
// [6043-5.2-05] [3830-4.5-03]
Result<void> check_static_payloads(const BundleState& state, const Message& message) {
  const auto same = [&](const std::optional<Bytes>& rand, const ByteVector& known,
                        std::string_view name) -> Result<void> {
    if (!rand || equal(*rand, known)) return {};
    return fail(Category::malformed,
                "the update brings another " + std::string(name) + " than the bundle has",
                message.place("RANDR", kClause, rand->data()));
  };
  TRY(same(message.randr_i, state.randr_i, "RANDRi"));
  TRY(same(message.randr_r, state.randr_r, "RANDRr"));
  TRY(same(message.randr_kms, state.randr_kms, "RANDRkms"));
  if (message.ticket && !equal(message.ticket->body, state.ticket)) {
    return refuse(Category::malformed, ErrorNo::invalid_ticket,
                  "the update brings another ticket than the bundle has",
                  message.place("TICKET", kClause, message.ticket->body.data()));
  }
  const auto identity = [&](const std::optional<IdentityView>& id,
                            const Identity& known) -> Result<void> {
    if (!id || Identity(*id) == known) return {};
    return refuse(Category::unauthenticated, ErrorNo::invalid_id,
                  "the update names another party than the bundle has",
                  message.place("IDR", kClause, id->data.data()));
  };
  TRY(identity(message.idr_i, state.initiator));
  return identity(message.idr_r, state.responder);
}

// A genuine message of the other side: T is remembered even if what it says is refused.
Result<void> admit(BundleState& state, const Message& message) {
  TRY(check_static_payloads(state, message));
  return state.timestamps.admit_theirs(
      *message.t, message.place("T", kClause, message.bytes.data()));  // [6043-5.2-02]
}

// The session keys that the other side sends.
Result<std::vector<SessionKey>> open_keys(const BundleState& state, const Suite& suite,
                                          const MessageKeys& keys,
                                          const AcceptedAdditions& accepted,
                                          const Message& message) {
  if (!message.kemac) return {};
  auto supplied =
      TRY(open_supplied_keys(suite, keys, state.flags, other(state.role), accepted, message));
  TRY(check_rand_length(state.randr_i.size() + state.randr_r.size(), longest_tgk(supplied),
                        message.place("KEMAC", "RFC 6043 12.1", message.kemac->encr_data.data())));
  return supplied;
}

Protects protects(bool with_keys) noexcept {
  return with_keys ? Protects::integrity_and_keys : Protects::integrity;
}

// Session keys that we are about to send.
Result<void> check_own_keys(const BundleState& state, const Suite& suite,
                            const std::vector<SessionKey>& keys) {
  if (keys.empty()) return {};
  TRY(check_may_supply(state.flags, state.role, {}));  // [6043-5.2-09]
  TRY(check_supplied_keys(suite, keys));
  return check_rand_length(state.randr_i.size() + state.randr_r.size(), longest_tgk(keys), {});
}

// The payloads that both messages of an update end with, and its MAC.
Result<ByteVector> finish(MessageBuilder&& builder, const BundleState& state, const Suite& suite,
                          const Timestamp& t, const std::vector<SecurityPolicy>& policies,
                          const std::vector<SessionKey>& own_keys,
                          std::initializer_list<Bytes> mac_covers) {
  for (const SecurityPolicy& policy : policies) builder.sp(policy);
  const MessageKeys keys = TRY(state.message_keys(suite, protects(!own_keys.empty())));
  if (!own_keys.empty()) {  // [6043-5.2-08] [6043-5.2-11] [6043-5.2-13]
    const PlainKeyData plain = encode_kemac_keys({}, {}, own_keys);
    builder.kemac(suite.encr, TRY(seal_kemac(suite, keys, state.csb_id, t, plain)));
  }
  return finish_with_mac(std::move(builder), suite, keys.auth, mac_covers);
}

}  // namespace

// --- The side that starts
// -------------------------------------------------------------------------

Result<SentUpdate> SentUpdate::start(const Environment& env, const CryptoSessionBundle& bundle,
                                     UpdateParameters parameters) {
  SentUpdate update(bundle, std::move(parameters));
  TRY(update.build(env));
  return update;
}

SentUpdate::~SentUpdate() {
  BundleState* const state = bundle_.state_.get();
  if (state != nullptr && state->update_under_way == number_) state->update_under_way = 0;
}

Result<void> SentUpdate::build(const Environment& env) {
  BundleState& state = *bundle_.state_;
  if (state.update_under_way != 0) {
    return fail(Category::conflict,
                "an update of this bundle waits for its answer: await it, or drop it first");
  }
  const std::string_view name = name_of(DataType::transfer_init);
  const Suite& suite = sending_suite(env, state.prf);
  TRY(check_crypto_sessions(parameters_.sessions, name));
  if (!parameters_.with_response) TRY(check_settled(parameters_.sessions, name));
  TRY(check_own_keys(state, suite, parameters_.keys));
  const BundleContents next = TRY(changed(state.contents, parameters_.sessions,
                                          parameters_.policies, clone(parameters_.keys), {}));
  TRY(check_policies(parameters_.sessions, next.policies, name));
  std::vector<CryptoSession> keyed = parameters_.sessions;
  std::erase_if(keyed, [](const CryptoSession& session) { return session.spi.empty(); });
  TRY(state.derive(next, keyed, name));

  const Timestamp t = TRY(state.timestamps.next_ours(env));  // [6043-5.2-02] [3830-4.5-02]
  // "the V flag SHALL be used to indicate whether or not a response message is expected".
  // [6043-5.2-01] [6043-5.2-03] [6043-5.2-04] [3830-4.5-01]
  MessageBuilder builder(DataType::transfer_init, parameters_.with_response, suite.prf,
                         state.csb_id, parameters_.sessions);
  builder.t(t).idr(id_role(state.role), state.self()).idr(id_role(other(state.role)), state.peer());
  message_ = TRY(finish(std::move(builder), state, suite, t, parameters_.policies, parameters_.keys,
                        {state.initiator.bytes(), state.responder.bytes()}));
  number_ = state.update_under_way = ++state.updates_sent;
  return {};
}

Result<void> SentUpdate::check_under_way() const {
  if (bundle_.state_->update_under_way == number_) return {};
  return fail(Category::conflict,
              "this update is over: it was completed, or one of the other side's went first");
}

Result<std::vector<EstablishedSession>> SentUpdate::accept(Bytes transfer_resp,
                                                           ErrorsTaken errors) {
  TRY(check_under_way());
  BundleState& state = *bundle_.state_;
  const Message message = TRY(Message::parse(transfer_resp));
  if (message.header.data_type == DataType::error) {
    return ended_by(bundle_.read_error(transfer_resp), errors);
  }
  TRY(require_type(message, DataType::transfer_resp));
  if (!parameters_.with_response) {
    return fail(Category::denied, "the update asked for no response",
                Place{message.name(), "HDR", kClause, 1});
  }
  TRY(require_same_header(message, state.prf, state.csb_id));
  TRY(require(message.t, message, "T", kClause));
  const Suite& suite = *TRY(require_one_suite(message));
  const MessageKeys keys = TRY(state.message_keys(suite, protects(message.kemac.has_value())));
  TRY(verify_mac(suite, keys.auth, {message.without_mac(), message_}, message.v->mac,
                 message.place("V", "RFC 6043 5.5", message.v->mac.data())));
  TRY(admit(state, message));

  const auto sessions = TRY(read_crypto_sessions(message));
  const auto made = TRY(read_policies(message));
  TRY(check_settled(sessions, message.name()));
  TRY(check_answer(sessions, parameters_.sessions, made, parameters_.accepted, message.name()));
  const Place place{message.name(), "HDR", kClause, 0};
  BundleContents next = TRY(changed(state.contents, parameters_.sessions, parameters_.policies,
                                    clone(parameters_.keys), place));
  next = TRY(changed(next, sessions, made,
                     TRY(open_keys(state, suite, keys, parameters_.accepted, message)), place));
  TRY(check_policies(sessions, next.policies, message.name()));
  // "a session key MUST be provided for each crypto session" [6043-5.2-10]
  auto established = TRY(state.derive(next, sessions, message.name()));
  state.contents = std::move(next);
  state.update_under_way = 0;
  return established;
}

Result<std::vector<EstablishedSession>> SentUpdate::complete() {
  TRY(check_under_way());
  BundleState& state = *bundle_.state_;
  if (parameters_.with_response) {
    return fail(Category::conflict, "the update asked for a response: accept() it to complete");
  }
  BundleContents next = TRY(changed(state.contents, parameters_.sessions, parameters_.policies,
                                    clone(parameters_.keys), {}));
  auto established =
      TRY(state.derive(next, parameters_.sessions, name_of(DataType::transfer_init)));
  state.contents = std::move(next);
  state.update_under_way = 0;
  return established;
}

// --- The side that answers
// ------------------------------------------------------------------------

Result<ReceivedUpdate> ReceivedUpdate::parse(Bytes transfer_init) {
  Message message = TRY(Message::parse(transfer_init));
  TRY(require_type(message, DataType::transfer_init));
  TRY(require(message.t, message, "T", kClause));
  TRY(require_one_suite(message));
  TRY(read_crypto_sessions(message));
  return ReceivedUpdate(std::move(message));
}

Result<VerifiedUpdate> ReceivedUpdate::verify(const CryptoSessionBundle& bundle,
                                              const AcceptedAdditions& accepted) const {
  BundleState& state = *bundle.state_;
  TRY(require_same_header(message_, state.prf, state.csb_id));  // [6043-5.2-01] [3830-4.5-01]
  const Suite& suite = *TRY(require_one_suite(message_));
  const MessageKeys keys = TRY(state.message_keys(suite, protects(message_.kemac.has_value())));
  const CoveredTransferInit covered = covered_by_mac(message_);
  TRY(verify_mac(suite, keys.auth,
                 {covered.before, covered.after, state.initiator.bytes(), state.responder.bytes()},
                 message_.v->mac, message_.place("V", "RFC 6043 5.5", message_.v->mac.data())));
  TRY(admit(state, message_));
  if (state.update_under_way != 0) {
    if (state.role == CsbRole::initiator) {
      return fail(Category::conflict,
                  "both sides started an update; that of the bundle's initiator goes first",
                  Place{message_.name(), "HDR", kClause, 0});
    }
    state.update_under_way = 0;  // ours gives way
  }

  VerifiedUpdate update(message_, bundle);
  update.sessions_ = TRY(read_crypto_sessions(message_));
  update.policies_ = TRY(read_policies(message_));
  update.keys_ = TRY(open_keys(state, suite, keys, accepted, message_));
  const Place place{message_.name(), "HDR", kClause, 0};
  for (const CryptoSession& session : update.sessions_) {
    const bool known =
        find_session(state.contents.sessions, session.cs_id) != state.contents.sessions.end();
    if (!known && !accepted.crypto_sessions) {
      return refuse(Category::denied, ErrorNo::invalid_sp,
                    "crypto session " + std::to_string(session.cs_id) +
                        " is new, and the update may not add any",
                    place);
    }
  }
  if (!update.policies_.empty() && !accepted.policies) {
    return refuse(Category::denied, ErrorNo::invalid_sppar,
                  "the update brings security policies, which are not accepted here", place);
  }
  const BundleContents next =
      TRY(changed(state.contents, update.sessions_, update.policies_, clone(update.keys_), place));
  TRY(check_policies(update.sessions_, next.policies, message_.name()));
  if (!update.wants_response()) TRY(check_settled(update.sessions_, message_.name()));
  return update;
}

// A session without SPI starts with the first of the new keys or, where none came, stays with its
// own.
std::vector<CryptoSession> VerifiedUpdate::settle_sessions(const BundleState& state,
                                                           const UpdateResponse& response) const {
  const SessionKey* first = nullptr;
  for (const auto* keys : {&keys_, &response.keys}) {
    if (first == nullptr && !keys->empty()) first = &keys->front();
  }
  std::vector<CryptoSession> sessions = settle(response.sessions, sessions_, first);
  for (CryptoSession& session : sessions) {
    const auto known = find_session(state.contents.sessions, session.cs_id);
    if (session.spi.empty() && known != state.contents.sessions.end()) session.spi = known->spi;
  }
  return sessions;
}

Result<UpdateAnswer> VerifiedUpdate::respond(const Environment& env,
                                             const UpdateResponse& response) {
  BundleState& state = *bundle_.state_;
  if (answered_) return fail(Category::conflict, "the update was answered already");
  const bool answers = wants_response();
  if (!answers &&
      !(response.sessions.empty() && response.policies.empty() && response.keys.empty())) {
    return fail(Category::denied,
                "no response is expected: what TRANSFER_INIT says cannot be changed");
  }
  const std::string_view name =
      name_of(answers ? DataType::transfer_resp : DataType::transfer_init);
  const Suite& suite = sending_suite(env, state.prf);
  const auto sessions = settle_sessions(state, response);
  TRY(check_crypto_sessions(sessions, name));
  TRY(check_settled(sessions, name));
  TRY(check_answer(sessions, sessions_, response.policies,
                   {.keys = true, .crypto_sessions = true, .policies = true}, name));
  TRY(check_own_keys(state, suite, response.keys));
  BundleContents next = TRY(changed(state.contents, sessions_, policies_, clone(keys_), {}));
  next = TRY(changed(next, sessions, response.policies, clone(response.keys), {}));
  TRY(check_policies(sessions, next.policies, name));
  auto established = TRY(state.derive(next, sessions, name));  // [6043-5.2-10]

  ByteVector message;
  if (answers) {
    const Timestamp t = TRY(state.timestamps.next_ours(env));
    MessageBuilder builder(DataType::transfer_resp, false, suite.prf, state.csb_id, sessions);
    builder.t(t).idr(id_role(state.role), state.self());
    message = TRY(finish(std::move(builder), state, suite, t, response.policies, response.keys,
                         {message_.bytes}));
  }
  state.contents = std::move(next);
  answered_ = true;
  return UpdateAnswer{std::move(message), std::move(established)};
}

Result<ByteVector> VerifiedUpdate::refuse(const Environment& env, const Refusal& refusal) {
  return bundle_.refuse(env, refusal);
}

}  // namespace keystub::mikey
