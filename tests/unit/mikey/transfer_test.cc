// What Ticket Transfer lets each side do: crypto sessions and policies of an answer, session keys
// of the peers' own, tickets that the responder opens itself, tickets that are used again (RFC
// 6043 4.1.1, 4.2.2, 5.3, 6.1.1, 8, 9). docs/compliance.md says which rule is tested where.
#include <gtest/gtest.h>

#include "mikey/derivation.h"
#include "tests/unit/mikey/transfers.h"

namespace keystub::mikey {
namespace {

// --- Crypto sessions and policies --------------------------------------------------------------

// [6043-4.2.2.3-03] [6043-6.1.1-05] [6043-6.1.1-07]
TEST_F(Transfers, AnAnswerNamesOneOfTheOfferedPoliciesPerCryptoSession) {
  const TransferOffer offered = TransferOffer::start(env_, ticket_with(kMode1Flags),
                                                     to_bob({srtp({1, 2})}, {policy_1_, policy_2_}))
                                    .value();
  const TransferAnswer first = answered(offered).value();
  const Message message = Message::parse(first.message).value();
  EXPECT_EQ(message.header.crypto_sessions(message.name()).value()[0].policies, ByteVector{1});
  EXPECT_EQ(first.established.sessions[0].policy, policy_1_);
  EXPECT_EQ(offered.accept(first.message).value().sessions[0].policy, policy_1_);

  const TransferAnswer second = answered(offered, {{}, {srtp({2})}, {}, {}}).value();
  EXPECT_EQ(offered.accept(second.message).value().sessions[0].policy, policy_2_);
  EXPECT_FALSE(answered(offered, {{}, {srtp({1, 2})}, {}, {}}).has_value());
  EXPECT_FALSE(answered(offered, {{}, {srtp({})}, {}, {}}).has_value());
}

// [6043-4.2.2.4-01] [6043-4.2.2.4-02] [6043-4.2.2.4-03] [6043-6.1.1-06] [6043-6.1.1-08]
// [6043-4.2.2.3-13]
TEST_F(Transfers, PoliciesOfTheRespondersOwnAreAcceptedOnlyWhereTheInitiatorSaysSo) {
  const auto ticket = ticket_with(kMode1ReusableFlags);
  for (const ByteVector& offered_policies : {ByteVector{}, ByteVector{1}}) {
    const auto offer_that_accepts = [&](bool policies) {
      OfferParameters parameters = to_bob({srtp(offered_policies)}, {policy_1_});
      parameters.accepted.policies = policies;
      return TransferOffer::start(env_, ticket, std::move(parameters)).value();
    };
    const TransferOffer strict = offer_that_accepts(false);
    if (offered_policies.empty()) {
      EXPECT_FALSE(answered(strict).has_value()) << "nobody provides a policy";
    }
    const TransferAnswer answer = answered(strict, {{}, {srtp({7})}, {policy_7_}, {}}).value();
    const auto refused = strict.accept(answer.message);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_sppar));

    // A new TRANSFER_INIT takes what comes.
    const TransferOffer open = offer_that_accepts(true);
    const TransferAnswer again = answered(open, {{}, {srtp({7})}, {policy_7_}, {}}).value();
    EXPECT_EQ(open.accept(again.message).value().sessions[0].policy, policy_7_);
  }
}

// Reading A21: in the answer a number means the answer's own SP payload.
TEST_F(Transfers, APolicyNumberThatBothUseMeansTheLaterPolicy) {
  OfferParameters parameters = to_bob({srtp({1})}, {policy_1_});
  parameters.accepted.policies = true;
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(kMode1Flags), std::move(parameters)).value();
  const SecurityPolicy later{1, ProtType::srtp, {0, 1, 0}};
  ASSERT_NE(later, policy_1_);
  const TransferAnswer answer = answered(offered, {{}, {srtp({1})}, {later}, {}}).value();
  EXPECT_EQ(answer.established.sessions[0].policy, later);
  EXPECT_EQ(offered.accept(answer.message).value().sessions[0].policy, later);
}

