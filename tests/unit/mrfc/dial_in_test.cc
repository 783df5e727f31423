// The MRFC as session responder, against users that are made of lib/mikey.
#include "tests/unit/mrfc/mrfc_fixture.h"

#include "mrfc-agent/setup_refusal.h"
#include "tests/support/temp_dir.h"

namespace keystub::mrfc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class DialInTest : public MrfcTest {
 protected:
  AcceptedOffer accept(const IncomingOffer& offer) {
    auto accepted = controller->accept_offer(offer);
    EXPECT_TRUE(accepted.has_value()) << accepted.error().describe();
    return std::move(*accepted);
  }
  // Refused, with nothing left behind. `kms_asked`: whether it needed the KMS to find out.
  Error refuse(const IncomingOffer& offer, bool kms_asked) {
    const int before = kms.resolves;
    auto accepted = controller->accept_offer(offer);
    EXPECT_FALSE(accepted.has_value());
    EXPECT_EQ(kms.resolves > before, kms_asked);
    expect_nothing_happened();
    return accepted.has_value() ? Error(Category::internal, "accepted") : accepted.error();
  }
  // A TRANSFER_INIT with one octet changed after the fact.
  static std::string with_flipped_octet(const UserOffer& offer, std::size_t at) {
    ByteVector message = to_vector(offer.transfer->message());
    message.at(at) ^= 0x01;
    return sdp_head() +
           msrp_media({.setup = "actpass", .key_mgmt = mikey::format_key_mgmt(message)});
  }
  // An offer with a ticket of another policy.
  UserOffer offer_with_policy(const std::function<void(mikey::TicketPolicy&)>& change,
                              const std::string& to = kMrfc) {
    mikey::TicketPolicy wish = user_wish(kAlice, to);
    change(wish);
    return user_offers_with(kms.request_ticket(kAlice, wish).value(), kAlice, to);
  }
};

// MRFC-R2, MRFC-R3, MRFC-R4
TEST_F(DialInTest, MRFC_R3_AnswersWithTransferRespAndBothSidesHoldTheSameKey) {
  const UserOffer offer = user_offers();
  IncomingOffer request = incoming(offer.sdp());
  request.parties.asserted_peer = kAlice;
  const AcceptedOffer accepted = accept(request);
  EXPECT_THAT(accepted.sdp_answer, HasSubstr("\r\nm=message 20001 TCP/TLS/MSRP *\r\n"));
  EXPECT_THAT(accepted.sdp_answer, Not(HasSubstr("fingerprint")));
  EXPECT_THAT(attribute(accepted.sdp_answer, "key-mgmt"), StartsWith("mikey AQ"));
  EXPECT_EQ(attribute(accepted.sdp_answer, "path"), "msrps://192.0.2.10:20001/s1;tcp");
  EXPECT_EQ(accepted.status.authenticated_peer, kAlice);
  EXPECT_EQ(accepted.status.media.at(0).state, MediaState::connecting);

  const auto established = offer.transfer->accept(mikey_of(accepted.sdp_answer));
  ASSERT_TRUE(established.has_value()) << established.error().describe();
  EXPECT_EQ(established->peer.data, kMrfc);
  const auto& configuration = media.only().configuration;
  ASSERT_EQ(configuration.keys.size(), 1U);
  EXPECT_EQ(configuration.keys[0].psk, established->sessions.at(0).tek.retag<PskTag>());
  EXPECT_EQ(configuration.keys[0].identity,
            mikey::PskIdentityPattern().format(established->csb_id, 1, established->mac));
  EXPECT_EQ(configuration.keys[0].dialog_id, accepted.status.dialog_id);
  EXPECT_EQ(configuration.remote_msrp_path, "msrps://198.51.100.7:7654/ue;tcp");
  EXPECT_EQ(configuration.cipher_suites, policy.cipher_suites);
}

