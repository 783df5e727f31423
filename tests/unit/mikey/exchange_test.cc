// What the exchanges refuse although every octet is genuine: another policy than wished for,
// another responder, missing freshness, mixed suites, early rejects.
#include <gtest/gtest.h>

#include "mikey/message_builder.h"
#include "mikey/protection.h"
#include "tests/support/vectors.h"
#include "tests/unit/mikey/exchanges.h"
#include "tests/unit/mikey/refused.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;

// [6043-4.2.1.6-01] [3830-6-01]
TEST_F(Exchanges, BothEndsShareOneTlsKey) {
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const TransferAnswer answered = answer(offered.message(), bob_.self).value();
  const EstablishedTransfer established = offered.accept(answered.message).value();
  ASSERT_EQ(established.sessions.size(), 1U);
  EXPECT_EQ(established.sessions[0].tek.size(), 32U);
  EXPECT_EQ(established.sessions[0].tek, answered.established.sessions[0].tek);
  EXPECT_EQ(established.peer.data, kBob);
  EXPECT_EQ(answered.established.peer.data, kAlice);
}

// [6043-4.1-01] [6043-A-01]
TEST_F(Exchanges, SelfIssuedTicketWorksTheSame) {
  TicketPolicy policy = wish();
  policy.flags = kMode3Flags;
  const TransferOffer offered = offer(issue_ticket(env_, policy, protection()).value());
  const TransferAnswer answered = answer(offered.message(), bob_.self).value();
  EXPECT_EQ(offered.accept(answered.message).value().sessions[0].tek,
            answered.established.sessions[0].tek);
}

// [6043-4.2.2.3-11] [6043-5.5-03] [6043-12.2-01]
TEST_F(Exchanges, OneOfferAcceptsSeveralAnswersWithDifferentKeys) {
  TicketPolicy policy = wish();
  policy.idr_r.push_back(Identity::uri("sip:bob@home.example.com"));
  const TransferOffer offered = offer(request(policy, policy).value());
  const auto first = answer(offered.message(), bob_.self).value();
  const auto second = answer(offered.message(), Identity::uri("sip:bob@home.example.com")).value();
  const auto first_keys = offered.accept(first.message).value();
  const auto second_keys = offered.accept(second.message).value();
  EXPECT_FALSE(first_keys.sessions[0].tek == second_keys.sessions[0].tek);
  EXPECT_EQ(second_keys.peer.data, "sip:bob@home.example.com");
}

// MRFC-I5: the responder must be one that the ticket authorises.
TEST_F(Exchanges, AnswerFromAResponderThatTheTicketDoesNotNameIsRefused) {
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const auto answered = answer(offered.message(), Identity::uri("sip:mallory@example.com")).value();
  const auto accepted = offered.accept(answered.message);
  ASSERT_FALSE(accepted.has_value());
  EXPECT_EQ(accepted.error().category(), Category::denied);
}

// MRFC-I5: G demands RANDRr.
TEST_F(Exchanges, AnswerWithoutRandrrIsRefusedWhereThePolicyDemandsIt) {
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const auto answered = answer(offered.message(), bob_.self).value();
  const Message message = Message::parse(answered.message).value();
  MessageBuilder builder(DataType::transfer_resp, false, message.header.prf, message.header.csb_id,
                         message.header.crypto_sessions("TRANSFER_RESP").value());
  builder.t(*message.t).idr(IdRole::responder, bob_.self).randr(RandRole::kms, *message.randr_kms);
  builder.begin_v(MacAlg::hmac_sha_256_256);
  const auto accepted = offered.accept(std::move(builder).end_v(ByteVector(32, 0)).value());
  ASSERT_FALSE(accepted.has_value());
  EXPECT_NE(accepted.error().text().find("RANDRr"), std::string::npos);
}

TEST_F(Exchanges, AnswerToAnotherOfferIsRefused) {
  const auto ticket = request(wish(), wish());
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const TransferOffer other = offer(request(wish(), wish()).value());
  const auto answered = answer(offered.message(), bob_.self).value();
  EXPECT_FALSE(other.accept(answered.message).has_value());
}