// Reading A22: TLS goes without SP (TS 33.328), and with one as every other protocol (6.1.1).
TEST_F(Transfers, TlsGoesWithOneSecurityPolicyOrNone) {
  const auto ticket = ticket_with(kMode1ReusableFlags);
  const SecurityPolicy for_tls{1, ProtType::tls, {}};
  for (const bool with_policy : {false, true}) {
    std::vector<CryptoSession> sessions = tls_session(ticket->session_keys);
    if (with_policy) sessions[0].policies = {1};
    const TransferOffer offered =
        TransferOffer::start(env_, ticket, to_bob(sessions, {for_tls})).value();
    profile_.require_single_tls_session = true;
    const TransferAnswer answer = answered(offered).value();
    const EstablishedTransfer established = offered.accept(answer.message).value();
    EXPECT_EQ(established.sessions[0].policy.has_value(), with_policy);
  }
}

// [6043-6.1.1-09]
TEST_F(Transfers, APolicyOfAnotherSecurityProtocolOrNoneIsRefused) {
  const SecurityPolicy for_tls{1, ProtType::tls, {}};
  EXPECT_FALSE(
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({srtp({1})}, {for_tls})));
  EXPECT_FALSE(
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({srtp({1})}, {policy_2_})));
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({srtp({1})}, {policy_1_}))
          .value();
  EXPECT_FALSE(answered(offered, {{}, {srtp({2})}, {}, {}}).has_value());
}

// [6043-4.2.2.3-14]
TEST_F(Transfers, PoliciesOfTheInitiatorAreNotSentBack) {
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({srtp({1})}, {policy_1_}))
          .value();
  const TransferAnswer answer = answered(offered, {{}, {}, {policy_1_}, {}}).value();
  const Message message = Message::parse(answer.message).value();
  PayloadWalker walker = message.payloads();
  while (const Payload* payload = walker.next().value()) {
    EXPECT_NE(payload->type, PayloadType::sp);
  }
}

// [6043-4.2.2.3-05] [6043-6.1.1-10] [6043-6.1.1-11]
TEST_F(Transfers, TheResponderProvidesAndChangesSessionData) {
  CryptoSession without_data = srtp({1});
  without_data.session_data.clear();
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({without_data}, {policy_1_}))
          .value();
  EXPECT_FALSE(answered(offered).has_value()) << "SRTP needs an SSRC";
  CryptoSession changed = srtp({1});
  changed.session_data = {1, 2, 3, 4, 0, 0, 0, 5, 0, 6};
  changed.s_flag = true;
  const TransferAnswer answer = answered(offered, {{}, {changed}, {}, {}}).value();
  const EstablishedTransfer established = offered.accept(answer.message).value();
  EXPECT_EQ(established.bundle.crypto_sessions(), std::vector{changed});
}

// [6043-4.2.2.3-06]
TEST_F(Transfers, AddedCryptoSessionsAreCountedAndAcceptedOnlyWhereTheInitiatorSaysSo) {
  const auto ticket = ticket_with(kMode1ReusableFlags);
  for (const bool accepted : {false, true}) {
    OfferParameters parameters = to_bob({srtp({1})}, {policy_1_});
    parameters.accepted.crypto_sessions = accepted;
    const TransferOffer offered = TransferOffer::start(env_, ticket, std::move(parameters)).value();
    const TransferAnswer answer =
        answered(offered, {{}, {srtp({1}), srtp({1}, 2)}, {}, {}}).value();
    EXPECT_EQ(Message::parse(answer.message).value().header.cs_count, 2);
    const auto established = offered.accept(answer.message);
    EXPECT_EQ(established.has_value(), accepted);
    if (established) {
      EXPECT_EQ(established->sessions.size(), 2U);
    }
  }
}

// --- Session keys of the peers' own --------------------------------------------------------------

// [6043-4.2.2.1-09] [6043-4.2.2.1-10] [6043-6.10-17] [6043-6.10-18]
TEST_F(Transfers, TheInitiatorSuppliesKeysWhereLSaysSoAndOnlyThere) {
  CryptoSession session = srtp({1});
  session.spi = {5, 5};
  const auto parameters = [&] {
    OfferParameters out = to_bob({session}, {policy_1_});
    out.keys = keys(key(KeyType::tek, 0x55, {5, 5}));
    return out;
  };
  const auto refused = TransferOffer::start(env_, ticket_with(flags("DEFGHINO")), parameters());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));

  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(flags("DEFGHILNO")), parameters()).value();
  EXPECT_FALSE(answered(offered).has_value()) << "the responder does not want them";
  profile_.accept_initiator_keys = true;
  const TransferAnswer answer = answered(offered).value();
  EXPECT_EQ(answer.established.sessions[0].tek, Tek(ByteVector(32, 0x55)));
  EXPECT_EQ(offered.accept(answer.message).value().sessions[0].tek, Tek(ByteVector(32, 0x55)));
}

