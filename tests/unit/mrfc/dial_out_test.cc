// The MRFC as session initiator, against users that are made of lib/mikey.
#include "tests/unit/mrfc/mrfc_fixture.h"

#include "mrfc-agent/setup_refusal.h"

namespace keystub::mrfc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

mikey::ReceivedTransfer transfer_of(const ByteVector& message) {
  return mikey::ReceivedTransfer::parse(message).value();
}
mikey::TicketPolicy ticket_policy_of(const ByteVector& message) {
  return transfer_of(message).claimed_policy();
}

// MRFC-I1, MRFC-B6
TEST_F(MrfcTest, MRFC_I1_OffersMsrpOverTlsOnWhatTheMrfpReserved) {
  const CreatedOffer created = create_offer();
  EXPECT_EQ(media.calls.front(), "reserve ");
  EXPECT_THAT(created.sdp_offer, HasSubstr("\r\nm=message 20001 TCP/TLS/MSRP *\r\n"));
  EXPECT_THAT(created.sdp_offer, HasSubstr("\r\nc=IN IP4 192.0.2.10\r\n"));
  EXPECT_EQ(attribute(created.sdp_offer, "path"), "msrps://192.0.2.10:20001/s1;tcp");
  EXPECT_EQ(attribute(created.sdp_offer, "accept-types"), "message/cpim text/plain");
  EXPECT_EQ(attribute(created.sdp_offer, "setup"), "actpass");
  EXPECT_THAT(created.sdp_offer, Not(HasSubstr("fingerprint")));
  EXPECT_EQ(created.conference_id, "context-1");
  EXPECT_EQ(controller->list().at(0).media.at(0).state, MediaState::offered);
  EXPECT_TRUE(media.keys_sent.empty()) << "no key leaves before an answer is verified";
}

// MRFC-I2
TEST_F(MrfcTest, MRFC_I2_OneTlsCryptoSessionKeyedByATgkWithoutSecurityPolicy) {
  const ByteVector message = mikey_of(create_offer().sdp_offer);
  const auto received = transfer_of(message);
  const auto crypto = received.message().header.crypto_sessions("TRANSFER_INIT").value();
  ASSERT_EQ(crypto.size(), 1U);
  EXPECT_EQ(crypto[0].prot_type, mikey::ProtType::tls);
  EXPECT_TRUE(crypto[0].policies.empty());
  auto walker = received.message().payloads();
  for (auto payload = walker.next().value(); payload; payload = walker.next().value()) {
    EXPECT_NE(payload->type, mikey::PayloadType::sp);
  }
  const auto resolved = kms.resolve_ticket(kAlice, received.ticket()).value();
  ASSERT_EQ(resolved.session_keys.size(), 1U);
  EXPECT_EQ(resolved.session_keys[0].type, mikey::KeyType::tgk);
  EXPECT_EQ(resolved.session_keys[0].spi, crypto[0].spi);
}

// MRFC-I3, MRFC-I7
TEST_F(MrfcTest, MRFC_I3_Mode1TicketIsRequestedByTheMrfcForTheServedUserAlone) {
  const ByteVector message = mikey_of(create_offer().sdp_offer);
  EXPECT_EQ(kms.requests, 1);
  EXPECT_EQ(keys.requested_as, kMrfc);
  const mikey::TicketPolicy ticket = ticket_policy_of(message);
  EXPECT_EQ(ticket.idr_i->data, kMrfc);
  EXPECT_THAT(ticket.idr_r, ElementsAre(mikey::Identity::uri(kAlice)));
  EXPECT_EQ(ticket.flags, mikey::kMode1Flags);
}

TEST_F(MrfcTest, MRFC_I3_AConferenceUriRequestsUnderItsOwnName) {
  OfferRequest request = offer_to(kAlice);
  request.parties.served = "<" + kConference + ";isfocus>";
  const auto created = controller->create_offer(request).value();
  EXPECT_EQ(keys.requested_as, kConference);
  const ByteVector message = mikey_of(created.sdp_offer);
  EXPECT_EQ(ticket_policy_of(message).idr_i->data, kConference);
}