TEST_F(DialInTest, MRFC_R2_AMode3TicketOfTheCallerIsAccepted) {
  const mikey::TicketProtection tpk = kms.share_tpk(kAlice);
  mikey::TicketPolicy wish = user_wish(kAlice, kMrfc);
  wish.flags = mikey::kMode3Flags;
  const UserOffer offer =
      user_offers_with(mikey::issue_ticket(env, wish, tpk).value(), kAlice, kMrfc);
  EXPECT_EQ(accept(incoming(offer.sdp())).status.authenticated_peer, kAlice);
}

TEST_F(DialInTest, MRFC_R2_AConferenceUriResolvesUnderItsOwnName) {
  const UserOffer offer = user_offers(kAlice, kConference);
  IncomingOffer request = incoming(offer.sdp());
  request.parties.served = kConference;
  const AcceptedOffer accepted = accept(request);
  EXPECT_EQ(offer.transfer->accept(mikey_of(accepted.sdp_answer)).value().peer.data, kConference);
}

// MRFC-B2, MRFC-B3, MRFC-B5: the table of RFC 4145 4.1 and TR 29.828 7.1.1.2.
TEST_F(DialInTest, MRFC_B3_RolesFollowOurAnswer) {
  struct Row {
    std::string offered;
    bool prefer_active;
    std::string answered;
  };
  for (const Row& row : {Row{"actpass", true, "active"}, Row{"actpass", false, "passive"},
                         Row{"active", true, "passive"}, Row{"passive", false, "active"},
                         Row{"", true, "passive"}}) {
    SCOPED_TRACE(row.offered);
    policy.prefer_active = row.prefer_active;
    const AcceptedOffer accepted = accept(incoming(user_offers().sdp(row.offered)));
    EXPECT_EQ(attribute(accepted.sdp_answer, "setup"), row.answered);
    const bool client = row.answered == "active";
    const auto& stream = media.only();
    EXPECT_EQ(stream.configuration.roles,
              (StreamRoles{.tcp_client = client, .tls_client = client}));
    EXPECT_EQ(stream.tcp_started, client);
    EXPECT_EQ(stream.tls_started, client);
    EXPECT_EQ(stream.configuration.remote.ip, client ? "198.51.100.7" : "");
    ASSERT_TRUE(controller->release(accepted.status.session_id, ""));
  }
}

TEST_F(DialInTest, MRFC_B2_AnOfferThatHoldsTheConnectionIsRefused) {
  refuse(incoming(user_offers().sdp("holdconn")), false);
}

// --- MRFC-R1: refused without a call to the KMS -------------------------------------------------

// [6043-4.2.2.2-02] [6043-12.3-02]
TEST_F(DialInTest, MRFC_R1_WhatTheMessageRulesOutCostsNoCallToTheKms) {
  const auto flags = [](mikey::TicketFlags value) {
    return [value](mikey::TicketPolicy& wish) { wish.flags = value; };
  };
  using enum mikey::TicketFlag;
  struct Row {
    std::string what;
    UserOffer offer;
  };
  std::vector<Row> rows;
  rows.push_back({"a responder that is not us", user_offers(kAlice, kBob)});
  rows.push_back({"not yet valid", offer_with_policy([&](mikey::TicketPolicy& wish) {
                    wish.trs = mikey::Timestamp::from(clock.now() + std::chrono::minutes{10});
                  })});
  rows.push_back(
      {"no key forking", offer_with_policy(flags(mikey::kMode1Flags.with(i_forking, false)))});
  rows.push_back(
      {"O = 0", offer_with_policy(flags(mikey::kMode1Flags.with(o_plain_responder, false)))});
  rows.push_back({"an unknown ticket type",
                  offer_with_policy([](mikey::TicketPolicy& wish) { wish.type = {61440, 1, 1}; })});
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const Error error = refuse(incoming(row.offer.sdp()), false);
    EXPECT_EQ(setup_refusal_for(error)->sip_status, 488U) << error.describe();
  }
}

TEST_F(DialInTest, MRFC_R1_AnExpiredTicketIsRefused) {
  const UserOffer offer = offer_with_policy([&](mikey::TicketPolicy& wish) {
    wish.tre = mikey::Timestamp::from(clock.now() + std::chrono::seconds{10});
  });
  clock.advance(std::chrono::seconds{20});
  refuse(incoming(offer.sdp()), false);
}