// [6043-4.2.2.3-15] [6043-4.2.2.3-16] [6043-4.2.2.3-17] [6043-6.10-19] [6043-6.10-20] [6043-8-01]
TEST_F(Transfers, TheResponderSuppliesKeysWhereMSaysSoAndOnlyThere) {
  for (const KeyType type : {KeyType::tek, KeyType::tgk}) {
    TicketPolicy policy = wish();
    policy.keys.clear();  // a ticket without session keys
    CryptoSession session = srtp({1});
    session.spi.clear();
    const auto offer_under = [&](std::string_view letters, bool accepted) {
      policy.flags = flags(letters);
      OfferParameters parameters = to_bob({session}, {policy_1_});
      parameters.accepted.keys = accepted;
      auto ticket = std::make_shared<GrantedTicket>(request(policy, policy).value());
      return TransferOffer::start(env_, std::move(ticket), std::move(parameters)).value();
    };
    const auto supply = [&](const TransferOffer& offered) {
      ResponseParameters parameters;
      parameters.keys = keys(key(type, 0x66, {6, 6}));
      return answered(offered, std::move(parameters));
    };
    const auto refused = supply(offer_under("DEFGHINO", true));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));

    const TransferOffer unwilling = offer_under("DEFGHIMNO", false);
    EXPECT_FALSE(unwilling.accept(supply(unwilling).value().message).has_value());

    const TransferOffer offered = offer_under("DEFGHIMNO", true);
    const TransferAnswer answer = supply(offered).value();
    const EstablishedTransfer established = offered.accept(answer.message).value();
    EXPECT_EQ(established.sessions[0].tek, answer.established.sessions[0].tek);
    const Message init = Message::parse(offered.message()).value();
    const Message resp = Message::parse(answer.message).value();
    EXPECT_EQ(resp.kemac->mac_alg, MacAlg::null);
    // As it was supplied: not forked, though the ticket forks its keys.
    const Tek expected = derive_tek(PrfFunc::hmac_sha_256, key(type, 0x66, {6, 6}), 1,
                                    *init.randr_i, *resp.randr_r, 32)
                             .value();
    EXPECT_EQ(established.sessions[0].tek, expected);
  }
}

// [6043-9-02] [3830-6.11-02]
TEST_F(Transfers, AGroupKeyGivesAllMembersTheSameSessionKey) {
  const ByteVector randr_i(32, 0x77);
  std::vector<Tek> teks;
  profile_.accept_initiator_keys = true;
  for (int member = 0; member < 2; ++member) {
    CryptoSession session = srtp({1});
    session.spi = {9};
    OfferParameters parameters = to_bob({session}, {policy_1_});
    parameters.keys = keys(key(KeyType::gtgk, 0x99, {9}));
    parameters.group_randr_i = randr_i;
    const TransferOffer offered =
        TransferOffer::start(env_, ticket_with(flags("DEFHILNO")), std::move(parameters)).value();
    EXPECT_TRUE(equal(*Message::parse(offered.message()).value().randr_i, randr_i));
    TransferAnswer answer = answered(offered).value();
    EXPECT_EQ(offered.accept(answer.message).value().sessions[0].tek,
              answer.established.sessions[0].tek);
    teks.push_back(std::move(answer.established.sessions[0].tek));
  }
  EXPECT_EQ(teks[0], teks[1]);

  // RANDRr would be another for each member.
  OfferParameters parameters = to_bob({srtp({1})}, {policy_1_});
  parameters.group_randr_i = randr_i;
  EXPECT_FALSE(
      TransferOffer::start(env_, ticket_with(kMode1Flags), std::move(parameters)).has_value());
}