TEST_F(MrfcTest, MRFC_I3_NeverActsAsTheUser) {
  OfferRequest request = offer_to(kBob);
  request.parties.served = kAlice;
  const auto created = controller->create_offer(request);
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().category(), Category::denied);
  EXPECT_EQ(kms.requests, 0);
  expect_nothing_happened();
}

TEST_F(MrfcTest, MRFC_I3_Mode3TicketIsIssuedByTheMrfcAndResolvesAtTheKms) {
  policy.key_source = KeySource::self_issued;
  self_issue = std::make_unique<mikey::TicketProtection>(kms.share_tpk(kMrfc));
  make_controller();
  const CreatedOffer created = create_offer();
  EXPECT_EQ(created.key_source, KeySource::self_issued);
  EXPECT_EQ(kms.requests, 0);
  const ByteVector message = mikey_of(created.sdp_offer);
  EXPECT_EQ(ticket_policy_of(message).flags, mikey::kMode3Flags);
  EXPECT_TRUE(ticket_policy_of(message).tre.has_value());

  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  const auto status = controller->accept_answer(created.session_id, answer_with(answer.sdp()));
  ASSERT_TRUE(status.has_value()) << status.error().describe();
  ASSERT_EQ(media.only().configuration.keys.size(), 1U);
  EXPECT_EQ(media.only().configuration.keys[0].psk, answer.psk);
}

// MRFC-I4
TEST_F(MrfcTest, MRFC_I4_TransferInitTravelsInKeyMgmtWithItsProtocolList) {
  const CreatedOffer created = create_offer();
  EXPECT_THAT(attribute(created.sdp_offer, "key-mgmt"), StartsWith("mikey AQ"));
  const ByteVector message = mikey_of(created.sdp_offer);
  const auto received = transfer_of(message);
  EXPECT_EQ(received.message().sdp_ids(), "mikey");
  EXPECT_EQ(received.message().idr_i->text(), kMrfc);
  EXPECT_EQ(received.message().idr_r->text(), kAlice);
}

// MRFC-I5, MRFC-I6
TEST_F(MrfcTest, MRFC_I6_TheVerifiedAnswersKeyGoesToTheMrfp) {
  const CreatedOffer created = create_offer();
  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  AnswerRequest request = answer_with(answer.sdp());
  request.asserted_peer = "\"Alice\" <" + kAlice + ";user=phone>";
  const auto status = controller->accept_answer(created.session_id, request);
  ASSERT_TRUE(status.has_value()) << status.error().describe();
  EXPECT_EQ(status->dialog_id, "d1");
  EXPECT_EQ(status->authenticated_peer, kAlice);

  const auto& configuration = media.only().configuration;
  ASSERT_EQ(configuration.keys.size(), 1U);
  EXPECT_EQ(configuration.keys[0].psk, answer.psk);
  EXPECT_EQ(configuration.keys[0].dialog_id, "d1");
  EXPECT_EQ(configuration.remote_msrp_path, "msrps://198.51.100.7:7654/ue;tcp");
  const auto message = mikey::Message::parse(answer.transfer_resp).value();
  EXPECT_EQ(configuration.keys[0].identity,
            mikey::PskIdentityPattern().format(message.header.csb_id, 1, message.v->mac));
}

// MRFC-B1
TEST_F(MrfcTest, MRFC_B1_ThePreconfiguredSuitesGoToTheMrfp) {
  const CreatedOffer created = create_offer();
  ASSERT_TRUE(controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp())));
  EXPECT_EQ(media.only().configuration.cipher_suites, policy.cipher_suites);
}

// MRFC-B2, MRFC-B3, MRFC-B5
TEST_F(MrfcTest, MRFC_B3_APassiveAnswerMakesTheMrfpClientOfBoth) {
  const CreatedOffer created = create_offer();
  const auto status = controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp("passive")));
  ASSERT_TRUE(status.has_value()) << status.error().describe();
  const auto& stream = media.only();
  EXPECT_EQ(stream.configuration.roles, (StreamRoles{.tcp_client = true, .tls_client = true}));
  EXPECT_EQ(stream.configuration.remote, (MediaAddress{"198.51.100.7", 7654}));
  EXPECT_TRUE(stream.tcp_started);
  EXPECT_TRUE(stream.tls_started);
  EXPECT_TRUE(status->media.at(0).roles.tls_client);
}