// [6043-4.2.3.6-02]
TEST_F(DialInTest, MRFC_R1_ATicketPutIntoAnotherMessageIsRefused) {
  // The MAC of V, which is the last 32 octets, no longer equals the one in Vi.
  const UserOffer offer = user_offers();
  refuse(incoming(with_flipped_octet(offer, offer.transfer->message().size() - 1)), false);
}

TEST_F(DialInTest, MRFC_R1_AWildcardOverUsIsResolved) {
  const UserOffer offer = offer_with_policy(
      [](mikey::TicketPolicy& wish) { wish.idr_r = {mikey::Identity::uri("*")}; });
  accept(incoming(offer.sdp()));
}

TEST_F(DialInTest, MRFC_R1_APossibleGroupIsForTheKmsToDecide) {
  const UserOffer offer = user_offers(kAlice, "sip:ops-team@example.com");
  refuse(incoming(offer.sdp()), false);
  policy.groups = {"sip:ops-*@example.com"};
  EXPECT_EQ(refuse(incoming(offer.sdp()), true).category(), Category::denied);
}

TEST_F(DialInTest, MRFC_R1_TwoCryptoSessionsOrOneOfAnotherKindAreRefused) {
  for (const bool two : {true, false}) {
    const auto ticket = std::make_shared<const mikey::GrantedTicket>(
        kms.request_ticket(kAlice, user_wish(kAlice, kMrfc)).value());
    mikey::OfferParameters parameters;
    parameters.initiator = mikey::Identity::uri(kAlice);
    parameters.responder = mikey::Identity::uri(kMrfc);
    parameters.sessions = mikey::tls_session(ticket->session_keys);
    if (two) {
      parameters.sessions.push_back(parameters.sessions.front());
      parameters.sessions.back().cs_id = 2;
    } else {
      parameters.sessions.front().prot_type = mikey::ProtType::srtp;
    }
    const auto transfer = mikey::TransferOffer::start(env, ticket, std::move(parameters)).value();
    const Error error = refuse(
        incoming(sdp_head() + msrp_media({.key_mgmt = mikey::format_key_mgmt(transfer.message())})),
        false);
    EXPECT_EQ(setup_refusal_for(error)->warning_code, 306U) << error.describe();
  }
}

TEST_F(DialInTest, MRFC_R1_AnotherMikeyMessageIsRefused) {
  const ByteVector answer = user_answers(create_offer().sdp_offer, kAlice).transfer_resp;
  controller->release_all();
  refuse(incoming(sdp_head() + msrp_media({.key_mgmt = mikey::format_key_mgmt(answer)})), false);
}

// --- MRFC-I4: bidding down
// ------------------------------------------------------------------------

TEST_F(DialInTest, MRFC_I4_ADifferingProtocolListIsRefusedAMissingOneAccepted) {
  const auto ticket = [&] { return kms.request_ticket(kAlice, user_wish(kAlice, kMrfc)).value(); };
  const UserOffer without = user_offers_with(ticket(), kAlice, kMrfc, "");
  accept(incoming(without.sdp()));
  controller->release_all();
  media.keys_sent.clear();

  // The caller offered two protocols, somebody took one out.
  const UserOffer two = user_offers_with(ticket(), kAlice, kMrfc, "mikey;keyp1");
  const Error error = refuse(incoming(two.sdp()), false);
  EXPECT_EQ(error.category(), Category::unauthenticated);

  // With both there, it is what the caller meant.
  const UserOffer again = user_offers_with(ticket(), kAlice, kMrfc, "mikey;keyp1");
  accept(incoming(sdp_head() + msrp_media({.setup = "actpass",
                                           .key_mgmt = again.key_mgmt(),
                                           .more = "a=key-mgmt:keyp1 AAAA\r\n"})));
}

// --- MRFC-R2
// --------------------------------------------------------------------------------------

