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
  return message.ends_with("_RESP") ? message.substr(0, message.size() - 4) + "INIT" : message;
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

bool carries_keys(const std::string& message) {
  return message == "REQUEST_RESP" || message == "RESOLVE_RESP";
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
  if (inputs_.contains("pk_r")) {
    responder_pk_.emplace(pk_credentials("responder", inputs_.at("pk_r")));
    resolve_key_ = octets(inputs_.at("pk_r").at("envelope_key"));
  } else {
    responder_psk_.emplace(psk_credentials("responder", inputs_.at("psk_r")));
    resolve_key_ = octets(inputs_.at("psk_r").at("key"));
  }
  if (inputs_.contains("pk_i")) {
    initiator_pk_.emplace(pk_credentials("initiator", inputs_.at("pk_i")));
    request_key_ = octets(inputs_.at("pk_i").at("envelope_key"));
  } else if (inputs_.contains("psk_i")) {
    initiator_psk_.emplace(psk_credentials("initiator", inputs_.at("psk_i")));
    request_key_ = octets(inputs_.at("psk_i").at("key"));
  }
  if (inputs_.at("mode") == 1) {
    play_request();
  } else {
    issue();
  }
  play_transfer();
  play_resolve_and_answer();
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

std::vector<CryptoSession> Call::sessions() const {
  std::vector<CryptoSession> sessions;
  for (const Json& session : inputs_.at("crypto_sessions")) {
    sessions.push_back({session.at("cs_id"),
                        static_cast<ProtType>(session.at("prot_type").get<int>()), session.at("s"),
                        session.at("policies").get<ByteVector>(),
                        octets(session.at("session_data")), octets(session.at("spi"))});
  }
  return sessions;
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

void Call::play_transfer() {
  const Json& in = inputs_.at("transfer");
  Step step(*this, {&in.at("t_init")}, {octets(in.at("csb_id")), octets(in.at("randr_i"))});
  OfferParameters parameters;
  parameters.initiator = identities_.at("initiator");
  parameters.responder = identities_.at("responder");
  parameters.sessions = sessions();
  parameters.policies = security_policies();
  parameters.sdp_ids = inputs_.value("sdp_ids", "");
  offer_.emplace(
      played(TransferOffer::start(step.env(), ticket_, std::move(parameters)), "TRANSFER_INIT"));
  add("TRANSFER_INIT", to_vector(offer_->message()));
}

void Call::play_resolve_and_answer() {
  const ByteVector& transfer_init = message("TRANSFER_INIT");
  const auto received = played(ReceivedTransfer::parse(transfer_init), "TRANSFER_INIT");
  const Json& in = inputs_.at("resolve");
  resolve_.emplace(played(start_resolve(received.ticket()), "RESOLVE_INIT"));
  const ByteVector& resolve_init = add("RESOLVE_INIT", to_vector(resolve_->message()));

  Step resp(*this, {&in.at("t_resp")},
            {in.contains("randr_kms") ? octets(in.at("randr_kms")) : ByteVector()});
  authenticated_resolve_.emplace(
      played(authenticate_resolve(resolve_init, nullptr), "RESOLVE_INIT"));
  opened_resolve_.emplace(played(authenticated_resolve_->open(protection().key), "RESOLVE_INIT"));
  const ByteVector& resolve_resp = add(
      "RESOLVE_RESP",
      played(opened_resolve_->respond(resp.env(), identities_.at("responder")), "RESOLVE_RESP"));
  ResolvedTicket resolved = played(resolve_->finish(resolve_resp), "RESOLVE_RESP");
  mpkr_forked_ = resolved.mpkr_forked.clone();
  for (const SessionKey& key : resolved.session_keys) forked_keys_.push_back(key.clone());

  const auto verified =
      played(received.verify(std::move(resolved), identities_.at("responder")), "TRANSFER_INIT");
  const Json& transfer = inputs_.at("transfer");
  const bool responds = transfer.contains("t_resp");
  const Json no_time = "00";
  Step answering(*this, {responds ? &transfer.at("t_resp") : &no_time},
                 {transfer.contains("randr_r") ? octets(transfer.at("randr_r")) : ByteVector()});
  ResponseParameters parameters;
  parameters.responder = identities_.at("responder");
  TransferAnswer answer =
      played(verified.respond(answering.env(), std::move(parameters)), "TRANSFER_RESP");
  established_ = std::move(answer.established.sessions);
  const EstablishedTransfer completed =
      responds ? played(offer_->accept(add("TRANSFER_RESP", answer.message)), "TRANSFER_RESP")
               : played(offer_->complete(), "TRANSFER_INIT");
  for (std::size_t i = 0; i < established_.size(); ++i) {
    if (!(completed.sessions.at(i).tek == established_[i].tek)) {
      throw std::runtime_error("the ends do not share a key");
    }
  }
}

// --- What comes out ------------------------------------------------------------------------

Bytes Call::inkey_of(const std::string& message) const {
  if (message.starts_with("REQUEST")) return request_key_;
  if (message.starts_with("RESOLVE")) return resolve_key_;
  const bool forked = message == "TRANSFER_RESP" && forking();
  return forked ? mpkr_forked_.reveal() : ticket_->mpki.reveal();
}

MessageContext Call::context_of(const std::string& name) const {
  const Message initial = Message::parse(message(initial_of(name))).value();
  const Message parsed = Message::parse(message(name)).value();
  return {initial.header.csb_id, name.ends_with("_RESP"), initial.randr_i.value_or(Bytes()),
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
  for (const auto& [name, unused] : messages_) {
    all[name] = json_of(
        keys_of(name, carries_keys(name) ? Protects::integrity_and_keys : Protects::integrity));
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
  results["crypto_sessions"] = Json::array();
  for (const EstablishedSession& session : established_) {
    Json json{{"cs_id", session.cs_id}, {"tek", hex(session.tek.reveal())}};
    if (!session.salt.empty()) json["salt"] = hex(session.salt.reveal());
    results["crypto_sessions"].push_back(std::move(json));
  }
  return results;
}

// --- Receivers -----------------------------------------------------------------------------

std::string Call::receiver_of(const std::string& message) {
  if (message == "REQUEST_INIT" || message == "RESOLVE_INIT") return "kms";
  if (message == "REQUEST_RESP" || message == "TRANSFER_RESP") return "initiator";
  return "responder";
}

Result<void> Call::receive(const std::string& name, Bytes octets, const Instead& instead) const {
  if (name == "REQUEST_INIT") return kms_receives_request(octets, instead);
  if (name == "RESOLVE_INIT") return kms_receives_resolve(octets, instead);
  if (name == "TRANSFER_INIT") return responder_receives_offer(octets, instead);
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
Result<void> Call::responder_receives_offer(Bytes octets, const Instead& instead) const {
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
  profile.accept_rekeying = true;
  TRY(received.check_early(profile, time_of(instead, received.t())));
  const Json& in = inputs_.at("resolve");
  const auto resolve = TRY(start_resolve(received.ticket()));
  const OpenedResolve opened = TRY(open(resolve.message(), nullptr));
  Step resp(*this, {&in.at("t_resp")},
            {in.contains("randr_kms") ? vectors::octets(in.at("randr_kms")) : ByteVector()});
  const ByteVector response = TRY(opened.respond(resp.env(), identities_.at("responder")));
  return outcome(received.verify(TRY(resolve.finish(response)), identities_.at("responder")));
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
  return resolve_->refuse(step.env(), refusal);
}

Result<ReceivedError> Call::read_error(const std::string& about, Bytes octets) const {
  if (about == "REQUEST_INIT") return request_->read_error(octets);
  if (about == "REQUEST_RESP") return authenticated_request_->read_error(octets);
  if (about == "RESOLVE_INIT") return resolve_->read_error(octets);
  return opened_resolve_->read_error(octets);
}

}  // namespace keystub::vectors