TEST_F(MrfcTest, MRFC_B3_AnActiveAnswerMakesTheMrfpServerOfBothAndStartsNothing) {
  const CreatedOffer created = create_offer();
  ASSERT_TRUE(controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp("active"))));
  EXPECT_EQ(media.only().configuration.roles, StreamRoles{});
  EXPECT_FALSE(media.asked("start"));
}

TEST_F(MrfcTest, MRFC_B2_AnAnswerWithoutSetupIsPassive) {
  const CreatedOffer created = create_offer();
  ASSERT_TRUE(controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp(""))));
  EXPECT_TRUE(media.only().tcp_started);
}

TEST_F(MrfcTest, MRFC_B2_AnAnswerMustDecideWhoConnects) {
  for (const std::string setup : {"actpass", "holdconn", "sideways"}) {
    const CreatedOffer created = create_offer();
    const auto status = controller->accept_answer(
        created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp(setup)));
    EXPECT_FALSE(status.has_value()) << setup;
    expect_nothing_happened();
  }
}

// MRFC-I5: refusals. Whatever is wrong, the set-up is aborted and no key goes anywhere.
class RefusedAnswer : public MrfcTest {
 protected:
  Error refuse(const CreatedOffer& created, const AnswerRequest& answer) {
    auto status = controller->accept_answer(created.session_id, answer);
    EXPECT_FALSE(status.has_value());
    expect_nothing_happened();
    EXPECT_EQ(states(events).back(), MediaState::failed);
    // Aborted: nothing can be tried again.
    EXPECT_EQ(controller->accept_answer(created.session_id, answer).error().category(),
              Category::not_found);
    return status.has_value() ? Error(Category::internal, "accepted") : status.error();
  }
};

TEST_F(RefusedAnswer, MRFC_I5_AnyFlippedOctetOfTransferRespAborts) {
  const std::size_t size = [&] {
    const CreatedOffer created = create_offer();
    const std::size_t octets = user_answers(created.sdp_offer, kAlice).transfer_resp.size();
    EXPECT_TRUE(controller->release(created.session_id, "").has_value());
    return octets;
  }();
  for (std::size_t at = 0; at < size; ++at) {
    const CreatedOffer created = create_offer();
    UserAnswer answer = user_answers(created.sdp_offer, kAlice);
    answer.transfer_resp[at] ^= 0x01;
    SCOPED_TRACE(at);
    refuse(created, answer_with(answer.sdp()));
  }
}

TEST_F(RefusedAnswer, MRFC_I5_AResponderThatTheTicketDoesNotNameAborts) {
  // Mallory resolves a ticket of her own and answers with it.
  const CreatedOffer to_mallory = create_offer(kMallory);
  const UserAnswer hers = user_answers(to_mallory.sdp_offer, kMallory);
  ASSERT_TRUE(controller->release(to_mallory.session_id, ""));
  const Error error = refuse(create_offer(kAlice), answer_with(hers.sdp()));
  EXPECT_EQ(setup_refusal_for(error)->sip_status, 488U);
}

TEST_F(RefusedAnswer, MRFC_I5_AResponderOtherThanTheAssertedOneAborts) {
  const CreatedOffer created = create_offer();
  AnswerRequest answer = answer_with(user_answers(created.sdp_offer, kAlice).sdp());
  answer.asserted_peer = kBob;
  const Error error = refuse(created, answer);
  EXPECT_EQ(error.category(), Category::denied);
  EXPECT_THAT(error.text(), HasSubstr("asserts sip:bob@example.com"));
}

