// The heart of the KMS, message by message, against the initiator's and responder's side of
// lib/mikey: KMS-1 to KMS-7 and KMS-10.
#include <algorithm>

#include "kms-server/sqlite_database.h"
#include "mikey/message_builder.h"
#include "mikey/protection.h"
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using mikey::ErrorNo;
using mikey::TicketFlag;
using namespace std::chrono_literals;

class TicketHandlerTest : public KmsFixture {};

// ------------------------------------------------------------------------------------------ KMS-1

// [6043-4.2.1.4-02] [6043-4.2.1.1-04] [6043-6.10-43]
TEST_F(TicketHandlerTest, KMS_1_IssuesATicketWithKeysAndDoesNotTouchAnAllowedWish) {
  const mikey::TicketPolicy wished = wish({kBob});
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_FALSE(granted->policy.flags.has(TicketFlag::k_changed));
  EXPECT_EQ(granted->policy.flags, wished.flags);
  EXPECT_EQ(granted->policy.idr_i, wished.idr_i);
  EXPECT_EQ(granted->policy.tre, wished.tre);
  EXPECT_EQ(granted->policy.idr_r, wished.idr_r);
  EXPECT_TRUE(granted->policy.keys.empty()) << "no KEMAC in a granted policy";
  EXPECT_EQ(granted->mpki.size(), 32U);
  EXPECT_EQ(granted->mpkr.size(), 32U);
  ASSERT_EQ(granted->session_keys.size(), 1U);
  EXPECT_EQ(granted->session_keys[0].spi, (ByteVector{1, 2, 3, 4}));
}

// [6043-4.2.1.4-02] [6043-6.10-43]
TEST_F(TicketHandlerTest, KMS_1_WritesAnEndOfValidityAndSaysThatItChangedTheWish) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.tre.reset();
  const auto open_end = request(kAlice, wished);
  ASSERT_TRUE(open_end.has_value()) << open_end.error().describe();
  ASSERT_TRUE(open_end->policy.tre.has_value());
  EXPECT_TRUE(open_end->policy.flags.has(TicketFlag::k_changed));
  EXPECT_EQ(open_end->policy.tre->to_wall_time(), clock.now() + 24h);

  wished.tre = mikey::Timestamp::from(clock.now() + 48h, mikey::TsType::ntp_utc_32);
  const auto too_long = request(kAlice, wished);
  ASSERT_TRUE(too_long.has_value()) << too_long.error().describe();
  EXPECT_TRUE(too_long->policy.flags.has(TicketFlag::k_changed));
  EXPECT_EQ(too_long->policy.tre->to_wall_time(), clock.now() + 24h);

  wished = wish({kBob});
  wished.trs = mikey::Timestamp::from(clock.now() - 48h, mikey::TsType::ntp_utc_32);
  const auto too_early = request(kAlice, wished);
  ASSERT_TRUE(too_early.has_value()) << too_early.error().describe();
  EXPECT_TRUE(too_early->policy.flags.has(TicketFlag::k_changed));
  EXPECT_EQ(too_early->policy.trs->to_wall_time(), clock.now() - 5min);
}

TEST_F(TicketHandlerTest, KMS_1_ASenderWhoseClockIsALittleOffKeepsTheLongestWish) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.tre = mikey::Timestamp::from(clock.now() + 24h + 30s, mikey::TsType::ntp_utc_32);
  wished.trs = mikey::Timestamp::from(clock.now() - 5min - 30s, mikey::TsType::ntp_utc_32);
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_FALSE(granted->policy.flags.has(TicketFlag::k_changed));
}

// [6043-4.2.1.5-07]
TEST_F(TicketHandlerTest, KMS_1_GrantsOneTgkWhereNoKeysAreWishedFor) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.keys.clear();
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  ASSERT_EQ(granted->session_keys.size(), 1U);
  EXPECT_EQ(granted->session_keys[0].type, mikey::KeyType::tgk);
  EXPECT_EQ(granted->session_keys[0].key.size(), 32U);
  EXPECT_FALSE(granted->policy.flags.has(TicketFlag::k_changed));
}

// [6043-4.2.1.1-08]
TEST_F(TicketHandlerTest, KMS_1_PutsTheAuthenticatedSenderIntoAWishWithoutInitiator) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.idr_i.reset();
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_EQ(granted->policy.idr_i, mikey::Identity::uri(kAlice));
  EXPECT_TRUE(granted->policy.flags.has(TicketFlag::k_changed));
}

// [6043-4.2.1.4-01]
TEST_F(TicketHandlerTest, KMS_1_NeverGrantsTheIdentityOfSomebodyElse) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.idr_i = mikey::Identity::uri(kCarol);
  ASSERT_FALSE(request(kAlice, wished).has_value());
  EXPECT_EQ(last_answer.error().category, Category::denied);
  EXPECT_EQ(error_no(), ErrorNo::invalid_id);
  EXPECT_EQ(audit_lines().back()["rule"], "initiator");
}

