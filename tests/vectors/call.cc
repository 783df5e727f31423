#include "tests/vectors/call.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <stdexcept>

#include "tests/support/fake_clock.h"
#include "tests/vectors/openssl_salt.h"

namespace keystub::vectors {
namespace {

using namespace mikey;

// Hands out one string of octets, however it is asked for.
class StreamRandom final : public RandomSource {
 public:
  explicit StreamRandom(const std::vector<ByteVector>& draws) {
    for (const ByteVector& draw : draws) octets_.insert(octets_.end(), draw.begin(), draw.end());
  }

  Result<void> fill(MutableBytes out) override {
    if (octets_.size() - at_ < out.size()) {
      return fail(Category::internal, "the inputs hold too few random octets");
    }
    std::copy_n(octets_.begin() + static_cast<std::ptrdiff_t>(at_), out.size(), out.begin());
    at_ += out.size();
    return {};
  }

 private:
  ByteVector octets_;
  std::size_t at_ = 0;
};

std::uint64_t number(const Json& hex) { return std::stoull(hex.get<std::string>(), nullptr, 16); }

Certificate certificate(const std::string& name) {
  const std::string pem = test_keys().at(name).at("certificate");
  return Certificate::from_pem(pem).value().front();
}
PrivateKey private_key(const std::string& name) {
  const std::string pem = test_keys().at(name).at("private_key");
  return PrivateKey::from_pem(PrivateKeyPem(as_bytes(pem))).value();
}

// What the KMS authenticates holders of certificates with.
struct KmsKeys {
  explicit KmsKeys(const Instead& instead)
      : anchors(TrustAnchors::make({certificate(anchor(instead))}).value()),
        pairs{KmsKeyPair::make(certificate("kms"), private_key("kms")).value()} {}

  static std::string anchor(const Instead& instead) {
    return instead.is_object() ? instead.value("trust_anchor", "root") : "root";
  }
  PkAuthentication at(WallTime now) const { return {anchors, pairs, now}; }

  TrustAnchors anchors;
  std::vector<KmsKeyPair> pairs;
};

template <class T>
T played(Result<T> result, std::string_view step) {
  if (!result) throw std::runtime_error(std::string(step) + ": " + result.error().describe());
  return *std::move(result);
}
template <class T>
Result<void> outcome(Result<T> result) {
  if (!result) return std::unexpected(std::move(result).error());
  return {};
}

std::string hex(Bytes bytes) { return to_hex(bytes); }

std::optional<Timestamp> ntp_utc_32(const Json& policy, const char* name) {
  if (!policy.contains(name)) return std::nullopt;
  return Timestamp{TsType::ntp_utc_32, number(policy.at(name))};
}

ByteVector octets_or(const Instead& instead, const char* name, const Json& otherwise) {
  return octets(instead.is_object() && instead.contains(name) ? instead.at(name) : otherwise);
}

WallTime time_of(const Instead& instead, const Timestamp& t) {
  if (instead.is_object() && instead.contains("now")) return from_ntp(number(instead.at("now")));
  return t.is_time() ? t.to_wall_time() : testing::kTestTime;
}

Json json_of(const SessionKey& key) {
  Json json{
      {"type", static_cast<int>(key.type)}, {"spi", hex(key.spi)}, {"key", hex(key.key.reveal())}};
  if (!key.salt.empty()) json["salt"] = hex(key.salt.reveal());
  return json;
}

Json json_of(const std::vector<EstablishedSession>& sessions) {
  Json all = Json::array();
  for (const EstablishedSession& session : sessions) {
    Json json{{"cs_id", session.cs_id}, {"tek", hex(session.tek.reveal())}};
    if (!session.salt.empty()) json["salt"] = hex(session.salt.reveal());
    all.push_back(std::move(json));
  }
  return all;
}

Json json_of(const MessageKeys& keys) {
  Json json{{"auth_key", hex(keys.auth.reveal())}};
  if (!keys.encr.empty()) {
    json["encr_key"] = hex(keys.encr.reveal());
    json["salt_key"] = hex(keys.salt.reveal());
  }
  return json;
}

// The message that a response answers; an initial message is its own.
std::string initial_of(const std::string& message) {
  const std::size_t resp = message.find("_RESP");
  if (resp == std::string::npos) return message;
  return message.substr(0, resp) + "_INIT" + message.substr(resp + 5);
}

// What the public-key variant draws after the RAND: envelope key, padding of PKE.
ByteVector envelope_randomness(const Json* pk) {
  if (pk == nullptr) return {};
  ByteVector all = octets(pk->at("envelope_key"));
  const ByteVector padding = octets(pk->at("padding"));
  all.insert(all.end(), padding.begin(), padding.end());
  return all;
}
ByteVector pss_salt(const Json* pk) {
  return pk != nullptr && pk->contains("pss_salt") ? octets(pk->at("pss_salt")) : ByteVector();
}

void require_same_keys(const EstablishedTransfer& a, const EstablishedTransfer& b) {
  for (std::size_t i = 0; i < a.sessions.size(); ++i) {
    if (!(a.sessions[i].tek == b.sessions.at(i).tek)) {
      throw std::runtime_error("the ends do not share a key");
    }
  }
}

}  // namespace

const Json& test_keys() {
  static const Json kKeys = [] {
    std::ifstream file(KEYSTUB_SOURCE_DIR "/tests/vectors/test_keys.json");
    return Json::parse(file);
  }();
  return kKeys;
}

// The clock and the randomness of one step.
class Call::Step final : public TimestampSource {
 public:
  Step(const Call& call, std::initializer_list<const Json*> times,
       std::initializer_list<ByteVector> draws)
      : call_(&call), times_(times), random_(std::vector(draws)) {}