TEST_F(RefusedAnswer, MRFC_I7_ADivertedCallIsAnsweredOnlyWithAnyResolver) {
  policy.any_resolver = true;
  {
    const CreatedOffer created = create_offer();
    EXPECT_THAT(ticket_policy_of(mikey_of(created.sdp_offer)).idr_r,
                ElementsAre(mikey::Identity::uri(kAlice), mikey::Identity::uri("*")));
    const UserAnswer bobs = user_answers(created.sdp_offer, kBob);
    const auto status = controller->accept_answer(created.session_id, answer_with(bobs.sdp()));
    ASSERT_TRUE(status.has_value()) << status.error().describe();
    EXPECT_EQ(status->authenticated_peer, kBob);
    ASSERT_TRUE(controller->release(created.session_id, ""));
    media.keys_sent.clear();
  }
  // The same answer, but the network says that Alice answered.
  const CreatedOffer created = create_offer();
  AnswerRequest answer = answer_with(user_answers(created.sdp_offer, kBob).sdp());
  answer.asserted_peer = kAlice;
  refuse(created, answer);
}

TEST_F(MrfcTest, MRFC_I7_ATicketThatLeavesOutTheRequestUriIsOfNoUse) {
  policy.any_resolver = true;
  kms.narrow_responders_to = "*";
  EXPECT_TRUE(controller->create_offer(offer_to(kAlice)).has_value()) << "* names everybody";
  policy.any_resolver = false;
  kms.narrow_responders_to = kBob;
  const auto created = controller->create_offer(offer_to(kAlice));
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().category(), Category::denied);
}

TEST_F(RefusedAnswer, MRFC_I5_AnAnswerWithoutKeyManagementAborts) {
  const Error error = refuse(create_offer(), answer_with(sdp_head() + msrp_media({})));
  EXPECT_THAT(error.text(), HasSubstr("key-mgmt"));
}

TEST_F(RefusedAnswer, MRFC_B7_ADowngradedTransportAborts) {
  const CreatedOffer created = create_offer();
  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  refuse(created, answer_with(sdp_head() + msrp_media({.key_mgmt = answer.key_mgmt(),
                                                       .transport = "TCP/MSRP"})));
}

TEST_F(RefusedAnswer, MRFC_I5_TheAnswerToAnotherOfferAborts) {
  const CreatedOffer other = create_offer();
  const UserAnswer answer = user_answers(other.sdp_offer, kAlice);
  ASSERT_TRUE(controller->release(other.session_id, ""));
  refuse(create_offer(), answer_with(answer.sdp()));
}

TEST_F(RefusedAnswer, MRFC_I5_ASecondMLineAborts) {
  const CreatedOffer created = create_offer();
  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  refuse(created, answer_with(answer.sdp() + msrp_media({.key_mgmt = answer.key_mgmt()})));
}

TEST_F(RefusedAnswer, MRFC_I5_GarbageAborts) {
  refuse(create_offer(), answer_with("no SDP at all"));
}

// --- Forking -----------------------------------------------------------------------------------

TEST_F(MrfcTest, MRFC_I6_ForkedAnswersGetAKeyEachAndTheFinalOnePicks) {
  policy.any_resolver = true;
  const CreatedOffer created = create_offer();
  const UserAnswer alices = user_answers(created.sdp_offer, kAlice);
  const UserAnswer bobs = user_answers(created.sdp_offer, kBob);
  EXPECT_FALSE(alices.psk == bobs.psk);

  ASSERT_TRUE(
      controller->accept_answer(created.session_id, answer_with(alices.sdp(), "dialog-a", false)));
  ASSERT_TRUE(
      controller->accept_answer(created.session_id, answer_with(bobs.sdp(), "dialog-b", false)));
  const auto& keys_at_mrfp = media.only().configuration.keys;
  ASSERT_EQ(keys_at_mrfp.size(), 2U);
  EXPECT_EQ(keys_at_mrfp[0].psk, alices.psk);
  EXPECT_EQ(keys_at_mrfp[1].psk, bobs.psk);
  EXPECT_NE(keys_at_mrfp[0].identity, keys_at_mrfp[1].identity);
  EXPECT_EQ(controller->list().at(0).dialog_id, "") << "nothing is decided yet";

  const auto status =
      controller->accept_answer(created.session_id, answer_with(bobs.sdp(), "dialog-b", true));
  ASSERT_TRUE(status.has_value()) << status.error().describe();
  EXPECT_EQ(status->authenticated_peer, kBob);
  ASSERT_EQ(media.only().configuration.keys.size(), 1U) << "the other dialog's key is gone";
  EXPECT_EQ(media.only().configuration.keys[0].dialog_id, "dialog-b");

  // Too late.
  EXPECT_EQ(
      controller->accept_answer(created.session_id, answer_with(alices.sdp(), "dialog-a", true))
          .error()
          .category(),
      Category::conflict);
  EXPECT_EQ(media.streams.size(), 1U) << "a late answer ends nothing";
}