TEST_F(DialInTest, MRFC_R2_TheTicketsOwnerMustBeWhoTheNetworkAsserts) {
  IncomingOffer request = incoming(user_offers().sdp(), kAlice);
  request.parties.asserted_peer = "<sip:bob@example.com>";
  const Error error = refuse(request, true);
  EXPECT_EQ(error.category(), Category::denied);
  EXPECT_THAT(error.text(), HasSubstr("asserts sip:bob@example.com"));
  EXPECT_EQ(setup_refusal_for(error)->sip_status, 488U);
}

TEST_F(DialInTest, MRFC_R2_WithoutAnAssertedIdentityFromDecides) {
  refuse(incoming(user_offers().sdp(), kBob), true);
  accept(incoming(user_offers().sdp(), "Alice <SIP:alice@EXAMPLE.com;ob>;tag=7"));
}

TEST_F(DialInTest, MRFC_R2_AnAssertedIdentityWinsOverFrom) {
  IncomingOffer request = incoming(user_offers().sdp(), "sip:anonymous@anonymous.invalid");
  request.parties.asserted_peer = kAlice;
  accept(request);
}

TEST_F(DialInTest, MRFC_R2_ACallerThatNobodyNamesIsRefused) {
  IncomingOffer request = incoming(user_offers().sdp(), "");
  EXPECT_EQ(refuse(request, true).category(), Category::malformed);
}

TEST_F(DialInTest, MRFC_R2_AStolenTicketIsRefused) {
  // Mallory puts Alice's ticket into a TRANSFER_INIT of her own, with keys that she made up.
  mikey::GrantedTicket stolen = kms.request_ticket(kAlice, user_wish(kAlice, kMrfc)).value();
  stolen.mpki = random.secret<mikey::MpkTag>(32).value();
  stolen.mpkr = random.secret<mikey::MpkTag>(32).value();
  const UserOffer offer = user_offers_with(std::move(stolen), kAlice, kMrfc);
  EXPECT_EQ(refuse(incoming(offer.sdp()), true).category(), Category::unauthenticated);
}

TEST_F(DialInTest, MRFC_R2_AnyFlippedOctetOfTransferInitIsRefused) {
  const std::size_t size = user_offers().transfer->message().size();
  for (std::size_t at = 0; at < size; ++at) {
    SCOPED_TRACE(at);
    const UserOffer offer = user_offers();
    EXPECT_FALSE(controller->accept_offer(incoming(with_flipped_octet(offer, at))).has_value());
    expect_nothing_happened();
  }
}

TEST_F(DialInTest, MRFC_R2_AnUnreachableKmsIs503AndNeverADowngrade) {
  const UserOffer offer = user_offers();
  kms.unreachable = true;
  const Error error = refuse(incoming(offer.sdp()), false);
  EXPECT_EQ(setup_refusal_for(error)->sip_status, 503U);
  // The caller may try again with the same message: nothing was verified, nothing is remembered.
  kms.unreachable = false;
  accept(incoming(offer.sdp()));
}

// --- MRFC-R5
// --------------------------------------------------------------------------------------

// [3830-5.4-03]
TEST_F(DialInTest, MRFC_R5_OutsideTheSkewIsRefusedBeforeTheKmsIsAsked) {
  const UserOffer offer = user_offers();
  clock.advance(std::chrono::seconds{61});
  EXPECT_EQ(refuse(incoming(offer.sdp()), false).category(), Category::expired);
  clock.set_now(clock.now() - std::chrono::seconds{122});
  EXPECT_EQ(refuse(incoming(offer.sdp()), false).category(), Category::expired);
}

// [6043-12.4-02] [3830-5.4-04]
TEST_F(DialInTest, MRFC_R5_AReplayedOfferIsRefused) {
  const UserOffer offer = user_offers();
  accept(incoming(offer.sdp()));
  controller->release_all();
  media.keys_sent.clear();
  EXPECT_EQ(refuse(incoming(offer.sdp()), true).category(), Category::expired);
}

