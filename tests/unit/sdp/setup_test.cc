// Who opens the TCP connection (RFC 4145 section 4): the ground of MRFC-B2.
#include "sdp/setup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace keystub::sdp {
namespace {

// GoogleTest hides the name Setup inside its tests.
using Role = Setup;
using enum Role;

constexpr Role kAll[] = {active, passive, actpass, holdconn};

// MRFC-B2: every row of the table of RFC 4145 4.1, and nothing beside it.
TEST(TcpSetup, MRFC_B2_TheTableOfOffersAndAnswersDecidesWhoConnects) {
  struct Row {
    Role offer;
    Role answer;
    TcpActive who;
  };
  constexpr Row kTable[] = {
      {active, passive, TcpActive::offerer},  {active, holdconn, TcpActive::nobody},
      {passive, active, TcpActive::answerer}, {passive, holdconn, TcpActive::nobody},
      {actpass, active, TcpActive::answerer}, {actpass, passive, TcpActive::offerer},
      {actpass, holdconn, TcpActive::nobody}, {holdconn, holdconn, TcpActive::nobody},
  };
  std::size_t allowed = 0;
  for (const Role offer : kAll) {
    for (const Role answer : kAll) {
      const auto row = std::ranges::find_if(
          kTable, [&](const Row& r) { return r.offer == offer && r.answer == answer; });
      const auto who = tcp_active(offer, answer);
      EXPECT_EQ(is_allowed_answer(offer, answer), row != std::end(kTable));
      ASSERT_EQ(who.has_value(), row != std::end(kTable))
          << setup_name(offer) << " " << setup_name(answer);
      if (!who) {
        EXPECT_EQ(who.error().category(), Category::malformed);
        continue;
      }
      ++allowed;
      EXPECT_EQ(*who, row->who) << setup_name(offer) << " " << setup_name(answer);
    }
  }
  EXPECT_EQ(allowed, std::size(kTable));
}

// MRFC-B2: an absent attribute means active in an offer and passive in an answer.
TEST(TcpSetup, MRFC_B2_AbsentAttributesHaveDefaults) {
  EXPECT_EQ(tcp_active(std::nullopt, std::nullopt).value(), TcpActive::offerer);
  EXPECT_EQ(tcp_active(actpass, std::nullopt).value(), TcpActive::offerer);
  EXPECT_EQ(tcp_active(std::nullopt, passive).value(), TcpActive::offerer);
  EXPECT_EQ(tcp_active(std::nullopt, holdconn).value(), TcpActive::nobody);
  EXPECT_FALSE(tcp_active(std::nullopt, active).has_value());
  const auto silent = tcp_active(passive, std::nullopt);
  ASSERT_FALSE(silent.has_value());
  EXPECT_EQ(silent.error().text(),
            "a=setup:passive (the default) is no answer to a=setup:passive: refuse the answer");
  EXPECT_FALSE(tcp_active(holdconn, std::nullopt).has_value());
}

// MRFC-B2: what the MRFC answers is always allowed, and its wish counts where there is a choice.
TEST(TcpSetup, MRFC_B2_ChosenAnswersAreAllowed) {
  for (const bool prefer_active : {false, true}) {
    for (const Role offer : kAll) {
      EXPECT_TRUE(is_allowed_answer(offer, choose_answer(offer, prefer_active)));
    }
    EXPECT_EQ(choose_answer(std::nullopt, prefer_active), passive);
    EXPECT_EQ(choose_answer(active, prefer_active), passive);
    EXPECT_EQ(choose_answer(passive, prefer_active), active);
    EXPECT_EQ(choose_answer(holdconn, prefer_active), holdconn);
  }
  EXPECT_EQ(choose_answer(actpass, true), active);
  EXPECT_EQ(choose_answer(actpass, false), passive);
}

TEST(TcpSetup, ReadsTheFourWordsAndNothingElse) {
  for (const Role setup : kAll) EXPECT_EQ(parse_setup(setup_name(setup)).value(), setup);
  for (const char* text : {"", "Active", "active ", " active", "both", "actpass\r\n"}) {
    EXPECT_FALSE(parse_setup(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace keystub::sdp