// [6043-4.2.1.4-01] [6043-12.1-01] [6043-12.1-04]
// [3830-5.1.2-01] [3830-5.3-03] [6043-5.4-02]
TEST_F(TicketHandlerTest, KMS_1_AppliesItsPolicyToTicketTypeSuiteFlagsAndKeys) {
  const auto refused_with = [this](const mikey::TicketPolicy& wished) -> std::optional<ErrorNo> {
    if (request(kAlice, wished).has_value() || last_answer.has_value()) return std::nullopt;
    return error_no();
  };
  mikey::TicketPolicy wished = wish({kBob});
  wished.type = {7, 1, 1};
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_ticket);

  wished = wish({kBob});
  wished.flags = wished.flags.with(TicketFlag::i_forking, false);
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_tppar) << "key forking is required";

  wished = wish({kBob});
  wished.keys.assign(5, wished.keys.front());
  for (std::uint8_t i = 0; i < 5; ++i) wished.keys[i].spi = {0, 0, 0, i};
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_tppar) << "at most four keys";
  wished.keys.resize(4);
  EXPECT_EQ(refused_with(wished), std::nullopt);

  wished = wish({kBob});
  wished.keys[0].key_octets = 33;
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_tppar);
  wished.keys[0].key_octets = 15;
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_tppar) << "keys have 128 bits or more";

  wished = wish({kBob});
  wished.tre = mikey::Timestamp::from(clock.now() - 1s, mikey::TsType::ntp_utc_32);
  EXPECT_EQ(refused_with(wished), ErrorNo::invalid_tppar) << "validity is over already";

  wished = wish({kBob});
  wished.type = mikey::kMikeyBaseTicket;
  EXPECT_EQ(refused_with(wished), std::nullopt) << "the MIKEY base ticket is accepted";
}

TEST_F(TicketHandlerTest, KMS_1_GrantsThe128BitSuiteOnlyWhereItIsAllowed) {
  mikey::TicketPolicy wished = wish({kBob});
  wished.prf = mikey::PrfFunc::mikey_1;
  wished.keys[0].key_octets = 16;
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_EQ(granted->session_keys[0].key.size(), 16U);

  wished.keys[0].key_octets = 32;
  EXPECT_FALSE(request(kAlice, wished).has_value()) << "RFC 6043 12.1: no longer session keys";

  policy_settings.allow_128_bit_suite = false;
  restart();
  wished.keys[0].key_octets = 16;
  ASSERT_FALSE(request(kAlice, wished).has_value());
  EXPECT_EQ(error_no(), ErrorNo::invalid_prf);
}

// [6043-12.1-01]
// [6043-12.5-01] [6043-5.3-04]
TEST_F(TicketHandlerTest, KMS_1_TakesReuseAwayWhereThePolicySaysSo) {
  policy_settings.allow_reuse = false;
  restart();
  mikey::TicketPolicy wished = wish({kBob});
  wished.flags = mikey::kMode1ReusableFlags;
  const auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_FALSE(granted->policy.flags.has(TicketFlag::j_reusable));
  EXPECT_TRUE(granted->policy.flags.has(TicketFlag::k_changed));
}

// ----------------------------------------------------------------------- KMS-2, KMS-4, KMS-5

// [6043-4.2.3.4-01] [6043-4.2.3.1-04]
TEST_F(TicketHandlerTest, KMS_2_TheNamedResponderEndsWithTheInitiatorsKeys) {
  const auto made = offer_to({kBob});
  const auto resolved = resolve(kBob, made.message());
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(kBob));
  EXPECT_EQ(resolved->randr_kms.size(), 32U);

  const auto received = mikey::ReceivedTransfer::parse(made.message()).value();
  auto keys_of_bob = resolve(kBob, made.message());
  ASSERT_TRUE(keys_of_bob.has_value());
  const auto verified = received.verify(std::move(*keys_of_bob), mikey::Identity::uri(kBob));
  ASSERT_TRUE(verified.has_value()) << verified.error().describe();
  EXPECT_EQ(verified->initiator(), mikey::Identity::uri(kAlice));
  const auto answer = verified->respond(env(), {mikey::Identity::uri(kBob), {}, {}});
  ASSERT_TRUE(answer.has_value()) << answer.error().describe();
  const auto established = made.accept(answer->message);
  ASSERT_TRUE(established.has_value()) << established.error().describe();
  EXPECT_EQ(established->peer, mikey::Identity::uri(kBob));
  EXPECT_EQ(established->sessions[0].tek, answer->established.sessions[0].tek);
}