// KMS-1 from the initiator's side: RFC 6043 4.2.1.6.
// [6043-4.2.1.6-03] [6043-4.2.1.6-04]
TEST_F(Exchanges, GrantedPolicyMustBeAcceptable) {
  const auto granted = [&](void (*change)(TicketPolicy&)) {
    TicketPolicy policy = wish();
    change(policy);
    return request(wish(), policy);
  };
  EXPECT_TRUE(granted([](TicketPolicy&) {}).has_value());
  EXPECT_TRUE(granted([](TicketPolicy& p) {  // K set, shorter validity
                p.flags = p.flags.with(TicketFlag::k_changed);
                p.trs = Timestamp{TsType::ntp_utc_32, p.trs->value + 60};
                p.tre = Timestamp{TsType::ntp_utc_32, p.tre->value - 3600};
              })
                  .has_value());
  struct Row {
    const char* complaint;
    void (*change)(TicketPolicy&);
  };
  const Row rows[] = {
      {"ticket type or PRF differ", [](TicketPolicy& p) { p.type = kMikeyBaseTicket; }},
      {"longer (TRe)",
       [](TicketPolicy& p) { p.tre = Timestamp{TsType::ntp_utc_32, p.tre->value + 1}; }},
      {"longer (TRe)", [](TicketPolicy& p) { p.tre.reset(); }},
      {"from an earlier time (TRs)",
       [](TicketPolicy& p) { p.trs = Timestamp{TsType::ntp_utc_32, p.trs->value - 1}; }},
      {"from an earlier time (TRs)", [](TicketPolicy& p) { p.trs.reset(); }},
      {"it lets sip:eve@example.com resolve",
       [](TicketPolicy& p) { p.idr_r.push_back(Identity::uri("sip:eve@example.com")); }},
      {"it lets * resolve", [](TicketPolicy& p) { p.idr_r = {Identity::uri("*")}; }},
      {"it names another initiator, sip:eve@example.com",
       [](TicketPolicy& p) { p.idr_i = Identity::uri("sip:eve@example.com"); }},
      {"flags DEFGHNO for DEFGHINO",
       [](TicketPolicy& p) { p.flags = p.flags.with(TicketFlag::i_forking, false); }},
      {"another interval (TRr)",
       [](TicketPolicy& p) { p.trr = Timestamp{TsType::ntp_utc_32, 3600}; }},
      {"became reusable (J)",
       [](TicketPolicy& p) { p.flags = p.flags.with(TicketFlag::j_reusable); }},
  };
  for (const Row& row : rows) {
    expect_refused(granted(row.change),
                   {Category::denied, row.complaint, "TICKET", "RFC 6043 4.2.1.6"});
  }
}

// MRFC-R1: refused without a call to the KMS.
// [6043-4.2.2.2-01] [6043-4.2.2.2-02] [6043-12.3-02]
TEST_F(Exchanges, ResponderRefusesEarlyWhatTheMessageRulesOut) {
  const auto early = [&](const TransferOffer& offered, const ResponderProfile& profile,
                         WallTime now) {
    const auto received = ReceivedTransfer::parse(offered.message()).value();
    return received.check_early(profile, now);
  };
  const auto offered_with = [&](auto change) {
    TicketPolicy policy = wish();
    change(policy);
    const auto flags = policy.flags;
    policy.flags = kMode1Flags;
    GrantedTicket ticket = request(policy, policy).value();
    ticket.policy.flags = flags;
    return offer(std::move(ticket));
  };
  const TransferOffer good = offered_with([](TicketPolicy&) {});
  EXPECT_TRUE(early(good, profile_, clock_.now()).has_value());
  EXPECT_FALSE(early(good, profile_, clock_.now() - 6min).has_value());  // before TRs
  EXPECT_FALSE(early(good, profile_, clock_.now() + 25h).has_value());   // after TRe

  ResponderProfile carol = profile_;
  carol.own_identities = {Identity::uri("sip:carol@example.com")};
  EXPECT_FALSE(early(good, carol, clock_.now()).has_value());
  carol.group_patterns = {"sip:*@example.com"};  // bob might be a group with carol in it
  EXPECT_TRUE(early(good, carol, clock_.now()).has_value());

  const TransferOffer to_domain =
      offered_with([](TicketPolicy& p) { p.idr_r = {Identity::uri("sip:*@example.com")}; });
  EXPECT_TRUE(early(to_domain, profile_, clock_.now()).has_value());

  const TransferOffer odd_type = offered_with([](TicketPolicy& p) { p.type = {2, 9, 1}; });
  const auto refused = early(odd_type, profile_, clock_.now());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_ticket));
}

// MRFC-R2: the caller is the ticket's owner.
// [6043-4.2.3.6-01]
TEST_F(Exchanges, TicketPutIntoAnotherMessageIsRefused) {
  const TransferOffer first = offer(request(wish(), wish()).value());
  const TransferOffer second = offer(request(wish(), wish()).value());
  const auto received = ReceivedTransfer::parse(first.message()).value();
  const auto other = ReceivedTransfer::parse(second.message()).value();
  const TicketResolve resolve = TicketResolve::start(env_, bob_, other.ticket()).value();
  const ByteVector response = kms_resolves(resolve.message(), bob_.self).value();
  EXPECT_FALSE(received.verify(resolve.finish(response).value(), bob_.self).has_value());
}