TEST_F(MrfcTest, MRFC_I6_AsTcpClientTheMrfpWaitsForTheFinalAnswer) {
  const CreatedOffer created = create_offer();
  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  ASSERT_TRUE(controller->accept_answer(created.session_id,
                                        answer_with(answer.sdp("passive"), "d1", false)));
  EXPECT_TRUE(media.keys_sent.empty());
  ASSERT_TRUE(controller->accept_answer(created.session_id,
                                        answer_with(answer.sdp("passive"), "d1", true)));
  EXPECT_TRUE(media.only().tcp_started);
}

TEST_F(MrfcTest, MRFC_I5_ARefusedProvisionalAnswerEndsItsOwnDialogOnly) {
  const CreatedOffer created = create_offer();
  UserAnswer bad = user_answers(created.sdp_offer, kAlice);
  bad.transfer_resp.back() ^= 0x80;
  EXPECT_FALSE(controller->accept_answer(created.session_id, answer_with(bad.sdp(), "bad", false)));
  EXPECT_TRUE(media.keys_sent.empty());
  const UserAnswer good = user_answers(created.sdp_offer, kAlice);
  EXPECT_TRUE(controller->accept_answer(created.session_id, answer_with(good.sdp(), "good", true)));
}

TEST_F(MrfcTest, MRFC_I5_TheSameAnswerInTwoDialogsIsRefused) {
  const CreatedOffer created = create_offer();
  const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
  ASSERT_TRUE(
      controller->accept_answer(created.session_id, answer_with(answer.sdp(), "d1", false)));
  EXPECT_FALSE(
      controller->accept_answer(created.session_id, answer_with(answer.sdp(), "d2", false)));
}

// --- Several media, failures
// ----------------------------------------------------------------------

TEST_F(MrfcTest, MRFC_I2_EachMLineHasATransferOfItsOwn) {
  OfferRequest request = offer_to(kAlice);
  request.media.resize(2);
  const auto created = controller->create_offer(request).value();
  const UserAnswer first = user_answers(created.sdp_offer, kAlice, 0);
  const UserAnswer second = user_answers(created.sdp_offer, kAlice, 1);
  EXPECT_FALSE(first.psk == second.psk);
  EXPECT_EQ(media.streams.begin()->first.context_id, media.streams.rbegin()->first.context_id);

  // The second is declined.
  const std::string sdp =
      sdp_head() + msrp_media({.key_mgmt = first.key_mgmt()}) + msrp_media({.port = 0});
  const auto status = controller->accept_answer(created.session_id, answer_with(sdp));
  ASSERT_TRUE(status.has_value()) << status.error().describe();
  EXPECT_EQ(status->media.at(0).state, MediaState::connecting);
  EXPECT_EQ(status->media.at(1).state, MediaState::rejected);
  ASSERT_EQ(media.streams.size(), 1U) << "what was declined is given back";
  EXPECT_EQ(media.keys_sent.size(), 1U);
}

TEST_F(MrfcTest, MRFC_I2_SwappedAnswersOfTwoMLinesAbort) {
  OfferRequest request = offer_to(kAlice);
  request.media.resize(2);
  const auto created = controller->create_offer(request).value();
  const UserAnswer first = user_answers(created.sdp_offer, kAlice, 0);
  const UserAnswer second = user_answers(created.sdp_offer, kAlice, 1);
  EXPECT_FALSE(controller->accept_answer(
      created.session_id, answer_with(sdp_head() + msrp_media({.key_mgmt = second.key_mgmt()}) +
                                      msrp_media({.key_mgmt = first.key_mgmt()}))));
  expect_nothing_happened();
}