// [6043-4.2.3.4-01] [6043-12.5-02]
TEST_F(TicketHandlerTest, KMS_2_RefusesWhomTheTicketDoesNotName) {
  const auto made = offer_to({kBob});
  ASSERT_FALSE(resolve(kCarol, made.message()).has_value());
  EXPECT_EQ(last_answer.error().category, Category::denied);
  EXPECT_EQ(error_no(), ErrorNo::invalid_id);
  const auto line = audit_lines().back();
  EXPECT_EQ(line["decision"], "refused");
  EXPECT_EQ(line["rule"], "not_named");
  EXPECT_EQ(line["identity"], kCarol);
}

TEST_F(TicketHandlerTest, KMS_2_RefusesASuspendedResponderFromTheAcknowledgementOn) {
  const auto made = offer_to({kBob});
  ASSERT_TRUE(resolve(kBob, made.message()).has_value());
  ASSERT_TRUE(admin->suspend(operator_caller, kBob).has_value());
  ASSERT_FALSE(resolve(kBob, made.message()).has_value());
  EXPECT_EQ(last_answer.error().category, Category::denied);
  EXPECT_EQ(audit_lines().back()["rule"], "suspended");
  ASSERT_TRUE(admin->resume(operator_caller, kBob).has_value());
  EXPECT_TRUE(resolve(kBob, made.message()).has_value());
}

TEST_F(TicketHandlerTest, KMS_2_RefusesATicketOutsideItsValidity) {
  const auto made = offer_to({kBob});
  clock.advance(61min);
  ASSERT_FALSE(resolve(kBob, made.message()).has_value());
  EXPECT_EQ(error_no(), ErrorNo::invalid_ticket);
  EXPECT_EQ(audit_lines().back()["rule"], "validity");
}

// [6043-4.2.3.5-11] [6043-5.1-02] [6043-12.2-01]
TEST_F(TicketHandlerTest, KMS_4_EveryResponderGetsForkedKeysOfItsOwn) {
  const auto made = offer_to({kBob, kCarol});
  const auto bob = resolve(kBob, made.message());
  const auto carol = resolve(kCarol, made.message());
  ASSERT_TRUE(bob && carol);
  EXPECT_EQ(bob->mpki, carol->mpki) << "MPKi verifies TRANSFER_INIT for all";
  EXPECT_FALSE(bob->mpkr_forked == carol->mpkr_forked);
  EXPECT_FALSE(bob->session_keys[0].key == carol->session_keys[0].key);
  EXPECT_FALSE(bob->session_keys[0].key == made.ticket().session_keys[0].key);
  EXPECT_NE(bob->randr_kms, carol->randr_kms);
}

// [6043-5.1.1-02] [6043-6.2.1-01]
TEST_F(TicketHandlerTest, KMS_4_NeverForksTekAndGtgk) {
  mikey::TicketPolicy wished = wish({kBob, kCarol});
  wished.keys = {{mikey::KeyType::tgk, 32, 0, {1}},
                 {mikey::KeyType::tek, 32, 0, {2}},
                 {mikey::KeyType::gtgk, 32, 0, {3}}};
  auto granted = request(kAlice, wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  const auto ticket = std::make_shared<const mikey::GrantedTicket>(std::move(*granted));
  const auto made = offer(ticket, kAlice, kBob);
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  const auto bob = resolve(kBob, made->message());
  const auto carol = resolve(kCarol, made->message());
  ASSERT_TRUE(bob && carol);
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_EQ(bob->session_keys[i].key, carol->session_keys[i].key);
    EXPECT_EQ(bob->session_keys[i].key, ticket->session_keys[i].key);
  }
  EXPECT_FALSE(bob->session_keys[0].key == carol->session_keys[0].key);
}

// [6043-4.2.3.4-02]
TEST_F(TicketHandlerTest, KMS_4_RefusesATicketWhoseInitiatorDataIsNotGenuine) {
  const auto made = offer_to({kBob});
  const auto genuine = mikey::Message::parse(made.message()).value();
  const Bytes initiator_data = genuine.ticket->initiator_data;
  const auto begin = static_cast<std::size_t>(initiator_data.data() - made.message().data());
  // Vi's MAC, then Vr's MAC, which ends the Initiator Data.
  for (const std::size_t at : {begin + 5, begin + initiator_data.size() - 1}) {
    ByteVector forged = to_vector(made.message());
    forged[at] ^= 0x01;
    const mikey::KmsCredentials own = credentials(kBob);
    const auto message = mikey::Message::parse(forged).value();
    const auto exchange = mikey::TicketResolve::start(env(), own, *message.ticket);
    ASSERT_TRUE(exchange.has_value()) << exchange.error().describe();
    last_answer = ask(exchange->message());
    ASSERT_FALSE(last_answer.has_value()) << "octet " << at;
    EXPECT_EQ(last_answer.error().category, Category::denied);
    EXPECT_EQ(error_no(), ErrorNo::invalid_ticket);
  }
}

TEST_F(TicketHandlerTest, KMS_5_AnybodyMayResolveATicketThatSaysSo) {
  const auto made = offer_to({std::string(mikey::kAnyResponder)});
  for (const char* responder : {kBob, kCarol}) {
    const auto resolved = resolve(responder, made.message());
    ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
    EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(responder)) << "an individual, never the star";
  }
}