// --- Modes 2 and 4 -------------------------------------------------------------------------------

// [6043-4.1-02] [6043-4.2.3-01] [6043-6.10-04] [6043-6.10-05] [6043-A-01]
TEST_F(Transfers, WithoutETheResponderOpensTheTicketOfTheKmsItself) {
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(flags("DFGHNO")), to_bob({srtp({1})}, {policy_1_}))
          .value();
  const auto received = ReceivedTransfer::parse(offered.message()).value();
  ASSERT_TRUE(received.check_early(profile_, clock_.now()).has_value());
  EXPECT_EQ(received.tpk_id().value()->text(), "tpk-1");
  const auto transfer =
      received.verify(received.open_from_kms(Tpk(ByteVector(32, 9))).value(), bob_.self).value();
  const TransferAnswer answer = transfer.respond(env_, {bob_.self, {}, {}, {}}).value();
  EXPECT_EQ(offered.accept(answer.message).value().sessions[0].tek,
            answer.established.sessions[0].tek);
  EXPECT_FALSE(received.open_from_kms(Tpk(ByteVector(32, 8))).has_value());

  // With E the KMS has to be asked.
  const TransferOffer for_the_kms =
      TransferOffer::start(env_, ticket_with(flags("DEFGHNO")), to_bob({srtp({1})}, {policy_1_}))
          .value();
  const auto refused =
      ReceivedTransfer::parse(for_the_kms.message()).value().open_from_kms(Tpk(ByteVector(32, 9)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().text().find("E = 1"), std::string::npos);
}

// [6043-4.1-01] [6043-6.10-05] [6043-A-01]
TEST_F(Transfers, ATicketUnderAKeyOfTheTwoPeersIsOpenedInTheNameOfItsOwner) {
  TicketPolicy policy = wish();
  policy.flags = flags("FGHLNO");
  auto ticket = std::make_shared<GrantedTicket>(issue_ticket(env_, policy, protection()).value());
  const TransferOffer offered =
      TransferOffer::start(env_, std::move(ticket), to_bob({srtp({1})}, {policy_1_})).value();
  const auto received = ReceivedTransfer::parse(offered.message()).value();
  const Identity carol = Identity::uri("sip:carol@example.com");
  EXPECT_FALSE(received.open_from_initiator(Tpk(ByteVector(32, 9)), carol).has_value());
  EXPECT_FALSE(received.open_from_kms(Tpk(ByteVector(32, 9))).has_value()) << "D = 0";
  const auto transfer =
      received
          .verify(received.open_from_initiator(Tpk(ByteVector(32, 9)), alice_.self).value(),
                  bob_.self)
          .value();
  const TransferAnswer answer = transfer.respond(env_, {bob_.self, {}, {}, {}}).value();
  EXPECT_TRUE(offered.accept(answer.message).has_value());
}

// --- CSB IDs -------------------------------------------------------------------------------------

// [3830-6.1-04] [3830-6.1-05]
TEST_F(Transfers, ACsbIdThatIsInUseIsDrawnAgain) {
  OfferParameters parameters = to_bob({srtp({1})}, {policy_1_});
  parameters.csb_ids_in_use = {0x01020304, 0x05060708};
  const auto ticket = ticket_with(kMode1Flags);
  for (const char* drawn : {"01020304", "05060708", "01020304", "090a0b0c"}) {
    random_.push_hex(drawn);
  }
  random_.push(ByteVector(32, 0x11));  // RANDRi
  const TransferOffer offered = TransferOffer::start(env_, ticket, std::move(parameters)).value();
  EXPECT_EQ(offered.csb_id(), 0x090A0B0CU);
  EXPECT_EQ(Message::parse(offered.message()).value().header.csb_id, 0x090A0B0CU);
}

// --- Ticket reuse --------------------------------------------------------------------------------

// [6043-5.3-03] [6043-6.10-15]
TEST_F(Transfers, ATicketWithoutJIsUsedOnce) {
  const auto ticket = ticket_with(kMode1Flags);
  const TransferOffer offered =
      TransferOffer::start(env_, ticket, to_bob({srtp({1})}, {policy_1_})).value();
  const auto again = TransferOffer::start(env_, ticket, to_bob({srtp({1})}, {policy_1_}));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().category(), Category::conflict);
  EXPECT_FALSE(verified(offered).value().keep_ticket().has_value());
}