  Result<Timestamp> next() override {
    if (times_.empty()) return fail(Category::internal, "the inputs hold too few timestamps");
    const Timestamp t{call_->ts_type_, number(*times_.front())};
    times_.pop_front();
    return t;
  }
  Environment env() { return {clock_, random_, this, call_->suite_->encr == EncrAlg::aes_kw_128}; }

 private:
  const Call* call_;
  std::deque<const Json*> times_;
  testing::FakeClock clock_;
  StreamRandom random_;
};

Call::Call(const Json& inputs) : inputs_(inputs) {
  const Json& suite = inputs_.at("suite");
  suite_ = suite_of(static_cast<PrfFunc>(suite.at("prf").get<int>()),
                    static_cast<EncrAlg>(suite.at("encr_alg").get<int>()));
  ts_type_ = static_cast<TsType>(inputs_.at("ts_type").get<int>());
  for (const auto& [role, uri] : inputs.at("identities").items()) {
    identities_.emplace(role, Identity::uri(uri.get<std::string>()));
  }
  const auto known_as = [&](const std::string& role, const std::string& end, auto& psk, auto& pk,
                            ByteVector& key) {
    if (inputs_.contains("pk_" + end)) {
      pk.emplace(pk_credentials(role, inputs_.at("pk_" + end)));
      key = octets(inputs_.at("pk_" + end).at("envelope_key"));
    } else if (inputs_.contains("psk_" + end)) {
      psk.emplace(psk_credentials(role, inputs_.at("psk_" + end)));
      key = octets(inputs_.at("psk_" + end).at("key"));
    }
  };
  known_as("initiator", "i", initiator_psk_, initiator_pk_, request_key_);
  known_as("responder", "r", responder_psk_, responder_pk_, resolve_key_);
  if (inputs_.contains("request")) {
    play_request();
  } else {
    issue();
  }
  play_transfer();
  if (inputs_.contains("transfer_2")) play_again();
}

KmsCredentials Call::psk_credentials(const std::string& role, const Json& psk) const {
  return {identities_.at(role), identities_.at("kms"), psk.at("id"), Psk(octets(psk.at("key")))};
}

PkCredentials Call::pk_credentials(const std::string& role, const Json& pk) const {
  CertificateChain chain;
  for (const Json& name : pk.at("certificates")) chain.push_back(certificate(name));
  return {identities_.at(role),
          identities_.at("kms"),
          std::move(chain),
          private_key(pk.at("certificates").front()),
          KmsCertificate::pinned(certificate("kms")).value(),
          static_cast<SignatureType>(pk.at("signature_type").get<int>())};
}

bool Call::uses_certificates(const std::string& message) const {
  return (message == "REQUEST_INIT" && initiator_pk_) ||
         (message == "RESOLVE_INIT" && responder_pk_);
}

TicketProtection Call::protection() const {
  const Json& tpk = inputs_.at("tpk");
  return {Tpk(octets(tpk.at("key"))), tpk.at("id"), to_string(octets(tpk.at("thdr")))};
}

TicketPolicy Call::policy(const Json& json) const {
  TicketPolicy policy;
  const auto type = json.at("ticket_type").get<std::vector<int>>();
  policy.type = {static_cast<std::uint16_t>(type.at(0)), static_cast<std::uint8_t>(type.at(1)),
                 static_cast<std::uint8_t>(type.at(2))};
  policy.prf = suite_->prf;
  policy.flags = TicketFlags::from_letters(json.at("flags").get<std::string>()).value();
  if (json.contains("idr_kms")) policy.idr_kms = Identity::uri(json.at("idr_kms"));
  if (json.contains("idr_i")) policy.idr_i = Identity::uri(json.at("idr_i"));
  policy.trs = ntp_utc_32(json, "trs");
  policy.tre = ntp_utc_32(json, "tre");
  policy.trr = ntp_utc_32(json, "trr");
  for (const Json& uri : json.at("idr_app")) policy.idr_app.push_back(Identity::uri(uri));
  for (const Json& uri : json.at("idr_r")) policy.idr_r.push_back(Identity::uri(uri));
  for (const Json& key : inputs_.at("ticket").at("session_keys")) {
    const ByteVector salt = key.contains("salt") ? octets(key.at("salt")) : ByteVector();
    policy.keys.push_back({static_cast<KeyType>(key.at("type").get<int>()),
                           static_cast<std::uint16_t>(octets(key.at("key")).size()),
                           static_cast<std::uint16_t>(salt.size()), octets(key.at("spi"))});
  }
  return policy;
}

std::vector<CryptoSession> Call::sessions(const char* which) const {
  std::vector<CryptoSession> sessions;
  for (const Json& session : inputs_.at(which)) {
    sessions.push_back({session.at("cs_id"),
                        static_cast<ProtType>(session.at("prot_type").get<int>()), session.at("s"),
                        session.at("policies").get<ByteVector>(),
                        octets(session.at("session_data")), octets(session.at("spi"))});
  }
  return sessions;
}

std::vector<SessionKey> Call::supplied_keys(const char* which) const {
  std::vector<SessionKey> keys;
  if (!inputs_.contains(which)) return keys;
  for (const Json& key : inputs_.at(which)) {
    const ByteVector salt = key.contains("salt") ? octets(key.at("salt")) : ByteVector();
    keys.push_back({static_cast<KeyType>(key.at("type").get<int>()),
                    CarriedKey(octets(key.at("key"))), SaltKey(salt), octets(key.at("spi"))});
  }
  return keys;
}

std::vector<SecurityPolicy> Call::security_policies() const {
  std::vector<SecurityPolicy> policies;
  for (const Json& policy : inputs_.at("security_policies")) {
    policies.push_back({policy.at("policy_no"),
                        static_cast<ProtType>(policy.at("prot_type").get<int>()),
                        octets(policy.at("parameters"))});
  }
  return policies;
}

// In the order in which a ticket's maker draws them (mikey/ticket.h).
ByteVector Call::ticket_randomness() const {
  const Json& ticket = inputs_.at("ticket");
  ByteVector all = octets(ticket.at("mpk_spi"));
  const auto append = [&all](const Json& hex) {
    const ByteVector more = octets(hex);
    all.insert(all.end(), more.begin(), more.end());
  };
  append(ticket.at("mpk"));
  for (const Json& key : ticket.at("session_keys")) {
    append(key.at("key"));
    if (key.contains("salt")) append(key.at("salt"));
  }
  append(ticket.at("rand"));
  return all;
}

const ByteVector& Call::add(const std::string& name, ByteVector message) {
  messages_.emplace_back(name, std::move(message));
  return messages_.back().second;
}

const ByteVector& Call::message(const std::string& name) const {
  return std::ranges::find(messages_, name, &std::pair<std::string, ByteVector>::first)->second;
}
bool Call::has(const std::string& name) const {
  return std::ranges::find(messages_, name, &std::pair<std::string, ByteVector>::first) !=
         messages_.end();
}

// --- The parties ---------------------------------------------------------------------------

void Call::play_request() {
  const Json& in = inputs_.at("request");
  const TicketPolicy wish = policy(inputs_.at("policy"));
  const auto start = [&](const auto& credentials, const Json* pk) {
    Step init(*this, {&in.at("t_init")},
              {octets(in.at("csb_id")), octets(in.at("randr_i")), envelope_randomness(pk)});
    const OpenSslSalt salt(pss_salt(pk));
    return played(TicketRequest::start(init.env(), credentials, wish), "REQUEST_INIT");
  };
  request_.emplace(initiator_pk_ ? start(*initiator_pk_, &inputs_.at("pk_i"))
                                 : start(*initiator_psk_, nullptr));
  const ByteVector& request_init = add("REQUEST_INIT", to_vector(request_->message()));

  Step resp(*this, {&inputs_.at("ticket").at("t"), &in.at("t_resp")}, {ticket_randomness()});
  authenticated_request_.emplace(
      played(authenticate_request(request_init, nullptr), "REQUEST_INIT"));
  const TicketPolicy granted = policy(
      inputs_.contains("granted_policy") ? inputs_.at("granted_policy") : inputs_.at("policy"));
  const auto grant = played(
      authenticated_request_->grant(resp.env(), granted, wish.keys, protection()), "REQUEST_RESP");
  ticket_ = std::make_shared<GrantedTicket>(
      played(request_->finish(add("REQUEST_RESP", grant.message)), "REQUEST_RESP"));
}

void Call::issue() {
  Step step(*this, {&inputs_.at("ticket").at("t")}, {ticket_randomness()});
  ticket_ = std::make_shared<GrantedTicket>(
      played(issue_ticket(step.env(), policy(inputs_.at("policy")), protection()), "ticket"));
}

TransferOffer Call::offer(const Json& transfer) const {
  Step step(*this, {&transfer.at("t_init")},
            {octets(transfer.at("csb_id")), octets(transfer.at("randr_i"))});
  OfferParameters parameters;
  parameters.initiator = identities_.at("initiator");
  parameters.responder = identities_.at("responder");
  parameters.sessions = sessions("crypto_sessions");
  parameters.policies = security_policies();
  parameters.sdp_ids = inputs_.value("sdp_ids", "");
  parameters.keys = supplied_keys("initiator_keys");
  parameters.accepted.keys = inputs_.contains("responder_keys");
  return played(TransferOffer::start(step.env(), ticket_, std::move(parameters)), "TRANSFER_INIT");
}

TransferAnswer Call::answer(const VerifiedTransfer& verified, const Json& transfer) const {
  const Json no_time = "00";
  Step step(*this, {transfer.contains("t_resp") ? &transfer.at("t_resp") : &no_time},
            {transfer.contains("randr_r") ? octets(transfer.at("randr_r")) : ByteVector()});
  ResponseParameters parameters;
  parameters.responder = identities_.at("responder");
  if (inputs_.contains("answered_sessions")) parameters.sessions = sessions("answered_sessions");
  parameters.keys = supplied_keys("responder_keys");
  return played(verified.respond(step.env(), std::move(parameters)), "TRANSFER_RESP");
}

Result<ResolvedTicket> Call::resolve(const ReceivedTransfer& received,
                                     const Instead& instead) const {
  const Tpk tpk(octets_or(instead, "tpk", inputs_.at("tpk").at("key")));
  if (inputs_.at("mode") == 2) return received.open_from_kms(tpk);
  if (inputs_.at("mode") == 4) {
    return received.open_from_initiator(tpk, identities_.at("initiator"));
  }
  const TicketResolve resolve = TRY(start_resolve(received.ticket()));
  const OpenedResolve opened = TRY(open(resolve.message(), instead));
  const Json& in = inputs_.at("resolve");
  Step resp(*this, {&in.at("t_resp")},
            {in.contains("randr_kms") ? octets(in.at("randr_kms")) : ByteVector()});
  return resolve.finish(TRY(opened.respond(resp.env(), identities_.at("responder"))));
}

void Call::play_transfer() {
  const Json& in = inputs_.at("transfer");
  offer_.emplace(offer(in));
  const auto received = played(
      ReceivedTransfer::parse(add("TRANSFER_INIT", to_vector(offer_->message()))), "TRANSFER_INIT");
  if (inputs_.contains("resolve")) play_resolve(received);
  ResolvedTicket resolved = played(resolve(received, nullptr), "RESOLVE_RESP");
  mpkr_forked_ = resolved.mpkr_forked.clone();
  for (const SessionKey& key : resolved.session_keys) forked_keys_.push_back(key.clone());
  verified_.emplace(
      played(received.verify(std::move(resolved), identities_.at("responder")), "TRANSFER_INIT"));
  TransferAnswer answered = answer(*verified_, in);
  answered_.emplace(std::move(answered.established));
  completed_.emplace(in.contains("t_resp")
                         ? played(offer_->accept(add("TRANSFER_RESP", std::move(answered.message))),
                                  "TRANSFER_RESP")
                         : played(offer_->complete(), "TRANSFER_INIT"));
  require_same_keys(*answered_, *completed_);
}

// The messages of the Ticket Resolve that resolve() plays by itself.
void Call::play_resolve(const ReceivedTransfer& received) {
  const Json& in = inputs_.at("resolve");
  resolve_.emplace(played(start_resolve(received.ticket()), "RESOLVE_INIT"));
  const ByteVector& resolve_init = add("RESOLVE_INIT", to_vector(resolve_->message()));
  authenticated_resolve_.emplace(
      played(authenticate_resolve(resolve_init, nullptr), "RESOLVE_INIT"));
  opened_resolve_.emplace(played(authenticated_resolve_->open(protection().key), "RESOLVE_INIT"));
  Step resp(*this, {&in.at("t_resp")},
            {in.contains("randr_kms") ? octets(in.at("randr_kms")) : ByteVector()});
  add("RESOLVE_RESP",
      played(opened_resolve_->respond(resp.env(), identities_.at("responder")), "RESOLVE_RESP"));
}

// The same ticket once more (RFC 6043 5.3): the responder kept what the KMS gave it.
void Call::play_again() {
  const Json& in = inputs_.at("transfer_2");
  kept_.emplace(played(verified_->keep_ticket(), "TRANSFER_INIT_2"));
  offer_2_.emplace(offer(in));
  const auto received =
      played(ReceivedTransfer::parse(add("TRANSFER_INIT_2", to_vector(offer_2_->message()))),
             "TRANSFER_INIT_2");
  const auto verified =
      played(received.verify(*kept_, identities_.at("responder")), "TRANSFER_INIT_2");
  TransferAnswer answered = answer(verified, in);
  answered_2_.emplace(std::move(answered.established));
  require_same_keys(*answered_2_,
                    played(offer_2_->accept(add("TRANSFER_RESP_2", std::move(answered.message))),
                           "TRANSFER_RESP_2"));
}

// --- What comes out ------------------------------------------------------------------------

Bytes Call::inkey_of(const std::string& message) const {
  if (message.starts_with("REQUEST")) return request_key_;
  if (message.starts_with("RESOLVE")) return resolve_key_;
  const bool forked = message.starts_with("TRANSFER_RESP") && forking();
  return forked ? mpkr_forked_.reveal() : ticket_->mpki.reveal();
}

MessageContext Call::context_of(const std::string& name) const {
  const Message initial = Message::parse(message(initial_of(name))).value();
  const Message parsed = Message::parse(message(name)).value();
  return {initial.header.csb_id, name != initial_of(name), initial.randr_i.value_or(Bytes()),
          initial.randr_r.value_or(parsed.randr_r.value_or(Bytes()))};
}

MessageKeys Call::keys_of(const std::string& name, Protects protects) const {
  return derive_message_keys(*suite_, inkey_of(name), context_of(name), protects).value();
}

AuthKey Call::auth_key_of(const std::string& name, std::optional<Bytes> own_rand) const {
  MessageContext context = context_of(name);
  if (!context.response && own_rand) {
    (name == "RESOLVE_INIT" ? context.randr_r : context.randr_i) = *own_rand;
  }
  return derive_message_keys(*suite_, inkey_of(name), context, Protects::integrity).value().auth;
}

Json Call::message_keys() const {
  Json all = Json::object();
  const Json& ticket = inputs_.at("ticket");
  all["ticket"] =
      json_of(derive_ticket_keys(*suite_, protection().key, octets(ticket.at("rand"))).value());
  for (const auto& [name, octets_of_it] : messages_) {
    const bool carries_keys = Message::parse(octets_of_it).value().kemac.has_value();
    all[name] =
        json_of(keys_of(name, carries_keys ? Protects::integrity_and_keys : Protects::integrity));
  }
  return all;
}

Json Call::results() const {
  Json results{{"ticket", hex(ticket_->body)}, {"mpki", hex(ticket_->mpki.reveal())}};
  if (forking()) {
    results["mpkr"] = hex(ticket_->mpkr.reveal());
    results["mpkr_forked"] = hex(mpkr_forked_.reveal());
    results["forked_keys"] = Json::array();
    for (const SessionKey& key : forked_keys_) results["forked_keys"].push_back(json_of(key));
  }
  results["crypto_sessions"] = json_of(answered_->sessions);
  if (answered_2_) results["crypto_sessions_2"] = json_of(answered_2_->sessions);
  return results;
}

// --- Receivers -----------------------------------------------------------------------------

std::string Call::receiver_of(const std::string& message) {
  if (message == "REQUEST_INIT" || message == "RESOLVE_INIT") return "kms";
  if (message == "REQUEST_RESP" || message.starts_with("TRANSFER_RESP")) return "initiator";
  return "responder";
}

Result<void> Call::receive(const std::string& name, Bytes octets, const Instead& instead) const {
  if (name == "REQUEST_INIT") return kms_receives_request(octets, instead);
  if (name == "RESOLVE_INIT") return kms_receives_resolve(octets, instead);
  if (name == "TRANSFER_INIT") return responder_receives_offer(octets, instead, nullptr);
  if (name == "TRANSFER_INIT_2") return responder_receives_offer(octets, instead, &*kept_);
  if (name == "TRANSFER_RESP_2") return outcome(offer_2_->accept(octets));
  if (name == "REQUEST_RESP") return outcome(request_->finish(octets));
  if (name == "RESOLVE_RESP") return outcome(resolve_->finish(octets));
  return outcome(offer_->accept(octets));
}

Result<AuthenticatedRequest> Call::authenticate_request(Bytes request_init,
                                                        const Instead& instead) const {
  const auto received = TRY(ReceivedRequest::parse(request_init));
  const Identity& self = identities_.at("initiator");
  const Identity& kms = identities_.at("kms");
  if (initiator_pk_) {
    const KmsKeys keys(instead);
    return received.authenticate(keys.at(time_of(instead, received.t())), self, kms);
  }
  const Psk psk(octets_or(instead, "psk_i", inputs_.at("psk_i").at("key")));
  return received.authenticate(psk, self, kms);
}

Result<AuthenticatedResolve> Call::authenticate_resolve(Bytes resolve_init,
                                                        const Instead& instead) const {
  const auto received = TRY(ReceivedResolve::parse(resolve_init));
  const Identity& self = identities_.at("responder");
  const Identity& kms = identities_.at("kms");
  if (responder_pk_) {
    const KmsKeys keys(instead);
    return received.authenticate(keys.at(time_of(instead, received.t())), self, kms);
  }
  const Psk psk(octets_or(instead, "psk_r", inputs_.at("psk_r").at("key")));
  return received.authenticate(psk, self, kms);
}

Result<TicketResolve> Call::start_resolve(const TicketView& ticket) const {
  const Json& in = inputs_.at("resolve");
  const Json* pk = responder_pk_ ? &inputs_.at("pk_r") : nullptr;
  Step init(*this, {&in.at("t_init")},
            {octets(in.at("csb_id")), octets(in.at("randr_r")), envelope_randomness(pk)});
  const OpenSslSalt salt(pss_salt(pk));
  if (responder_pk_) return TicketResolve::start(init.env(), *responder_pk_, ticket);
  return TicketResolve::start(init.env(), *responder_psk_, ticket);
}

Result<OpenedResolve> Call::open(Bytes resolve_init, const Instead& instead) const {
  const auto authenticated = TRY(authenticate_resolve(resolve_init, instead));
  const Tpk tpk(octets_or(instead, "tpk", inputs_.at("tpk").at("key")));
  return authenticated.open(tpk);
}

Result<void> Call::kms_receives_request(Bytes octets, const Instead& instead) const {
  return outcome(authenticate_request(octets, instead));
}

Result<void> Call::kms_receives_resolve(Bytes octets, const Instead& instead) const {
  const OpenedResolve opened = TRY(open(octets, instead));
  const Message& message = opened.message();
  return at(message.place("TICKET", "RFC 6043 4.2.3.4", message.ticket->body.data()),
            opened.policy().check_valid_at(time_of(instead, *message.t)));
}

// Early checks, then the KMS, then the verification with the keys that it returned.
Result<void> Call::responder_receives_offer(Bytes octets, const Instead& instead,
                                            const KeptTicket* kept) const {
  const auto received = TRY(ReceivedTransfer::parse(octets));
  Identity self = identities_.at("responder");
  if (instead.is_object() && instead.contains("identity")) {
    self = Identity::uri(instead.at("identity"));
  }
  ResponderProfile profile;
  profile.own_identities = {self};
  profile.accept_128_bit_suite = true;
  profile.require_forking = false;
  profile.require_single_tls_session = false;
  profile.accept_initiator_keys = inputs_.contains("initiator_keys");
  profile.accept_rekeying = true;
  TRY(received.check_early(profile, time_of(instead, received.t())));
  const Identity& responder = identities_.at("responder");
  if (kept != nullptr) return outcome(received.verify(*kept, responder));
  return outcome(received.verify(TRY(resolve(received, instead)), responder));
}

// --- Error messages ------------------------------------------------------------------------

Result<ByteVector> Call::error(const std::string& about, const Json& t, const Refusal& refusal,
                               bool authenticated) const {
  Step step(*this, {&t}, {});
  if (!authenticated) {
    return build_error(step.env(), Message::parse(message(about)).value().header, refusal);
  }
  if (about == "REQUEST_INIT") return authenticated_request_->refuse(step.env(), refusal);
  if (about == "REQUEST_RESP") return request_->refuse(step.env(), refusal);
  if (about == "RESOLVE_INIT") return authenticated_resolve_->refuse(step.env(), refusal);
  if (about == "RESOLVE_RESP") return resolve_->refuse(step.env(), refusal);
  if (about == "TRANSFER_INIT") return verified_->refuse(step.env(), refusal);
  return offer_->refuse(step.env(), message(about), refusal);
}

Result<ReceivedError> Call::read_error(const std::string& about, Bytes octets) const {
  if (about == "REQUEST_INIT") return request_->read_error(octets);
  if (about == "REQUEST_RESP") return authenticated_request_->read_error(octets);
  if (about == "RESOLVE_INIT") return resolve_->read_error(octets);
  if (about == "RESOLVE_RESP") return opened_resolve_->read_error(octets);
  if (about == "TRANSFER_INIT") return offer_->read_error(octets);
  CryptoSessionBundle bundle = answered_->bundle;
  return bundle.read_error(octets);
}

}  // namespace keystub::vectors