// [6043-4.2.3.5-13]
TEST_F(TicketHandlerTest, KMS_5_AnswersWithTheUriThatTheTicketNamesLiterally) {
  const auto made = offer_to({std::string(mikey::kAnyResponder), "SIP:bob@EXAMPLE.com"});
  const auto resolved = resolve(kBob, made.message());
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri("SIP:bob@EXAMPLE.com"));
}

// ------------------------------------------------------------------------------------------ KMS-3

TEST_F(TicketHandlerTest, KMS_3_TicketsUnderARetiredTpkGoOnResolving) {
  const auto before = offer_to({kBob});
  const auto rotated = admin->rotate_tpk(operator_caller);
  ASSERT_TRUE(rotated.has_value()) << rotated.error().text();
  EXPECT_TRUE(resolve(kBob, before.message()).has_value());

  const auto after = offer_to({kBob});
  EXPECT_TRUE(resolve(kBob, after.message()).has_value());
  const auto message = mikey::Message::parse(after.message()).value();
  const auto data = mikey::parse_ticket_data(*message.ticket, "TRANSFER_INIT").value();
  EXPECT_EQ(to_vector(data.idr_psk->data), rotated->key.id) << "new tickets name the new TPK";
}

TEST_F(TicketHandlerTest, KMS_3_TicketsUnderARevokedTpkResolveNoMoreAtOnce) {
  const auto before = offer_to({kBob});
  ASSERT_TRUE(resolve(kBob, before.message()).has_value());
  const auto old = store->active_tpk(Deadline::in(kTimeout)).value();
  ASSERT_TRUE(admin->rotate_tpk(operator_caller).has_value());
  ASSERT_TRUE(resolve(kBob, before.message()).has_value()) << "retired: it is in the cache";
  ASSERT_TRUE(admin->revoke_tpk(operator_caller, old.key.id).has_value());
  EXPECT_FALSE(resolve(kBob, before.message()).has_value());
  EXPECT_EQ(error_no(), ErrorNo::invalid_ticket);
  EXPECT_TRUE(resolve(kBob, offer_to({kBob}).message()).has_value());
}

TEST_F(TicketHandlerTest, KMS_3_APreparedTpkSealsNothingUntilItIsActivated) {
  const auto prepared = admin->prepare_tpk(operator_caller).value();
  const auto tpk_of = [](const mikey::TransferOffer& offer) {
    const auto message = mikey::Message::parse(offer.message()).value();
    return to_vector(
        mikey::parse_ticket_data(*message.ticket, "TRANSFER_INIT").value().idr_psk->data);
  };
  EXPECT_NE(tpk_of(offer_to({kBob})), prepared.key.id);
  ASSERT_TRUE(admin->activate_tpk(operator_caller, prepared.key.id).has_value());
  const auto after = offer_to({kBob});
  EXPECT_EQ(tpk_of(after), prepared.key.id);
  EXPECT_TRUE(resolve(kBob, after.message()).has_value());
}

// [6043-A-03] [6043-A.1-08]
TEST_F(TicketHandlerTest, KMS_3_RefusesATicketThatWasChangedAnywhere) {
  const auto made = offer_to({kBob});
  const auto genuine = mikey::Message::parse(made.message()).value();
  const Bytes body = genuine.ticket->body;
  const auto begin = static_cast<std::size_t>(body.data() - made.message().data());
  for (std::size_t i = 0; i < body.size(); ++i) {
    ByteVector forged = to_vector(made.message());
    forged[begin + i] ^= 0x01;
    const auto message = mikey::Message::parse(forged);
    if (!message) continue;  // a responder does not even get as far as asking
    const mikey::KmsCredentials own = credentials(kBob);
    const auto exchange = mikey::TicketResolve::start(env(), own, *message->ticket);
    if (!exchange) continue;
    EXPECT_FALSE(ask(exchange->message()).has_value()) << "octet " << i << " of the ticket";
  }
}

// ------------------------------------------------------------------------------------------ KMS-6

// [6043-12.4-02] [3830-5.4-04]
TEST_F(TicketHandlerTest, KMS_6_RefusesAReplayAlsoAfterARestart) {
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  ASSERT_TRUE(ask(exchange.message()).has_value());
  last_answer = ask(exchange.message());
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::expired);
  EXPECT_EQ(error_no(), ErrorNo::invalid_ts);
  EXPECT_EQ(audit_lines().back()["rule"], "replay");
  restart();
  EXPECT_FALSE(ask(exchange.message()).has_value());

  const auto again = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  EXPECT_TRUE(ask(again.message()).has_value()) << "a newly built message is none";
}

