// The small rules: roles, PSK identity, user identities, policy checks, SIP refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "mikey/psk_identity.h"
#include "mrfc-agent/peer_identity.h"
#include "mrfc-agent/session_policy.h"
#include "mrfc-agent/setup_refusal.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"
#include "tlspsk/key_ring.h"

namespace keystub::mrfc {
namespace {

using keystub::testing::FakeClock;
using keystub::testing::kTestTime;
using keystub::testing::ScriptedRandom;

// TR 29.828 7.1.1.2, line by line.
TEST(Roles, MRFC_B3_TheActiveSideOfTheAnswerIsClient) {
  EXPECT_EQ(msrp_roles_when_answering(sdp::Setup::active).value(), (StreamRoles{true, true}));
  EXPECT_EQ(msrp_roles_when_answering(sdp::Setup::passive).value(), (StreamRoles{false, false}));
  EXPECT_EQ(msrp_roles_when_answered(sdp::Setup::active).value(), (StreamRoles{false, false}));
  EXPECT_EQ(msrp_roles_when_answered(sdp::Setup::passive).value(), (StreamRoles{true, true}));
  for (const sdp::Setup undecided : {sdp::Setup::actpass, sdp::Setup::holdconn}) {
    EXPECT_FALSE(msrp_roles_when_answering(undecided));
    EXPECT_FALSE(msrp_roles_when_answered(undecided));
  }
}

// RFC 4145 4 and 4.1.
TEST(Roles, MRFC_B2_AnswersTheOffersSetup) {
  EXPECT_EQ(answer_setup(sdp::Setup::active, true).value(), sdp::Setup::passive);
  EXPECT_EQ(answer_setup(sdp::Setup::passive, false).value(), sdp::Setup::active);
  EXPECT_EQ(answer_setup(sdp::Setup::actpass, true).value(), sdp::Setup::active);
  EXPECT_EQ(answer_setup(sdp::Setup::actpass, false).value(), sdp::Setup::passive);
  EXPECT_EQ(answer_setup(std::nullopt, true).value(), sdp::Setup::passive);
  EXPECT_EQ(answer_setup(sdp::Setup::holdconn, true).error().category(), Category::denied);
}

constexpr std::array<std::uint8_t, 32> kMac = {0xA0, 1, 2, 3, 4, 5, 6, 7, 8};

TEST(PskIdentity, MRFC_I6_HasTheProfilesForm) {
  EXPECT_EQ(mikey::PskIdentityPattern().format(0x1234ABCD, 1, kMac),
            "mikey-ticket;1234abcd;01;a001020304050607");
  EXPECT_LE(mikey::PskIdentityPattern().format(~0U, 255, kMac).size(), tlspsk::kMaxIdentityOctets);
  EXPECT_EQ(mikey::kMaxPskIdentitySize, tlspsk::kMaxIdentityOctets);
}

TEST(PskIdentity, MRFC_I6_AnotherPatternMustStayUnique) {
  EXPECT_EQ(mikey::PskIdentityPattern::parse("x.{mac}@{csb_id}").value().format(1, 1, kMac),
            "x.a001020304050607@00000001");
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{csb_id};{cs_id}"));
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{mac}"));
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{csb_id}{mac}{key}"));
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{csb_id}{mac"));
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{csb_id}{mac}\n"));
  EXPECT_TRUE(mikey::PskIdentityPattern::parse("{csb_id}{mac}" + std::string(103, 'x')));
  EXPECT_FALSE(mikey::PskIdentityPattern::parse("{csb_id}{mac}" + std::string(104, 'x')));
}

TEST(UserIdentity, MRFC_R2_IsTheUriOfAHeaderWithoutWhatDoesNotName) {
  const auto is = [](std::string_view text) { return user_identity(text).value_or("refused"); };
  EXPECT_EQ(is("sip:alice@example.com"), "sip:alice@example.com");
  EXPECT_EQ(is("SIP:Alice@EXAMPLE.com:5070;transport=tcp?subject=x"), "sip:Alice@example.com:5070");
  EXPECT_EQ(is("\"Alice <sip:mallory@evil>\" <sips:alice@example.com>;tag=1"),
            "sips:alice@example.com");
  EXPECT_EQ(is("Alice <sip:alice;x=1@example.com;ob>"), "sip:alice;x=1@example.com");
  EXPECT_EQ(is("<sip:[2001:DB8::1]:5060>"), "sip:[2001:db8::1]:5060");
  EXPECT_EQ(is("tel:+1-201-555.0123;phone-context=x"), "tel:+12015550123");
  for (const std::string_view bad :
       {"", "alice", "http://example.com", "sip:", "sip:@example.com", "sip:alice:secret@x",
        "tel:", "tel:+1abc", "<sip:alice@example.com", "sip:a b@c", "\"open <sip:a@b>",
        "sip:alice@example.com\r\nX: y"}) {
    EXPECT_EQ(user_identity(bad).value_or("refused"), "refused") << bad;
  }
  EXPECT_FALSE(user_identity("sip:" + std::string(300, 'a') + "@b"));
}

TEST(Policy, MRFC_I3_ServesOnlyWhatItOwns) {
  SessionPolicy policy;
  policy.identity = "sip:mrfc@example.com";
  policy.conferences = {"sip:chat@example.com"};
  EXPECT_EQ(serving_identity(policy, "").value(), "sip:mrfc@example.com");
  EXPECT_EQ(serving_identity(policy, "<SIP:chat@Example.com;isfocus>").value(),
            "sip:chat@example.com");
  EXPECT_EQ(serving_identity(policy, "sip:alice@example.com").error().category(), Category::denied);
}

TEST(Policy, MRFC_I7_TheTicketNamesTheInvitedUserAndAnybodyOnlyOnRequest) {
  const FakeClock clock;
  ScriptedRandom random;
  SessionPolicy policy;
  policy.kms = mikey::Identity::uri("sip:kms@example.com");
  policy.ticket_validity = std::chrono::hours{2};
  auto ticket = offered_ticket_policy(policy, {clock, random}, "sip:m@x", "sip:a@x").value();
  EXPECT_THAT(ticket.idr_r, ::testing::ElementsAre(mikey::Identity::uri("sip:a@x")));
  EXPECT_TRUE(ticket.flags.has(mikey::TicketFlag::i_forking));
  EXPECT_EQ(ticket.tre->to_wall_time(), kTestTime + std::chrono::hours{2});
  EXPECT_LT(ticket.trs->to_wall_time(), kTestTime);
  ASSERT_EQ(ticket.keys.size(), 1U);
  EXPECT_EQ(ticket.keys[0].type, mikey::KeyType::tgk);
  EXPECT_EQ(ticket.keys[0].key_octets, 32U);

  policy.any_resolver = true;
  policy.key_source = KeySource::self_issued;
  ticket = offered_ticket_policy(policy, {clock, random}, "sip:m@x", "sip:a@x").value();
  EXPECT_EQ(ticket.idr_r.size(), 2U);
  EXPECT_EQ(ticket.flags, mikey::kMode3Flags);
}

TEST(Policy, MRFC_R5_ACounterIsNoTime) {
  const mikey::Timestamp counter{mikey::TsType::counter, 1};
  EXPECT_EQ(check_skew({}, counter, kTestTime).error().mikey_error_no(),
            static_cast<std::uint8_t>(mikey::ErrorNo::invalid_ts));
  const auto at = mikey::Timestamp::from(kTestTime);
  EXPECT_TRUE(check_skew({}, at, kTestTime + std::chrono::seconds{60}));
  EXPECT_FALSE(check_skew({}, at, kTestTime + std::chrono::seconds{61}));
  EXPECT_FALSE(check_skew({}, at, kTestTime - std::chrono::seconds{61}));
}

TEST(Policy, MRFC_I5_TheResponderIsTheAssertedElseTheInvitedOne) {
  SessionPolicy policy;
  mikey::TicketPolicy ticket;
  ticket.idr_r = {mikey::Identity::uri("*")};
  const auto alice = mikey::Identity::uri("sip:alice@x");
  EXPECT_TRUE(check_responder(policy, ticket, alice, "", "sip:alice@x"));
  EXPECT_FALSE(check_responder(policy, ticket, alice, "", "sip:bob@x"));
  EXPECT_TRUE(check_responder(policy, ticket, alice, "<sip:alice@X>", "sip:bob@x"));
  EXPECT_FALSE(check_responder(policy, ticket, alice, "sip:bob@x", "sip:alice@x"));
  policy.any_resolver = true;
  EXPECT_TRUE(check_responder(policy, ticket, alice, "", "sip:bob@x"));
  EXPECT_FALSE(check_responder(policy, ticket, alice, "sip:bob@x", "sip:bob@x"));
  ticket.idr_r = {mikey::Identity::uri("sip:bob@x")};
  EXPECT_FALSE(check_responder(policy, ticket, alice, "sip:alice@x", "sip:alice@x"));
  EXPECT_FALSE(check_responder(policy, ticket, mikey::Identity::byte_string("sip:bob@x"),
                               "sip:bob@x", "sip:bob@x"))
      << "an octet string that looks like a URI is not the user";
}

TEST(Refusal, MRFC_B7_SaysWhatSipHasToKnowAndNoMore) {
  const auto refusal = [](Category category, std::optional<mikey::ErrorNo> number = {}) {
    Error error(category, "sip:alice@example.com's ticket is no good");
    if (number) error.set_mikey_error_no(static_cast<std::uint8_t>(*number));
    return setup_refusal_for(error);
  };
  for (const Category category :
       {Category::malformed, Category::unauthenticated, Category::denied, Category::expired}) {
    EXPECT_EQ(refusal(category)->sip_status, 488U);
    EXPECT_EQ(refusal(category)->warning_code, 399U);
    EXPECT_THAT(refusal(category)->warning_text, ::testing::Not(::testing::HasSubstr("alice")));
  }
  EXPECT_EQ(refusal(Category::denied, mikey::ErrorNo::invalid_prf)->warning_code, 306U);
  EXPECT_EQ(refusal(Category::unavailable)->sip_status, 503U);
  EXPECT_EQ(refusal(Category::busy)->sip_status, 503U);
  EXPECT_EQ(refusal(Category::internal)->sip_status, 500U);
  EXPECT_FALSE(refusal(Category::not_found));
  EXPECT_FALSE(refusal(Category::conflict));
}

}  // namespace
}  // namespace keystub::mrfc