// [6043-4.2.1-01] [6043-5.4-03]
TEST_F(Exchanges, WrongKeyIsRefusedAsUnauthenticated) {
  const TicketRequest request = TicketRequest::start(env_, alice_, wish()).value();
  const auto received = ReceivedRequest::parse(request.message()).value();
  const auto result = received.authenticate(Psk(ByteVector(32, 77)), alice_.self, alice_.kms);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::unauthenticated);
  EXPECT_EQ(error_no_for(result.error()), ErrorNo::auth_failure);
}

// [6043-12.1-04]
TEST_F(Exchanges, ShortKeysAreRefusedBeforeAnythingIsSent) {
  KmsCredentials weak{alice_.self, alice_.kms, "psk", Psk(ByteVector(15, 1))};
  EXPECT_FALSE(TicketRequest::start(env_, weak, wish()).has_value());
}

// D says whose ticket it is, and a ticket is for somebody.
TEST_F(Exchanges, TicketsOfNobodyAndForNobodyAreNotMade) {
  TicketPolicy of_the_kms = wish();
  of_the_kms.flags = kMode1Flags;
  expect_refused(issue_ticket(env_, of_the_kms, protection()), {Category::internal, "has D = 0"});
  TicketPolicy for_nobody = wish();
  for_nobody.idr_r.clear();
  expect_refused(TicketRequest::start(env_, alice_, for_nobody),
                 {Category::malformed, "a ticket needs at least one responder"});
}

// A KMS would refuse to read them.
TEST_F(Exchanges, KeysThatNobodyCanWishForAreNotWishedFor) {
  TicketPolicy for_an_mpk = wish();
  for_an_mpk.keys = {{KeyType::mpk, 16, 0, {1, 2, 3, 4}}};
  expect_refused(TicketRequest::start(env_, alice_, for_an_mpk),
                 {Category::malformed, "MPKs cannot be wished for"});
  TicketPolicy without_spi = wish();
  without_spi.keys = {{KeyType::tgk, 16, 0, {}}};
  expect_refused(TicketRequest::start(env_, alice_, without_spi),
                 {Category::malformed, "a wished key without an SPI"});
}

// [3830-4.2.2-01] [3830-9.1-04]
TEST_F(Exchanges, FailingRandomnessIsAnErrorAndNoKey) {
  random_.fail_from_now_on();
  const auto request = TicketRequest::start(env_, alice_, wish());
  ASSERT_FALSE(request.has_value());
  EXPECT_EQ(request.error().category(), Category::internal);
}

// [3830-5.1.2-02]
// [6043-5.4-05]
TEST_F(Exchanges, ErrorMessageNamesItsNumberToTheInitiator) {
  const TicketRequest request = TicketRequest::start(env_, alice_, wish()).value();
  const auto received = ReceivedRequest::parse(request.message()).value();
  const auto authenticated = received.authenticate(alice_.psk, alice_.self, alice_.kms).value();
  const auto result = request.finish(authenticated.refuse(env_, ErrorNo::invalid_tppar).value());
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::denied);
  EXPECT_EQ(result.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
}

// RFC 6043 12.1: the suites are not mixed.
// [6043-12.1-11]
TEST_F(Exchanges, MixedSuitesAreRefused) {
  TicketPolicy policy = wish();
  policy.prf = PrfFunc::mikey_1;
  MessageBuilder builder(DataType::request_init_psk, true, PrfFunc::hmac_sha_256, 1);
  builder.t(Timestamp::from(clock_.now())).randr(RandRole::initiator, ByteVector(32, 1)).tp(policy);
  builder.begin_v(MacAlg::hmac_sha_256_256);
  const ByteVector message = std::move(builder).end_v(ByteVector(32, 0)).value();
  const auto received = ReceivedRequest::parse(message);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(error_no_for(received.error()), ErrorNo::invalid_prf);
}

// Reading A18: NULL would show the keys to every hop.
// [3830-4.2.3-02] [3830-4.2.4-04] [3830-4.2.3-06]
TEST_F(Exchanges, NullAlgorithmsAreRefused) {
  MessageBuilder builder(DataType::request_init_psk, true, PrfFunc::hmac_sha_256, 1);
  builder.t(Timestamp::from(clock_.now())).randr(RandRole::initiator, ByteVector(32, 1)).tp(wish());
  builder.begin_v(MacAlg::null);
  const ByteVector message = std::move(builder).end_v({}).value();
  const auto received = ReceivedRequest::parse(message);
  ASSERT_FALSE(received.has_value());
  EXPECT_EQ(error_no_for(received.error()), ErrorNo::invalid_mac);

  MessageKeys keys;
  keys.encr = EncrKey(32);
  keys.salt = SaltKey(14);
  const ByteVector plain = testing::hex("000100100102030405060708090a0b0c0d0e0f100101");
  const auto opened = open_kemac(kSuite256, keys, 1, {TsType::ntp_utc, 1},
                                 {EncrAlg::null, plain, MacAlg::null, {}}, {});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(error_no_for(opened.error()), ErrorNo::invalid_ea);
}

}  // namespace
}  // namespace keystub::mikey