// [6043-12.4-02] [3830-5.4-03]
TEST_F(TicketHandlerTest, KMS_6_RefusesMessagesOutsideTheSkewAndTellsItsTime) {
  const mikey::KmsCredentials own = credentials(kAlice);
  for (const auto offset : {std::chrono::seconds(61), std::chrono::seconds(-61)}) {
    testing::FakeClock other(clock.now() + offset);
    const auto exchange = mikey::TicketRequest::start({other, random}, own, wish({kBob})).value();
    last_answer = ask(exchange.message());
    ASSERT_FALSE(last_answer.has_value());
    EXPECT_EQ(last_answer.error().category, Category::expired);
    EXPECT_EQ(error_no(), ErrorNo::invalid_ts);
    EXPECT_EQ(last_answer.error().server_time, clock.now());
    ASSERT_TRUE(last_answer.error().clock_skew.has_value());
    EXPECT_LT(std::chrono::abs(*last_answer.error().clock_skew - offset),
              std::chrono::microseconds(1));
  }
  for (const auto offset : {std::chrono::seconds(55), std::chrono::seconds(-55)}) {
    testing::FakeClock other(clock.now() + offset);
    const auto exchange = mikey::TicketRequest::start({other, random}, own, wish({kBob})).value();
    EXPECT_TRUE(ask(exchange.message()).has_value());
  }
}

TEST_F(TicketHandlerTest, KMS_6_RefusesCounterTimestampsAlsoFromAnAuthenticatedSender) {
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  // HDR with the Empty map has 10 octets; T: next payload, TS type, 8 octets. A COUNTER has 4.
  ByteVector message = to_vector(exchange.message());
  ASSERT_EQ(message[11], static_cast<std::uint8_t>(mikey::TsType::ntp_utc));
  message[11] = static_cast<std::uint8_t>(mikey::TsType::counter);
  message.erase(message.begin() + 12, message.begin() + 16);
  const auto changed = mikey::Message::parse(message).value();
  const mikey::Suite& suite = mikey::kSuite256;
  const auto message_keys =
      mikey::derive_message_keys(suite, own.psk.reveal(),
                                 {changed.header.csb_id, false, *changed.randr_i, {}},
                                 mikey::Protects::integrity)
          .value();
  const auto mac = mikey::compute_mac(suite, message_keys.auth,
                                      {changed.without_mac(), own.self.bytes(), own.kms.bytes()})
                       .value();
  std::ranges::copy(mac.bytes(), message.end() - static_cast<std::ptrdiff_t>(mac.size));
  last_answer = ask(message);
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::expired);
  EXPECT_EQ(error_no(), ErrorNo::invalid_ts);
}

// ------------------------------------------------------------------------------------------ KMS-7

// [6043-4.2.1-01] [6043-5.4-03]
TEST_F(TicketHandlerTest, KMS_7_AnUnknownIdentityAndAWrongKeyGetTheSameAnswer) {
  mikey::KmsCredentials wrong_key = credentials(kAlice);
  wrong_key.psk = random.secret<PskTag>(32).value();
  mikey::KmsCredentials wrong_key_id = credentials(kAlice);
  wrong_key_id.psk_id = "another key of alice";
  mikey::KmsCredentials unknown = credentials(kAlice);
  unknown.self = mikey::Identity::uri("sip:nobody@example.com");
  unknown.psk_id = "sip:nobody@example.com";
  unknown.psk_id = "sip:nobody@example.com";
  mikey::KmsCredentials no_uri = credentials(kAlice);
  no_uri.self = mikey::Identity::byte_string("alice");

  std::vector<Refusal> refusals;
  for (const mikey::KmsCredentials* own : {&wrong_key, &wrong_key_id, &unknown, &no_uri}) {
    const auto exchange = mikey::TicketRequest::start(env(), *own, wish({kBob})).value();
    const auto answer = ask(exchange.message());
    ASSERT_FALSE(answer.has_value());
    refusals.push_back(answer.error());
  }
  for (const Refusal& refusal : refusals) {
    EXPECT_EQ(refusal.category, Category::unauthenticated);
    EXPECT_EQ(refusal.reason, refusals[0].reason);
    EXPECT_TRUE(refusal.mikey_error.empty());
    EXPECT_EQ(refusal.retry_after, refusals[0].retry_after);
    EXPECT_EQ(refusal.server_time, refusals[0].server_time);
  }
  // The operator, on the other hand, can tell them apart.
  const auto lines = audit_lines();
  EXPECT_EQ(lines[lines.size() - 4]["rule"], "mac");
  EXPECT_EQ(lines[lines.size() - 2]["rule"], "unknown");
}

// [3830-5.4-05]
TEST_F(TicketHandlerTest, KMS_7_RemembersNothingAboutASenderThatProvedNothing) {
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  // The same T and MAC, in a message that is not genuine, must not use up the genuine one.
  ByteVector forged = to_vector(exchange.message());
  forged[30] ^= 0x01;
  EXPECT_FALSE(ask(forged).has_value());
  EXPECT_TRUE(ask(exchange.message()).has_value());
}