// [6043-5.3-01] [6043-5.3-02] [6043-6.10-14]
TEST_F(Transfers, ATicketWithJIsUsedAgainWithTheSameModifierAndWithoutTheKms) {
  const auto ticket = ticket_with(kMode1ReusableFlags);
  const TransferOffer first =
      TransferOffer::start(env_, ticket, to_bob({srtp({1})}, {policy_1_})).value();
  const VerifiedTransfer resolved = verified(first).value();
  const TransferAnswer first_answer = resolved.respond(env_, {bob_.self, {}, {}, {}}).value();
  const KeptTicket kept = resolved.keep_ticket().value();

  clock_.advance(std::chrono::minutes(1));
  const TransferOffer second =
      TransferOffer::start(env_, ticket, to_bob({srtp({1})}, {policy_1_})).value();
  EXPECT_NE(second.csb_id(), first.csb_id());
  const TransferAnswer second_answer = ReceivedTransfer::parse(second.message())
                                           .value()
                                           .verify(kept, bob_.self)
                                           .value()
                                           .respond(env_, {bob_.self, {}, {}, {}})
                                           .value();
  const Message one = Message::parse(first_answer.message).value();
  const Message two = Message::parse(second_answer.message).value();
  EXPECT_EQ(one.idr_r->text(), two.idr_r->text());
  EXPECT_TRUE(equal(*one.randr_kms, *two.randr_kms));
  EXPECT_FALSE(equal(*one.randr_r, *two.randr_r));
  EXPECT_NE(one.t->value, two.t->value);
  const EstablishedTransfer established = second.accept(second_answer.message).value();
  EXPECT_EQ(established.sessions[0].tek, second_answer.established.sessions[0].tek);
  EXPECT_FALSE(established.sessions[0].tek == first_answer.established.sessions[0].tek);

  // Another ticket is not the one that is kept.
  const TransferOffer other =
      TransferOffer::start(env_, ticket_with(kMode1ReusableFlags), to_bob({srtp({1})}, {policy_1_}))
          .value();
  EXPECT_FALSE(ReceivedTransfer::parse(other.message()).value().verify(kept, bob_.self));
}

// --- Refusals ------------------------------------------------------------------------------------

// [6043-5.4-07]
TEST_F(Transfers, BothSidesRefuseWithAnAuthenticatedError) {
  const TransferOffer offered =
      TransferOffer::start(env_, ticket_with(kMode1Flags), to_bob({srtp({1})}, {policy_1_}))
          .value();
  const VerifiedTransfer transfer = verified(offered).value();
  const ByteVector refusal = transfer.refuse(env_, {{ErrorNo::invalid_sppar}, {policy_7_}}).value();
  const ReceivedError read = offered.read_error(refusal).value();
  EXPECT_TRUE(read.authenticated);
  EXPECT_EQ(read.supported, std::vector{policy_7_});
  const auto ended = offered.accept(refusal);
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_sppar));

  TransferAnswer answer = transfer.respond(env_, {bob_.self, {}, {}, {}}).value();
  clock_.advance(std::chrono::seconds(1));  // a bundle takes no T twice
  const ByteVector about_answer = offered.refuse(env_, answer.message, ErrorNo::invalid_sp).value();
  EXPECT_TRUE(answer.established.bundle.read_error(about_answer).value().authenticated);
}

// [6043-6.10-27] [6043-6.10-29]
TEST_F(Transfers, ATicketThatDemandsRekeyingIsTakenOnlyByAResponderThatRekeys) {
  TicketPolicy policy = wish();
  policy.trr = Timestamp{TsType::ntp_utc_32, 3600};
  const TransferOffer offered = offer(request(policy, policy).value());
  const auto received = ReceivedTransfer::parse(offered.message()).value();
  const auto refused = received.check_early(profile_, clock_.now());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
  profile_.accept_rekeying = true;
  EXPECT_TRUE(received.check_early(profile_, clock_.now()).has_value());
  EXPECT_EQ(received.claimed_policy().trr->value, 3600U);
}

}  // namespace
}  // namespace keystub::mikey