TEST_F(DialInTest, MRFC_R5_AReplayedOfferIsRefusedAfterARestart) {
  const keystub::testing::TempDir folder;
  const replay::Options options{.skew = std::chrono::seconds{60}, .capacity = 1024, .boot_id = "b"};
  const auto file = folder / "replay";
  ASSERT_TRUE(replay::ReplayWindow::create(file, options));
  const auto restart = [&] {
    controller->release_all();
    media.keys_sent.clear();
    controller.reset();
    replay.reset();
    replay = replay::ReplayWindow::open(file, clock, options).value();
    make_controller();
  };
  restart();
  const UserOffer offer = user_offers();
  accept(incoming(offer.sdp()));
  restart();
  EXPECT_EQ(refuse(incoming(offer.sdp()), true).category(), Category::expired);
  accept(incoming(user_offers().sdp()));
}

// [3830-5.4-05]
TEST_F(DialInTest, MRFC_R5_WhatIsNotVerifiedFillsNoWindow) {
  const UserOffer offer = user_offers();
  IncomingOffer wrong_caller = incoming(offer.sdp(), kBob);
  refuse(wrong_caller, true);
  accept(incoming(offer.sdp()));
}

// --- Mixed and malformed SDP
// ----------------------------------------------------------------------

TEST_F(DialInTest, MRFC_B7_EveryMLineIsAnsweredAndInsecureOnesAreRejected) {
  const UserOffer offer = user_offers();
  const std::string sdp =
      sdp_head() + "m=audio 49170 RTP/AVP 0\r\n" + msrp_media({.transport = "TCP/MSRP"}) +
      msrp_media({.setup = "actpass", .key_mgmt = offer.key_mgmt()}) +
      msrp_media({.setup = "actpass"}) + msrp_media({.key_mgmt = offer.key_mgmt(), .port = 0});
  const AcceptedOffer accepted = accept(incoming(sdp));
  std::vector<std::string> m_lines;
  for (std::size_t at = accepted.sdp_answer.find("\nm="); at != std::string::npos;
       at = accepted.sdp_answer.find("\nm=", at + 1)) {
    m_lines.push_back(
        accepted.sdp_answer.substr(at + 1, accepted.sdp_answer.find('\r', at) - at - 1));
  }
  EXPECT_THAT(m_lines, ElementsAre("m=audio 0 RTP/AVP 0", "m=message 0 TCP/MSRP *",
                                   "m=message 20001 TCP/TLS/MSRP *", "m=message 0 TCP/TLS/MSRP *",
                                   "m=message 0 TCP/TLS/MSRP *"));
  EXPECT_EQ(attributes(accepted.sdp_answer, "key-mgmt").size(), 1U);
  std::vector<MediaState> media_states;
  for (const MediaStatus& status : accepted.status.media) media_states.push_back(status.state);
  EXPECT_THAT(media_states,
              ElementsAre(MediaState::rejected, MediaState::rejected, MediaState::connecting,
                          MediaState::rejected, MediaState::rejected));
}

TEST_F(DialInTest, MRFC_B7_OneFailedKeyManagementRefusesTheWholeSetUp) {
  const UserOffer good = user_offers();
  const UserOffer bad = user_offers(kAlice, kBob);
  refuse(incoming(sdp_head() + msrp_media({.key_mgmt = good.key_mgmt()}) +
                  msrp_media({.key_mgmt = bad.key_mgmt()})),
         false);
  refuse(incoming(sdp_head() + msrp_media({.key_mgmt = good.key_mgmt()}) +
                  msrp_media({.key_mgmt = "mikey !!!"})),
         false);
}

TEST_F(DialInTest, MRFC_R3_TwoSecuredMLinesGetAKeyEach) {
  const UserOffer first = user_offers();
  const UserOffer second = user_offers();
  const AcceptedOffer accepted =
      accept(incoming(sdp_head() + msrp_media({.key_mgmt = first.key_mgmt()}) +
                      msrp_media({.key_mgmt = second.key_mgmt()})));
  ASSERT_EQ(media.keys_sent.size(), 2U);
  EXPECT_FALSE(media.keys_sent[0].psk == media.keys_sent[1].psk);
  EXPECT_TRUE(first.transfer->accept(mikey_of(accepted.sdp_answer, 0)));
  EXPECT_TRUE(second.transfer->accept(mikey_of(accepted.sdp_answer, 1)));
}