TEST_F(TicketHandlerTest,
       KMS_7_EveryFlippedOctetOfAMessageIsRefusedWithNoMoreThanTheGenericReason) {
  limit_settings.free_failures = 0;
  restart();
  const auto made = offer_to({kBob});
  const mikey::KmsCredentials alice = credentials(kAlice);
  const mikey::KmsCredentials bob = credentials(kBob);
  const auto request_exchange = mikey::TicketRequest::start(env(), alice, wish({kBob})).value();
  const auto received = mikey::ReceivedTransfer::parse(made.message()).value();
  const auto resolve_exchange = mikey::TicketResolve::start(env(), bob, received.ticket()).value();
  for (const Bytes message : {request_exchange.message(), resolve_exchange.message()}) {
    for (std::size_t i = 0; i < message.size(); ++i) {
      ByteVector flipped = to_vector(message);
      flipped[i] ^= 0x01;
      const auto answer = ask(flipped);
      ASSERT_FALSE(answer.has_value()) << "octet " << i;
      EXPECT_TRUE(answer.error().category == Category::unauthenticated ||
                  answer.error().category == Category::malformed)
          << "octet " << i << ": " << answer.error().reason;
      EXPECT_TRUE(answer.error().mikey_error.empty()) << "octet " << i;
    }
    EXPECT_TRUE(ask(message).has_value()) << "the genuine one still goes through";
  }
}

TEST_F(TicketHandlerTest, RefusesTheVariantsWithCertificatesAndSaysWhy) {
  for (const auto& [type, name] :
       {std::pair(mikey::DataType::request_init_pk, "REQUEST_INIT_PK"),
        std::pair(mikey::DataType::resolve_init_pk, "RESOLVE_INIT_PK")}) {
    mikey::MessageBuilder builder(type, true, mikey::PrfFunc::hmac_sha_256, 1);
    builder.t(mikey::Timestamp::from(clock.now()));
    builder.begin_sign(mikey::SignatureType::rsa_pkcs1, 256);
    const auto answer = ask(std::move(builder).end_sign(ByteVector(256)).value());
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().category, Category::malformed);
    EXPECT_EQ(answer.error().reason,
              std::string(name) + " needs a KMS with a certificate; use a pre-shared key here");
  }
}

TEST_F(TicketHandlerTest, KMS_7_RefusesWhatIsNoRequestAtAll) {
  for (const std::string_view junk : {"", "x", "\x01\x0b\x05", "not a MIKEY message at all"}) {
    const auto answer = ask(as_bytes(junk));
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().category, Category::malformed);
  }
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  EXPECT_EQ(ask(exchange.message(), Accepted::resolve).error().category, Category::malformed)
      << "a REQUEST_INIT is no RESOLVE_INIT";
  EXPECT_EQ(ask(offer_to({kBob}).message()).error().category, Category::malformed);
}

// ----------------------------------------------------------------------------------------- KMS-10

// [6043-12.1-02]
TEST_F(TicketHandlerTest, KMS_10_MrfcsAndApplicationServersRequestAndResolveLikeUsers) {
  add("sip:mrfc@example.com", IdentityKind::mrfc);
  add("sip:as@example.com", IdentityKind::as);
  mikey::TicketPolicy wished = wish({"sip:as@example.com"});
  wished.idr_i = mikey::Identity::uri("sip:mrfc@example.com");
  auto granted = request("sip:mrfc@example.com", wished);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  const auto made = offer(std::make_shared<const mikey::GrantedTicket>(std::move(*granted)),
                          "sip:mrfc@example.com", "sip:as@example.com");
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  EXPECT_TRUE(resolve("sip:as@example.com", made->message()).has_value());
}

// [6043-12.5-02]
TEST_F(TicketHandlerTest, KMS_10_AGroupCannotActForItself) {
  add("sip:team@example.com");
  // One that has a key: from a KMS that still gave groups keys.
  const auto database = SqliteDatabase::open(folder / "kms.db", SqliteDatabase::Mode::write);
  ASSERT_TRUE((*database)->execute("UPDATE identities SET kind = 4 WHERE uri LIKE '%team%'"));
  mikey::TicketPolicy wished = wish({kBob});
  wished.idr_i.reset();
  ASSERT_FALSE(request("sip:team@example.com", wished).has_value());
  EXPECT_EQ(audit_lines().back()["rule"], "group");
}

// ------------------------------------------------------------------------- identities and keys

// [6043-4.2.1.2-03] [6043-4.2.3.2-03]
TEST_F(TicketHandlerTest, FindsTheKeyOfASenderThatNamesNoKey) {
  mikey::KmsCredentials own = credentials(kAlice);
  own.psk_id.clear();
  EXPECT_TRUE(ask(mikey::TicketRequest::start(env(), own, wish({kBob})).value().message()));
}

