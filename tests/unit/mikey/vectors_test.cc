// The scenarios of the vectors, byte for byte: every derivation, MAC and encryption by itself, and
// every message as the exchanges build it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "mikey/csb_update.h"
#include "mikey/derivation.h"
#include "mikey/protection.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/support/scripted_random.h"
#include "tests/support/vectors.h"

namespace keystub::mikey {
namespace {

using testing::hex;
using testing::Scenario;
using testing::ScriptedRandom;
using testing::VectorClock;

Scenario load(const std::string& name) { return {KEYSTUB_SOURCE_DIR, name}; }

// The label that the library builds for a derivation of the vectors, by the vectors' name for it.
Label label_for(const Scenario& s, const std::string& name) {
  const std::map<std::string, KeyConstant> message_keys = {{"auth_key", KeyConstant::message_auth},
                                                           {"encr_key", KeyConstant::message_encr},
                                                           {"salt_key", KeyConstant::message_salt}};
  const std::map<std::string, KeyConstant> session_keys = {{"TEK", KeyConstant::tek},
                                                           {"salt", KeyConstant::session_salt},
                                                           {"auth", KeyConstant::session_auth},
                                                           {"encr", KeyConstant::session_encr}};
  const ByteVector ticket_rand = s.octets("ticket_rand");
  const ByteVector init_randri = s.octets("transfer_randri");
  const ByteVector resp_randrr = s.octets("transfer_randrr");
  const auto csb_id = [&](const std::string& input) {
    return static_cast<std::uint32_t>(std::stoul(s.input(input), nullptr, 16));
  };
  if (name == "MPKi") return Label::mpk(KeyConstant::mpki, ticket_rand);
  if (name == "MPKr") return Label::mpk(KeyConstant::mpkr, ticket_rand);
  if (name == "TGK'" || name == "MPKr'") {
    const ByteVector resp = s.message("RESOLVE_RESP");
    const auto message = Message::parse(resp).value();
    return Label::forking(name == "TGK'" ? KeyConstant::tgk_forked : KeyConstant::mpkr_forked,
                          message.idr_r->data, s.octets("randrkms"));
  }
  const std::string what = name.substr(0, name.find(' '));
  const std::string key = name.substr(name.rfind(' ') + 1);
  if (what == "Vr") return Label::initiator_data(message_keys.at(key));
  if (what == "ticket") return Label::ticket(message_keys.at(key), ticket_rand);
  if (what == "CS") {
    const bool with_randri =
        TicketFlags::from_letters(s.input("ticket_flags")).value().has(TicketFlag::h_randr_i);
    return Label::session(session_keys.at(key), static_cast<std::uint8_t>(name[3] - '0'),
                          with_randri ? Bytes(init_randri) : Bytes(), resp_randrr);
  }
  const bool response = what.ends_with("RESP");
  if (what.starts_with("REQUEST")) {
    return Label::message(message_keys.at(key), csb_id("request_csb_id"), response,
                          s.octets("request_randri"), {});
  }
  if (what.starts_with("RESOLVE")) {
    return Label::message(message_keys.at(key), csb_id("resolve_csb_id"), response, {},
                          s.octets("resolve_randrr"));
  }
  return Label::message(message_keys.at(key), csb_id("transfer_csb_id"), response, init_randri,
                        response ? Bytes(resp_randrr) : Bytes());
}

constexpr AcceptedAdditions kAll{.keys = true, .crypto_sessions = true, .policies = true};

class Vectors : public ::testing::TestWithParam<const char*> {};

// [6043-5.1.1-01] [6043-5.1.2-02] [6043-5.1.2-03] [6043-5.1.2-04] [6043-5.1.2-05] [6043-5.1.3-01]
// [6043-5.1.3-02] [6043-6.1-02] [6043-6.1-03] [6043-6.1-04] [6043-6.10-41] [6043-A.2-01]
// [3830-4.1.3-01] [3830-4.2.1-01] [3830-4.2.2-02] [6043-12.1-09]
TEST_P(Vectors, EveryDerivationHasItsLabelAndItsKey) {
  const Scenario s = load(GetParam());
  int derivations = 0;
  for (const auto& step : s.steps()) {
    if (step.at("step") != "derive") continue;
    ++derivations;
    const std::string name = step.at("name");
    EXPECT_EQ(to_hex(label_for(s, name).bytes()), step.at("label").get<std::string>()) << name;
    auto prf = Prf::keyed(static_cast<PrfFunc>(step.at("prf").get<int>()),
                          hex(step.at("inkey").get<std::string>()))
                   .value();
    ByteVector outkey(step.at("outkey_bits").get<std::size_t>() / 8);
    ASSERT_TRUE(prf.derive(hex(step.at("label").get<std::string>()), outkey).has_value());
    EXPECT_EQ(to_hex(outkey), step.at("outkey").get<std::string>()) << name;
  }
  EXPECT_GT(derivations, 8);
}

// [6043-5.5-01] [6043-5.5-02] [6043-5.5-04] [6043-A.1-08] [3830-4.2.1-01] [3830-4.2.4-01]
// [6043-6.2-02] [6043-12.1-09]
TEST_P(Vectors, EveryMacIsComputed) {
  const Scenario s = load(GetParam());
  for (const auto& step : s.steps()) {
    if (step.at("step") != "mac") continue;
    const AuthKey key(hex(step.at("key").get<std::string>()));
    const Mac mac = compute_mac(s.suite(), key, {hex(step.at("input").get<std::string>())}).value();
    EXPECT_EQ(to_hex(mac.bytes()), step.at("tag").get<std::string>()) << step.at("what");
  }
}

// What an encryption of the vectors is made with besides its keys.
struct EncryptionContext {
  std::uint32_t csb_id;
  std::string t;
};
EncryptionContext encryption_context(const Scenario& s, const std::string& what, int updates) {
  if (what.starts_with("ticket")) return {0xFFFFFFFF, "ticket_t"};
  const auto csb_id = [&](const std::string& exchange) {
    return static_cast<std::uint32_t>(std::stoul(s.input(exchange + "_csb_id"), nullptr, 16));
  };
  if (what.starts_with("REQUEST")) return {csb_id("request"), "request_resp_t"};
  if (what.starts_with("RESOLVE")) return {csb_id("resolve"), "resolve_resp_t"};
  if (what.starts_with("TRANSFER_INIT")) return {csb_id("transfer"), "transfer_init_t"};
  if (what.starts_with("TRANSFER_RESP")) return {csb_id("transfer"), "transfer_resp_t"};
  const char* const update_times[] = {"update1_t1", "update1_t2", "update2_t1"};
  return {csb_id("transfer"), update_times[updates]};
}

// [6043-A.1-02] [6043-A.1-05] [6043-6.2-01] [6043-6.3-02] [6043-12.1-09]
TEST_P(Vectors, EveryEncryptionIsComputed) {
  const Scenario s = load(GetParam());
  int updates = 0;
  for (const auto& step : s.steps()) {
    if (step.at("step") != "encrypt") continue;
    const std::string what = step.at("what");
    const EncryptionContext context = encryption_context(s, what, updates);
    if (what.starts_with("update")) ++updates;
    MessageKeys keys;
    keys.encr = EncrKey(hex(step.at("key").get<std::string>()));
    keys.salt = SaltKey(hex(step.at("salt").get<std::string>()));
    const PlainKeyData plain(hex(step.at("input").get<std::string>()));
    const Suite& suite = *suite_of(s.prf(), static_cast<EncrAlg>(step.at("alg").get<int>()));
    const ByteVector sealed =
        seal_kemac(suite, keys, context.csb_id, s.timestamp(context.t), plain).value();
    EXPECT_EQ(to_hex(sealed), step.at("output").get<std::string>()) << what;
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Vectors,
                         ::testing::Values("a", "b", "c", "d", "e", "f", "g", "h2", "h4", "i", "j",
                                           "k", "l", "m", "n"));

// Plays a scenario with all three parties. Every message that our side builds is compared with the
// vectors' before the next party reads it.
class Play {
 public:
  explicit Play(Scenario scenario)
      : s_(std::move(scenario)),
        seconds_(clock_, TsType::ntp_utc_32),
        env_{clock_, random_, timestamps(), s_.encr_alg() == EncrAlg::aes_kw_128} {}

  GrantedTicket request() {
    const ByteVector expected_init = s_.message("REQUEST_INIT");
    const Message init = Message::parse(expected_init).value();
    initiator_ = credentials(init, *init.idr_i, "psk_i");
    kms_ = Identity(*init.idr_kms);

    push_t("request_init_t");
    random_.push_hex(s_.input("request_csb_id"));
    random_.push_hex(s_.input("request_randri"));
    TicketPolicy wish = init.tp->read("REQUEST_INIT").value();
    const auto request = TicketRequest::start(env_, initiator_, wish).value();
    EXPECT_EQ(to_hex(request.message()), to_hex(expected_init));

    const ByteVector expected_resp = s_.message("REQUEST_RESP");
    const Message resp = Message::parse(expected_resp).value();
    const TicketDataView data = parse_ticket_data(*resp.ticket, "REQUEST_RESP").value();
    const auto received = ReceivedRequest::parse(request.message()).value();
    const auto authenticated =
        received.authenticate(Psk(s_.octets("psk_i")), initiator_.self, kms_).value();
    push_ticket_randomness(wish.keys);
    push_t("request_resp_t");
    const auto granted = authenticated
                             .grant(env_, resp.ticket->policy.read("REQUEST_RESP").value(),
                                    authenticated.wish().keys, protection(data))
                             .value();
    EXPECT_EQ(to_hex(granted.message), to_hex(expected_resp));
    EXPECT_EQ(ticket_id_of_mac(granted.ticket_mac).value(), ticket_id(*resp.ticket).value());
    expect_error("ERROR_about_REQUEST_INIT",
                 [&](const Refusal& refusal) { return authenticated.refuse(env_, refusal); });
    expect_error("ERROR_about_REQUEST_RESP",
                 [&](const Refusal& refusal) { return request.refuse(env_, refusal); });
    return request.finish(granted.message).value();
  }

  GrantedTicket issue() {
    const ByteVector expected = s_.message("TRANSFER_INIT");
    const Message init = Message::parse(expected).value();
    const TicketDataView data = parse_ticket_data(*init.ticket, "TRANSFER_INIT").value();
    TicketPolicy policy = init.ticket->policy.read("TRANSFER_INIT").value();
    kms_ = *policy.idr_kms;
    const ByteVector spi = hex(s_.input("tgk_spi"));
    policy.keys = {{KeyType::tgk, static_cast<std::uint16_t>(s_.octets("tgk").size()), 0, spi}};
    push_ticket_randomness(policy.keys);
    return issue_ticket(env_, policy, protection(data)).value();
  }

  void transfer(GrantedTicket ticket) {
    // The vectors end it with an empty Initiator Data length.
    EXPECT_EQ(to_hex(ticket.body) + "0000", s_.result("ticket_payload_body"));
    EXPECT_EQ(to_hex(ticket.mpki.reveal()), s_.result("mpki"));
    if (!ticket.mpkr.empty()) {
      EXPECT_EQ(to_hex(ticket.mpkr.reveal()), s_.result("mpkr"));
    }

    const ByteVector expected_init = s_.message("TRANSFER_INIT");
    const Message init = Message::parse(expected_init).value();
    push_t("transfer_init_t");
    random_.push_hex(s_.input("transfer_csb_id"));
    random_.push_hex(s_.input("transfer_randri"));
    OfferParameters parameters;
    parameters.initiator = Identity(*init.idr_i);
    parameters.responder = Identity(*init.idr_r);
    parameters.sessions = sessions(init);
    parameters.policies = policies(init);
    parameters.keys = supplied_keys("TRANSFER_INIT KEMAC");
    parameters.accepted = kAll;
    const auto offer =
        TransferOffer::start(env_, std::make_shared<GrantedTicket>(std::move(ticket)),
                             std::move(parameters))
            .value();
    EXPECT_EQ(to_hex(offer.message()), to_hex(expected_init));

    const auto received = ReceivedTransfer::parse(offer.message()).value();
    const auto verified =
        received.verify(opened_by_responder(received), Identity(*init.idr_r)).value();
    const ByteVector expected_resp =
        s_.has_message("TRANSFER_RESP") ? s_.message("TRANSFER_RESP") : ByteVector();
    ResponseParameters response;
    if (!expected_resp.empty()) {
      const Message resp = Message::parse(expected_resp).value();
      response.responder = Identity(*resp.idr_r);
      response.sessions = sessions(resp);
      response.policies = policies(resp);
      response.keys = supplied_keys("TRANSFER_RESP KEMAC");
      push_t("transfer_resp_t");
    }
    if (s_.has_input("transfer_randrr")) random_.push_hex(s_.input("transfer_randrr"));
    const Identity answers = expected_resp.empty() ? Identity(*init.idr_r) : response.responder;
    const auto answer = verified.respond(env_, std::move(response)).value();
    EXPECT_EQ(to_hex(answer.message), to_hex(expected_resp));
    expect_error("ERROR_about_TRANSFER_INIT",
                 [&](const Refusal& refusal) { return verified.refuse(env_, refusal); });
    expect_error("ERROR_unauthenticated",
                 [&](const Refusal& refusal) { return build_error(env_, init.header, refusal); });

    const auto established =
        expected_resp.empty() ? offer.complete().value() : offer.accept(answer.message).value();
    if (s_.json().at("results").contains("session_keys")) {
      expect_session_keys("session_keys", established.sessions);
      expect_session_keys("session_keys", answer.established.sessions);
    }
    EXPECT_EQ(established.peer, answers);
    EXPECT_EQ(answer.established.peer, Identity(*init.idr_i));
    EXPECT_EQ(established.mac, answer.established.mac);
    initiators_.emplace(established.bundle);
    responders_.emplace(answer.established.bundle);
    expect_all_used();
  }

  int errors() const { return errors_; }

  // UPDATE1 is started by the initiator, UPDATE2 by the responder.
  void update(int number) {
    const std::string name = "UPDATE" + std::to_string(number) + "_";
    const CryptoSessionBundle& starter = number == 1 ? *initiators_ : *responders_;
    const CryptoSessionBundle& other = number == 1 ? *responders_ : *initiators_;
    const ByteVector expected_init = s_.message(name + "TRANSFER_INIT");
    const ByteVector expected_resp = s_.message(name + "TRANSFER_RESP");
    const Message init = Message::parse(expected_init).value();
    const Message resp = Message::parse(expected_resp).value();

    push_t("update" + std::to_string(number) + "_t1");
    UpdateParameters parameters{sessions(init), policies(init)};
    parameters.keys = supplied_keys("update KEMAC", number == 1 ? 0 : 2);
    parameters.accepted = kAll;
    auto sent = SentUpdate::start(env_, starter, std::move(parameters)).value();
    EXPECT_EQ(to_hex(sent.message()), to_hex(expected_init));

    auto verified = ReceivedUpdate::parse(sent.message()).value().verify(other, kAll).value();
    push_t("update" + std::to_string(number) + "_t2");
    UpdateResponse response{sessions(resp), policies(resp)};
    if (resp.kemac) response.keys = supplied_keys("update KEMAC", 1);
    const auto answer = verified.respond(env_, std::move(response)).value();
    EXPECT_EQ(to_hex(answer.message), to_hex(expected_resp));

    const std::string results = "session_keys_after_update" + std::to_string(number);
    expect_session_keys(results, answer.sessions);
    expect_session_keys(results, sent.accept(answer.message).value());
    expect_session_keys(results, starter.sessions().value());
    expect_session_keys(results, other.sessions().value());
    expect_all_used();
  }

 private:
  // COUNTER, NTP-UTC-32, or null for NTP-UTC.
  TimestampSource* timestamps() {
    switch (s_.ts_type()) {
      case TsType::counter: return &counter_;
      case TsType::ntp_utc_32: return &seconds_;
      default: return nullptr;
    }
  }
  // The T that is asked for next. A counter has its own mind: it counts on from 2.
  void push_t(const std::string& name) {
    if (s_.ts_type() == TsType::ntp_utc_32) clock_.push(s_.input(name) + "00000000");
    if (s_.ts_type() == TsType::ntp_utc) clock_.push(s_.input(name));
  }

  KmsCredentials credentials(const Message& message, const IdentityView& self,
                             const std::string& psk) const {
    return {Identity(self), Identity(*message.idr_kms), std::string(message.idr_psk->text()),
            Psk(s_.octets(psk))};
  }

  TicketProtection protection(const TicketDataView& data) const {
    return {Tpk(s_.octets("tpk")), std::string(data.idr_psk->text()),
            std::string(as_text(data.thdr))};
  }

  void push_ticket_randomness(const std::vector<KeyWish>& keys) {
    random_.push_hex(s_.input("mpk_spi"));
    random_.push_hex(s_.input("mpk"));
    for (const KeyWish& wish : keys) {
      const auto key = s_.key_with_spi(wish.spi);
      random_.push(key.key);
      if (has_salt(wish.type)) random_.push(key.salt);
    }
    random_.push_hex(s_.input("ticket_rand"));
    push_t("ticket_t");
  }

  // By the KMS, or in modes 2 and 4 by the responder itself.
  ResolvedTicket opened_by_responder(const ReceivedTransfer& received) {
    const Tpk tpk(s_.octets("tpk"));
    switch (s_.json().at("inputs").at("mode").get<int>()) {
      case 2: return received.open_from_kms(tpk).value();
      case 4: return received.open_from_initiator(tpk, *received.claimed_policy().idr_i).value();
      default: return resolve(received.ticket());
    }
  }

  ResolvedTicket resolve(const TicketView& ticket) {
    const ByteVector expected_init = s_.message("RESOLVE_INIT");
    const Message init = Message::parse(expected_init).value();
    responder_ = credentials(init, *init.idr_r, "psk_r");
    push_t("resolve_init_t");
    random_.push_hex(s_.input("resolve_csb_id"));
    random_.push_hex(s_.input("resolve_randrr"));
    const auto resolve = TicketResolve::start(env_, responder_, ticket).value();
    EXPECT_EQ(to_hex(resolve.message()), to_hex(expected_init));

    const ByteVector expected_resp = s_.message("RESOLVE_RESP");
    const auto opened = ReceivedResolve::parse(resolve.message())
                            .value()
                            .authenticate(Psk(s_.octets("psk_r")), responder_.self, kms_)
                            .value()
                            .open(Tpk(s_.octets("tpk")))
                            .value();
    push_t("resolve_resp_t");
    if (s_.has_input("randrkms")) random_.push_hex(s_.input("randrkms"));
    const ByteVector response = opened.respond(env_, responder_.self).value();
    EXPECT_EQ(to_hex(response), to_hex(expected_resp));
    ResolvedTicket resolved = resolve.finish(response).value();
    EXPECT_EQ(to_hex(resolved.mpki.reveal()), s_.result("mpki"));
    if (!resolved.mpkr_forked.empty()) {
      EXPECT_EQ(to_hex(resolved.mpkr_forked.reveal()), s_.result("mpkr_forked"));
      const auto& forked = s_.json().at("results").at("keys_forked");
      EXPECT_EQ(resolved.session_keys.size(), forked.size());
      for (std::size_t i = 0; i < forked.size(); ++i) {
        EXPECT_EQ(to_hex(resolved.session_keys[i].key.reveal()),
                  forked[i].at("key").get<std::string>());
      }
    }
    return resolved;
  }

  static std::vector<CryptoSession> sessions(const Message& message) {
    return message.header.crypto_sessions(message.name()).value();
  }
  static std::vector<SecurityPolicy> policies(const Message& message) {
    std::vector<SecurityPolicy> out;
    PayloadWalker walker = message.payloads();
    while (const auto payload = walker.next().value()) {
      if (const auto* sp = std::get_if<SecurityPolicyView>(&payload->value)) {
        out.push_back({sp->policy_no, sp->prot_type, to_vector(sp->parameters)});
      }
    }
    return out;
  }

  // The session keys of the n-th KEMAC of that name; none where there is none.
  std::vector<SessionKey> supplied_keys(std::string_view what, int n = 0) const {
    for (const auto& step : s_.steps()) {
      if (step.at("step") != "encrypt" || step.at("what") != what || n-- > 0) continue;
      const PlainKeyData plain(hex(step.at("input").get<std::string>()));
      return parse_kemac_keys(ByteReader(what, plain.bytes())).value().session_keys;
    }
    return {};
  }

  // Where the scenario has this Error message: `make` builds the same, given what it says.
  template <class Make>
  void expect_error(const std::string& name, Make make) {
    if (!s_.has_message(name)) return;
    const ByteVector expected = s_.message(name);
    const Message message = Message::parse(expected).value();
    Refusal refusal({}, policies(message));
    PayloadWalker walker = message.payloads();
    while (const auto payload = walker.next().value()) {
      if (const auto* err = std::get_if<ErrorView>(&payload->value)) {
        refusal.numbers.push_back(err->number);
      }
    }
    std::string t = name + "_t";
    std::ranges::transform(t, t.begin(), [](unsigned char c) { return std::tolower(c); });
    push_t(t);
    EXPECT_EQ(to_hex(make(refusal).value()), to_hex(expected)) << name;
    ++errors_;
  }

  void expect_all_used() const {
    EXPECT_EQ(random_.queued(), 0U);
    EXPECT_EQ(clock_.queued(), 0U);
  }

  void expect_session_keys(const std::string& results,
                           const std::vector<EstablishedSession>& sessions) const {
    const auto& expected = s_.json().at("results").at(results);
    ASSERT_EQ(sessions.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const EstablishedSession& session = sessions[i];
      EXPECT_EQ(session.cs_id, expected[i].at("cs_id").get<int>());
      EXPECT_EQ(to_hex(session.spi), expected[i].at("spi").get<std::string>());
      EXPECT_EQ(to_hex(session.tek.reveal()), expected[i].at("session_key").get<std::string>());
      if (std::string(expected[i].at("key_type")).ends_with("SALT")) {
        EXPECT_EQ(to_hex(session.salt.reveal()), expected[i].at("salt").get<std::string>());
      }
    }
  }

  Scenario s_;
  VectorClock clock_;
  ScriptedRandom random_;
  CounterTimestamps counter_{2};
  ClockTimestamps seconds_;
  Environment env_;
  KmsCredentials initiator_;
  KmsCredentials responder_;
  Identity kms_;
  std::optional<CryptoSessionBundle> initiators_;
  std::optional<CryptoSessionBundle> responders_;
  int errors_ = 0;
};

// KMS-1, KMS-2, KMS-3, KMS-4: the KMS issues the ticket (modes 1 and 2), all three exchanges.
class Issued : public ::testing::TestWithParam<const char*> {};
// [6043-4.2.1-02] [6043-4.2.1.5-06] [6043-4.2.3.5-06] [6043-4.2.3.5-11] [6043-5.1-02]
// [6043-5.1.1-01] [6043-5.1.2-04] [6043-5.1.2-05] [6043-5.1.3-02] [6043-5.1.3-03] [6043-5.1.3-04]
// [6043-5.1.3-05] [3830-4.1.3-03] [6043-5.1.3-06]
// [6043-5.1.3-07] [6043-5.5-02] [6043-6.10-03] [6043-6.10-10] [6043-6.10-11] [6043-6.10-37]
// [6043-A.1-04] [6043-A.2.1-01] [6043-A.2.2-01] [3830-4.2.3-04]
TEST_P(Issued, EveryMessageIsBuiltByteForByte) {
  Play play(load(GetParam()));
  play.transfer(play.request());
}
INSTANTIATE_TEST_SUITE_P(Scenarios, Issued,
                         ::testing::Values("a", "b", "c", "e", "f", "g", "h2", "i", "k", "l", "m"));

// KMS-8: the ticket is issued by the initiator (modes 3 and 4).
class SelfIssued : public ::testing::TestWithParam<const char*> {};
// [6043-4.1-01] [6043-A-01]
TEST_P(SelfIssued, EveryMessageIsBuiltByteForByte) {
  Play play(load(GetParam()));
  play.transfer(play.issue());
}
INSTANTIATE_TEST_SUITE_P(Scenarios, SelfIssued, ::testing::Values("d", "h4", "n"));

// [6043-5.4-07] [6043-5.4-08] [6043-5.4-09]
TEST(PlayedErrors, EveryErrorMessageIsBuiltByteForByte) {
  Play play(load("i"));
  play.transfer(play.request());
  EXPECT_EQ(play.errors(), 4);
}

// [6043-5.2-01] [6043-5.2-02] [6043-5.2-07] [6043-5.2-12] [6043-5.2-13]
TEST(PlayedUpdates, EveryUpdateIsBuiltByteForByte) {
  Play play(load("j"));
  play.transfer(play.request());
  play.update(1);
  play.update(2);
}

}  // namespace
}  // namespace keystub::mikey