// MRFC-B7
TEST_F(MrfcTest, MRFC_B7_OffMeansNoSecuredOfferAndNoOther) {
  policy.media_security = false;
  const auto created = controller->create_offer(offer_to(kAlice));
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().category(), Category::denied);
  EXPECT_TRUE(media.calls.empty());
}

TEST_F(MrfcTest, MRFC_I3_AnUnreachableKmsIs503AndNothingStaysReserved) {
  kms.unreachable = true;
  const auto created = controller->create_offer(offer_to(kAlice));
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(setup_refusal_for(created.error())->sip_status, 503U);
  EXPECT_TRUE(media.asked("release"));
  expect_nothing_happened();
}

TEST_F(MrfcTest, MRFC_I6_AnMrfpThatFailsInTheMiddleLeavesNothingBehind) {
  for (const std::string step : {"configure", "start"}) {
    SCOPED_TRACE(step);
    const CreatedOffer created = create_offer();
    const UserAnswer answer = user_answers(created.sdp_offer, kAlice);
    media.failing = step;
    const auto status =
        controller->accept_answer(created.session_id, answer_with(answer.sdp("passive")));
    media.failing.clear();
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(setup_refusal_for(status.error())->sip_status, 503U);
    EXPECT_TRUE(media.streams.empty());
    EXPECT_TRUE(controller->list().empty());
  }
}

TEST_F(MrfcTest, MRFC_I1_ASecondStreamThatCannotBeReservedGivesTheFirstBack) {
  OfferRequest request = offer_to(kAlice);
  request.media.resize(2);
  request.conference_id = "no-such-conference";
  EXPECT_EQ(controller->create_offer(request).error().category(), Category::not_found);
  request.conference_id.clear();
  random.failing = false;
  kms.narrow_responders_to = kBob;
  EXPECT_FALSE(controller->create_offer(request).has_value());
  expect_nothing_happened();
}

// RFC 3830 6.1: "An Initiator MUST check for collisions when choosing the ID".
TEST_F(MrfcTest, MRFC_I4_TheCsbIdOfALiveSessionIsNotTakenAgain) {
  // Whatever is drawn before the CSB ID (SPIs, for example) gets these octets too.
  const auto always_the_same = [&](const auto& step) {
    random.four_octets.assign(8, {1, 2, 3, 4});
    const auto result = step();
    random.four_octets.clear();
    return result;
  };
  const auto csb_id_of_an_offer = [&] {
    const std::string sdp = always_the_same([&] { return create_offer(); }).sdp_offer;
    const ByteVector message = mikey_of(sdp);
    return transfer_of(message).message().header.csb_id;
  };

  EXPECT_EQ(csb_id_of_an_offer(), 0x01020304U);
  EXPECT_NE(csb_id_of_an_offer(), 0x01020304U);
  controller->release_all();
  EXPECT_EQ(csb_id_of_an_offer(), 0x01020304U) << "the bundle of a session that is over is gone";
  controller->release_all();

  const UserOffer incoming_offer = always_the_same([&] { return user_offers(); });
  ASSERT_EQ(incoming_offer.transfer->csb_id(), 0x01020304U);
  ASSERT_TRUE(controller->accept_offer(incoming(incoming_offer.sdp())));
  EXPECT_NE(csb_id_of_an_offer(), 0x01020304U);
}

TEST_F(MrfcTest, MRFC_I1_AStreamThatCannotBeReleasedIsOwedAndReleasedLater) {
  const CreatedOffer created = create_offer();
  media.failing = "release";
  ASSERT_TRUE(controller->release(created.session_id, ""));
  EXPECT_TRUE(controller->list().empty());
  EXPECT_EQ(releases.owed(), 1U);
  media.failing.clear();
  controller->on_gateway_back();
  EXPECT_EQ(releases.owed(), 0U);
  EXPECT_TRUE(media.streams.empty());
}

}  // namespace
}  // namespace keystub::mrfc::testing