TEST_F(TicketHandlerTest, ANewKeyCountsFromTheAcknowledgementOn) {
  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value());
  Psk fresh = random.secret<PskTag>(32).value();
  ASSERT_TRUE(admin->set_psk(operator_caller, kAlice, {{}, fresh.clone()}).has_value());
  EXPECT_FALSE(request(kAlice, wish({kBob})).has_value()) << "the old key";
  psks[kAlice] = fresh.clone();
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  ASSERT_TRUE(admin->remove(operator_caller, kAlice).has_value());
  ASSERT_FALSE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(last_answer.error().category, Category::unauthenticated);
}

TEST_F(TicketHandlerTest, AsksTheStoreOnceForAKnownSenderAndNeverKeepsAnUnknownOne) {
  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value());
  const std::size_t after_first = store->look_ups();
  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(store->look_ups(), after_first) << "a hit is answered from the cache";
  ASSERT_TRUE(request(kBob, wish_of(kBob, {kAlice})).has_value());
  EXPECT_EQ(store->look_ups(), after_first + 1) << "for the sender; TPK and policy are cached";
  mikey::KmsCredentials unknown = credentials(kAlice);
  unknown.self = mikey::Identity::uri("sip:nobody@example.com");
  unknown.psk_id = "sip:nobody@example.com";
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(ask(mikey::TicketRequest::start(env(), unknown, wish({kBob})).value().message()));
    EXPECT_EQ(store->look_ups(), after_first + 1 + i);
  }
}

TEST_F(TicketHandlerTest, ManyMoreIdentitiesThanAreReadyAskTheStoreOnceEach) {
  cache_limits.keys = 16;
  restart();
  std::vector<std::string> uris;
  for (int i = 0; i < 48; ++i) uris.push_back("sip:user" + std::to_string(i) + "@example.com");
  for (const std::string& uri : uris) add(uri.c_str());
  for (const std::string& uri : uris)
    ASSERT_TRUE(request(uri.c_str(), wish_of(uri.c_str(), {kBob})));
  const std::size_t after_first = store->look_ups();
  EXPECT_LE(keys->cached(), 16U + 1U) << "the TPK too";
  EXPECT_GE(keys->packed(), uris.size());
  for (const std::string& uri : uris)
    ASSERT_TRUE(request(uri.c_str(), wish_of(uri.c_str(), {kBob})));
  EXPECT_EQ(store->look_ups(), after_first);

  for (const std::string& uri : uris) {
    ASSERT_TRUE(admin->suspend(operator_caller, uri).has_value());
    ASSERT_FALSE(request(uri.c_str(), wish_of(uri.c_str(), {kBob})).has_value()) << uri;
  }
}

// ------------------------------------------------------------------------------------------ KMS-7

TEST_F(TicketHandlerTest, KMS_7_UnknownIdentityAndWrongKeyAskTheStoreEquallyOften) {
  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value()) << "alice is in the cache";
  const auto look_ups_of = [&](const mikey::KmsCredentials& sender) {
    const std::size_t before = store->look_ups();
    last_answer = ask(mikey::TicketRequest::start(env(), sender, wish({kBob})).value().message());
    EXPECT_EQ(last_category(), Category::unauthenticated);
    return store->look_ups() - before;
  };
  mikey::KmsCredentials unknown = credentials(kAlice);
  unknown.self = mikey::Identity::uri("sip:nobody@example.com");
  unknown.psk_id = "sip:nobody@example.com";
  mikey::KmsCredentials wrong_key = credentials(kAlice);
  wrong_key.psk = random.secret<PskTag>(32).value();
  mikey::KmsCredentials not_cached = credentials(kBob);
  not_cached.psk = random.secret<PskTag>(32).value();
  EXPECT_EQ(look_ups_of(unknown), 1U);
  EXPECT_EQ(look_ups_of(wrong_key), 1U);
  EXPECT_EQ(look_ups_of(not_cached), 1U);
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

TEST_F(TicketHandlerTest, KMS_7_AnIdentityOverItsRateIsToldHowLongToWait) {
  limit_settings.per_identity = {1, 2};
  restart();
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  EXPECT_FALSE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(last_answer.error().category, Category::busy);
  EXPECT_EQ(last_answer.error().retry_after, std::chrono::seconds(1));
  EXPECT_EQ(audit_lines().back()["rule"], "limit");
  EXPECT_TRUE(request(kBob, wish_of(kBob, {kAlice})).has_value()) << "somebody else";
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

TEST_F(TicketHandlerTest, KMS_7_APeerOverItsRateIsRefusedUnreadAndUnaudited) {
  limit_settings.per_peer = {1, 1};
  restart();
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  const std::size_t lines = audit_lines().size();
  last_answer = ask(as_bytes("no message at all"));
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::busy);
  EXPECT_EQ(audit_lines().size(), lines);
}