TEST_F(DialInTest, MRFC_R3_ASessionLevelOfferIsAnsweredAtSessionLevel) {
  const UserOffer offer = user_offers();
  const std::string head = sdp_head() + "a=key-mgmt:" + offer.key_mgmt() + "\r\n";
  const AcceptedOffer accepted = accept(incoming(head + msrp_media({.setup = "active"})));
  EXPECT_LT(accepted.sdp_answer.find("a=key-mgmt"), accepted.sdp_answer.find("m=message"));
  EXPECT_TRUE(offer.transfer->accept(mikey_of(accepted.sdp_answer)));
}

TEST_F(DialInTest, MRFC_R3_OneTransferCannotProtectTwoMLines) {
  const UserOffer offer = user_offers();
  const std::string head = sdp_head() + "a=key-mgmt:" + offer.key_mgmt() + "\r\n";
  refuse(incoming(head + msrp_media({}) + msrp_media({})), false);
  refuse(incoming(sdp_head() + msrp_media({.key_mgmt = offer.key_mgmt()}) +
                  msrp_media({.key_mgmt = offer.key_mgmt()})),
         true);
}

// MRFC-B7
TEST_F(DialInTest, MRFC_B7_OffRejectsSecuredMLines) {
  policy.media_security = false;
  const Error error = refuse(incoming(user_offers().sdp()), false);
  EXPECT_EQ(setup_refusal_for(error)->sip_status, 488U);
  EXPECT_TRUE(media.calls.empty());
}

TEST_F(DialInTest, MRFC_B7_AnOfferOfNothingSecuredIsRefused) {
  refuse(incoming(sdp_head() + msrp_media({.transport = "TCP/MSRP"})), false);
  refuse(incoming(sdp_head() + msrp_media({})), false);
  refuse(incoming(sdp_head()), false);
  refuse(incoming("v=1\r\n"), false);
}

TEST_F(DialInTest, MRFC_R4_AnMrfpThatFailsInTheMiddleLeavesNothingBehind) {
  for (const std::string step : {"reserve", "configure", "start"}) {
    SCOPED_TRACE(step);
    media.failing = step;
    const auto accepted = controller->accept_offer(incoming(user_offers().sdp()));
    media.failing.clear();
    ASSERT_FALSE(accepted.has_value());
    EXPECT_EQ(setup_refusal_for(accepted.error())->sip_status, 503U);
    EXPECT_TRUE(media.streams.empty());
    EXPECT_TRUE(controller->list().empty());
  }
}

TEST_F(DialInTest, MRFC_R4_KeysLeaveOnlyWhenNothingElseCanFail) {
  const UserOffer offer = user_offers();
  random.failing = true;
  EXPECT_FALSE(controller->accept_offer(incoming(offer.sdp())).has_value());
  random.failing = false;
  EXPECT_THAT(media.keys_sent, IsEmpty());
  EXPECT_TRUE(media.streams.empty());
}

TEST_F(DialInTest, MRFC_R4_JoinsAConferenceThatExists) {
  const AcceptedOffer first = accept(incoming(user_offers().sdp()));
  IncomingOffer second = incoming(user_offers(kBob, kMrfc).sdp(), kBob);
  second.conference_id = first.status.conference_id;
  EXPECT_EQ(accept(second).status.conference_id, first.status.conference_id);
  second = incoming(user_offers().sdp());
  second.conference_id = "unknown";
  const auto refused = controller->accept_offer(second);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::not_found);
  EXPECT_FALSE(setup_refusal_for(refused.error()).has_value()) << "the request is at fault";
}

}  // namespace
}  // namespace keystub::mrfc::testing
