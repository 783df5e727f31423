// The m-line of an offer/answer: roles of RFC 4145, and what is refused.
#include "ue-agent/media_description.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace keystub::ue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MediaDescription media() {
  MediaDescription media;
  media.address = {"127.0.0.1", 40001};
  media.path = {msrp::Uri::parse("msrps://127.0.0.1:40001/abcd;tcp").value()};
  media.accept_types = {"text/plain", "message/cpim"};
  media.key_mgmt = {"mikey AQ4A"};
  return media;
}

std::string offer_text(const MediaDescription& description = media()) {
  return make_offer(description, 17).value().to_string();
}

Result<MediaDescription> read(std::string_view offer) {
  return read_offer(TRY(sdp::SessionDescription::parse(offer)));
}

Result<MediaDescription> read(std::string_view offer, std::string_view answer) {
  const auto offered = TRY(sdp::SessionDescription::parse(offer));
  return read_answer(offered, TRY(sdp::SessionDescription::parse(answer)));
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(MediaDescription, UE_1_OfferIsReadAsWritten) {
  const auto sdp = offer_text();
  const auto found = read(sdp);
  ASSERT_TRUE(found) << found.error().describe() << "\n" << sdp;
  EXPECT_EQ(found->address, media().address);
  EXPECT_EQ(found->setup, sdp::Setup::actpass);
  EXPECT_THAT(found->key_mgmt, ElementsAre("mikey AQ4A"));
  EXPECT_THAT(found->accept_types, ElementsAre("text/plain", "message/cpim"));
  EXPECT_EQ(msrp::format_path(found->path), "msrps://127.0.0.1:40001/abcd;tcp");
}

TEST(MediaDescription, UE_1_Ipv6IsReadAsWritten) {
  auto ipv6 = media();
  ipv6.address = {"::1", 40001};
  ipv6.path = {msrp::Uri::parse("msrps://[::1]:40001/abcd;tcp").value()};
  const auto sdp = offer_text(ipv6);
  EXPECT_THAT(sdp, HasSubstr("c=IN IP6 ::1"));
  const auto found = read(sdp);
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->address, ipv6.address);
}

TEST(MediaDescription, UE_1_KeyManagementOfTheSessionLevelCounts) {
  const auto sdp = replaced(replaced(offer_text(), "a=key-mgmt:mikey AQ4A\r\n", ""), "m=message",
                            "a=key-mgmt:mikey AQ4B\r\nm=message");
  const auto found = read(sdp);
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_THAT(found->key_mgmt, ElementsAre("mikey AQ4B"));
}

TEST(MediaDescription, UE_1_UnprotectedOrRejectedMediaIsRefused) {
  const auto sdp = offer_text();
  for (const auto& worse : {
           replaced(sdp, "TCP/TLS/MSRP", "TCP/MSRP"),
           replaced(sdp, "m=message 40001", "m=message 0"),
           replaced(sdp, "a=key-mgmt:mikey AQ4A\r\n", ""),
           replaced(sdp, "a=setup:actpass", "a=setup:holdconn"),
           replaced(sdp, "a=path:msrps", "a=path:msrp"),
       }) {
    const auto found = read(worse);
    ASSERT_FALSE(found) << worse;
    EXPECT_EQ(found.error().category(), Category::denied) << found.error().describe();
  }
  EXPECT_FALSE(read("this is no SDP"));
  EXPECT_FALSE(read(""));
}

// RFC 4145 section 4.1: which answers suit which offers.
TEST(MediaDescription, UE_1_AnswerMustSuitTheOfferedRole) {
  const auto with = [](sdp::Setup setup) {
    auto description = media();
    description.setup = setup;
    return offer_text(description);
  };
  const auto active = with(sdp::Setup::active);
  const auto passive = with(sdp::Setup::passive);
  const auto actpass = with(sdp::Setup::actpass);

  EXPECT_TRUE(read(actpass, active));
  EXPECT_TRUE(read(actpass, passive));
  EXPECT_TRUE(read(passive, active));
  EXPECT_TRUE(read(active, passive));
  EXPECT_FALSE(read(active, active));
  EXPECT_FALSE(read(passive, passive));
  EXPECT_FALSE(read(actpass, actpass));
  // Absent: an answer is passive.
  const auto silent = read(actpass, replaced(passive, "a=setup:passive\r\n", ""));
  ASSERT_TRUE(silent) << silent.error().describe();
  EXPECT_EQ(silent->setup, sdp::Setup::passive);
}

TEST(MediaDescription, UE_1_AnswererTakesTheRoleThatIsLeft) {
  EXPECT_EQ(choose_setup(sdp::Setup::actpass, std::nullopt).value(), sdp::Setup::active);
  EXPECT_EQ(choose_setup(sdp::Setup::actpass, sdp::Setup::passive).value(), sdp::Setup::passive);
  EXPECT_EQ(choose_setup(sdp::Setup::active, std::nullopt).value(), sdp::Setup::passive);
  EXPECT_EQ(choose_setup(sdp::Setup::passive, std::nullopt).value(), sdp::Setup::active);
  EXPECT_EQ(choose_setup(sdp::Setup::passive, sdp::Setup::passive).error().category(),
            Category::denied);
  EXPECT_EQ(choose_setup(sdp::Setup::active, sdp::Setup::active).error().category(),
            Category::denied);
}

// RFC 3264: an answer has an m-line for each of the offer's; the others are rejected.
TEST(MediaDescription, UE_1_AnswerRejectsTheOtherMedia) {
  const auto offer = replaced(offer_text(), "m=message", "m=audio 5004 RTP/AVP 0\r\nm=message");
  auto ours = media();
  ours.setup = sdp::Setup::active;
  const auto answer = make_answer(sdp::SessionDescription::parse(offer).value(), ours, 18);
  ASSERT_TRUE(answer) << answer.error().describe();
  const auto text = answer->to_string();
  EXPECT_THAT(text, HasSubstr("m=audio 0 RTP/AVP 0\r\n"));
  EXPECT_LT(text.find("m=audio"), text.find("m=message"));
  const auto read_back = read(offer, text);
  ASSERT_TRUE(read_back) << read_back.error().describe();
  EXPECT_EQ(read_back->setup, sdp::Setup::active);
}

}  // namespace
}  // namespace keystub::ue