TEST_F(TicketHandlerTest, KMS_7_FailuresSlowTheirPeerDownAndLockNobodyElseOut) {
  limit_settings.free_failures = 3;
  restart();
  mikey::KmsCredentials wrong_key = credentials(kAlice);
  wrong_key.psk = random.secret<PskTag>(32).value();
  const auto guess = [&] {
    last_answer =
        ask(mikey::TicketRequest::start(env(), wrong_key, wish({kBob})).value().message());
    return last_category();
  };
  user_caller.address = "ipv4:192.0.2.66:1000";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(guess(), Category::unauthenticated);
  user_caller.address = "ipv4:192.0.2.66:1001";
  EXPECT_EQ(guess(), Category::busy) << "another port is the same peer";
  EXPECT_EQ(audit_lines().back()["rule"], "backoff");
  EXPECT_FALSE(request(kAlice, wish({kBob})).has_value()) << "with the right key from there, too";
  EXPECT_TRUE(request(kBob, wish_of(kBob, {kAlice})).has_value()) << "another identity from there";
  user_caller.address = "ipv4:192.0.2.1:1000";
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value()) << "alice herself, from elsewhere";
  user_caller.address = "ipv4:192.0.2.66:1000";
  clock.advance(limit_settings.first_backoff);
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

// -------------------------------------------------------------------------------- when in trouble

TEST_F(TicketHandlerTest, AStoreThatCannotAnswerIsUnavailableAndTheSameMessageMayComeAgain) {
  store->trouble = [] { return Error(Category::unavailable, "the disk is gone"); };
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  last_answer = ask(exchange.message());
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::unavailable);
  EXPECT_TRUE(last_answer.error().retry_after.has_value());
  EXPECT_EQ(last_answer.error().reason.find("disk"), std::string::npos);
  ASSERT_FALSE(log_lines.empty());
  EXPECT_NE(log_lines.back().find("the disk is gone"), std::string::npos);
  store->trouble = nullptr;
  EXPECT_TRUE(ask(exchange.message()).has_value()) << "nothing was decided about it";
}

TEST_F(TicketHandlerTest, RefusesWithBusyWhenTooManyWaitForTheStore) {
  executor_threads = 1;
  executor_waiting = 0;
  restart();
  const mikey::KmsCredentials own = credentials(kAlice);
  const auto exchange = mikey::TicketRequest::start(env(), own, wish({kBob})).value();
  last_answer = ask(exchange.message());
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::busy);
  EXPECT_TRUE(last_answer.error().retry_after.has_value());
}

TEST_F(TicketHandlerTest, ADecisionThatCannotBeAuditedIsRefused) {
  audit_options.path = "/dev/full";
  restart();
  ASSERT_FALSE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(last_answer.error().category, Category::unavailable);

  audit_options.needed = false;
  restart();
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

TEST_F(TicketHandlerTest, WritesOneAuditLinePerDecisionBeforeTheAnswer) {
  const auto made = offer_to({kBob});
  auto lines = audit_lines();
  ASSERT_EQ(lines.size(), 4U) << "three identities and one ticket";
  nlohmann::json line = lines.back();
  EXPECT_EQ(line["operation"], "request");
  EXPECT_EQ(line["decision"], "granted");
  EXPECT_EQ(line["identity"], kAlice);
  EXPECT_EQ(line["responder"], kBob);
  EXPECT_EQ(line["caller"], "anonymous_tls");
  EXPECT_EQ(line["trace_id"], "trace-1");
  EXPECT_EQ(line["time"], "2026-01-02T03:04:05.000000Z");
  const auto message = mikey::Message::parse(made.message()).value();
  const std::string ticket_id = to_hex(mikey::ticket_id(*message.ticket).value());
  EXPECT_EQ(line["ticket_id"], ticket_id);

  ASSERT_TRUE(resolve(kBob, made.message()).has_value());
  line = audit_lines().back();
  EXPECT_EQ(line["operation"], "resolve");
  EXPECT_EQ(line["responder"], kBob);
  EXPECT_EQ(line["ticket_id"], ticket_id) << "the same ticket under the same name";
  EXPECT_NE(line["request_id"], lines.back()["request_id"]);
}

TEST_F(TicketHandlerTest, AnswersFromManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::atomic<int> granted{0};
  std::vector<ByteVector> messages;
  messages.reserve(80);
  const mikey::KmsCredentials own = credentials(kAlice);
  for (int i = 0; i < 80; ++i) {
    messages.push_back(
        to_vector(mikey::TicketRequest::start(env(), own, wish({kBob})).value().message()));
  }
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < messages.size(); ++i) {
        if (i % 4 == static_cast<std::size_t>(t) && ask(messages[i])) ++granted;
        if (i % 20 == 19 && t == 0) {
          ASSERT_TRUE(admin->set_psk(operator_caller, kAlice, {{}, psks.at(kAlice).clone()}));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted, 80);
}

}  // namespace
}  // namespace keystub::kms
