// UE-1: offerer and answerer against each other and a KMS in the same process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "mikey/key_mgmt_attribute.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"
#include "tests/unit/ue/fake_kms.h"
#include "tlspsk/cipher_suites.h"
#include "ue-agent/answer_procedure.h"
#include "ue-agent/offer_procedure.h"

namespace keystub::ue {
namespace {

using ::testing::HasSubstr;
using testing::kAlice;
using testing::kBob;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

UeConfig config_of(std::string_view user) {
  UeConfig config;
  config.uri = user;
  config.kms_identity = testing::kKmsIdentity;
  config.ticket_validity = 1h;
  config.replay_skew = 60s;
  config.cipher_suites = tlspsk::default_cipher_suites();
  config.accept_types = {"text/plain"};
  return config;
}

class OfferAnswer : public ::testing::Test {
 protected:
  OfferProcedure offerer(OfferOptions options) {
    TicketSource& source = options.mode == TicketMode::mode_3
                               ? static_cast<TicketSource&>(self_issued_)
                               : static_cast<TicketSource&>(alice_kms_);
    return OfferProcedure(env_, alice_, source, reporter_, std::move(options));
  }
  AnswerProcedure answerer(AnswerOptions options = {}) {
    return AnswerProcedure(env_, bob_, bob_kms_, *seen_, reporter_, std::move(options));
  }
  std::string offer_to_bob(OfferOptions options = {}) {
    options.to = kBob;
    offer_.emplace(offerer(std::move(options)));
    return offer_->make_offer({"127.0.0.1", 40001}).value();
  }
  Result<Answer> answer(std::string_view sdp, AnswerOptions options = {}) {
    return answerer(std::move(options)).answer(sdp, {"127.0.0.1", 40002});
  }

  testing::FakeClock clock_;
  testing::ScriptedRandom random_;
  const mikey::Environment env_{clock_, random_};
  std::string events_;
  Reporter reporter_{Reporter::Format::text,
                     [this](std::string_view line) { events_ += std::string(line) + "\n"; }};
  const testing::FakeKms kms_{env_};
  testing::FakeKms::View alice_kms_ = kms_.as_seen_by(std::string(kAlice));
  testing::FakeKms::View bob_kms_ = kms_.as_seen_by(std::string(kBob));
  SelfIssuedTickets self_issued_{env_, kms_.protection()};
  UeConfig alice_ = config_of(kAlice);
  UeConfig bob_ = config_of(kBob);
  std::unique_ptr<replay::ReplayWindow> seen_ =
      replay::ReplayWindow::in_memory(clock_, {.capacity = 128}).value();
  std::optional<OfferProcedure> offer_;
};

// UE-1: both roles, with a ticket of the KMS (mode 1).
TEST_F(OfferAnswer, UE_1_BothSidesEndWithTheSameKey) {
  const auto sdp = offer_to_bob();
  EXPECT_THAT(sdp, HasSubstr("m=message 40001 TCP/TLS/MSRP *"));
  EXPECT_THAT(sdp, HasSubstr("a=setup:actpass"));
  EXPECT_THAT(sdp, HasSubstr("a=key-mgmt:mikey "));

  const auto answered = answer(sdp);
  ASSERT_TRUE(answered) << answered.error().describe();
  const auto plan = offer_->accept_answer(answered->sdp);
  ASSERT_TRUE(plan) << plan.error().describe();

  EXPECT_EQ(plan->key.psk, answered->plan.key.psk);
  EXPECT_EQ(plan->key.psk.size(), 32U);
  EXPECT_EQ(plan->key.identity, answered->plan.key.identity);
  EXPECT_THAT(plan->key.identity, StartsWith("mikey-ticket;"));
  EXPECT_FALSE(plan->active);
  EXPECT_TRUE(answered->plan.active);
  EXPECT_EQ(answered->plan.remote, (service::SocketAddress{"127.0.0.1", 40001}));
  EXPECT_TRUE(msrp::equivalent(plan->remote_path.back(), answered->plan.local_uri));
  EXPECT_TRUE(msrp::equivalent(answered->plan.remote_path.back(), plan->local_uri));
}

// UE-1, KMS-8: the offerer issues the ticket itself (mode 3).
TEST_F(OfferAnswer, UE_1_SelfIssuedTicketKeysBothSides) {
  const auto answered = answer(offer_to_bob({.mode = TicketMode::mode_3}));
  ASSERT_TRUE(answered) << answered.error().describe();
  const auto plan = offer_->accept_answer(answered->sdp);
  ASSERT_TRUE(plan) << plan.error().describe();
  EXPECT_EQ(plan->key.psk, answered->plan.key.psk);
  EXPECT_THAT(events_, HasSubstr("ticket issued"));
  EXPECT_THAT(events_, HasSubstr("EFGHILNO"));
}

TEST_F(OfferAnswer, UE_1_EventsShowPolicyAndIdentityButNoKey) {
  const auto answered = answer(offer_to_bob());
  ASSERT_TRUE(answered);
  EXPECT_THAT(events_, HasSubstr("DEFGHINO"));
  EXPECT_THAT(events_, HasSubstr("sip:bob@example.com"));
  EXPECT_THAT(events_, HasSubstr(answered->plan.key.identity));
  EXPECT_THAT(events_, Not(HasSubstr(to_hex(answered->plan.key.psk.reveal()))));
}

TEST_F(OfferAnswer, UE_1_TamperedTicketIsRefusedAndNothingIsAnswered) {
  const auto answered = answer(offer_to_bob({.tamper_ticket = true}));
  ASSERT_FALSE(answered);
  EXPECT_EQ(bob_kms_.resolves, 1);
  EXPECT_THAT(events_, HasSubstr("flipped"));
  EXPECT_THAT(events_, Not(HasSubstr("answer made")));
}

// RFC 6043 12.4: the same offer a second time.
// [6043-12.4-02] [3830-5.4-04]
TEST_F(OfferAnswer, UE_1_ReplayedOfferIsRefused) {
  const auto sdp = offer_to_bob();
  ASSERT_TRUE(answer(sdp));
  clock_.advance(2s);
  const auto again = answer(sdp);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().category(), Category::expired);
}

// [3830-5.4-03]
TEST_F(OfferAnswer, UE_1_OfferOutsideTheSkewIsRefusedWithoutAskingTheKms) {
  const auto sdp = offer_to_bob();
  clock_.advance(61s);
  const auto late = answer(sdp);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().category(), Category::expired);
  EXPECT_EQ(bob_kms_.resolves, 0);
}

TEST_F(OfferAnswer, UE_1_OfferForSomebodyElseIsRefusedWithoutAskingTheKms) {
  OfferOptions options;
  options.to = "sip:carol@example.com";
  offer_.emplace(offerer(std::move(options)));
  const auto answered = answer(offer_->make_offer({"127.0.0.1", 40001}).value());
  ASSERT_FALSE(answered);
  EXPECT_EQ(bob_kms_.resolves, 0);
}

TEST_F(OfferAnswer, UE_1_TicketOfAnotherCallerThanTheNetworkAssertsIsRefused) {
  const auto answered = answer(offer_to_bob(), {.from = "sip:mallory@example.com"});
  ASSERT_FALSE(answered);
  EXPECT_EQ(answered.error().category(), Category::denied);
  EXPECT_TRUE(answer(offer_to_bob(), {.from = std::string(kAlice)}));
}

// The ticket allows anybody (diversion), the offerer still sees who answered.
TEST_F(OfferAnswer, UE_1_AnswerOfAnotherResponderIsRefusedUnlessAnybodyMayAnswer) {
  auto carol_kms = kms_.as_seen_by("sip:carol@example.com");
  const auto carol = config_of("sip:carol@example.com");
  const auto answer_as_carol = [&](std::string_view sdp) {
    AnswerProcedure procedure(env_, carol, carol_kms, *seen_, reporter_, {});
    return procedure.answer(sdp, {"127.0.0.1", 40003});
  };
  alice_.any_resolver = true;
  auto answered = answer_as_carol(offer_to_bob());
  ASSERT_TRUE(answered) << answered.error().describe();
  EXPECT_TRUE(offer_->accept_answer(answered->sdp));

  answered = answer_as_carol(offer_to_bob());
  ASSERT_TRUE(answered);
  alice_.any_resolver = false;
  const auto plan = offer_->accept_answer(answered->sdp);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().category(), Category::denied);
  EXPECT_THAT(plan.error().text(), HasSubstr("sip:carol@example.com"));
}

TEST_F(OfferAnswer, UE_1_AnyFlippedBitOfTransferRespIsRefused) {
  const auto answered = answer(offer_to_bob());
  ASSERT_TRUE(answered);
  const auto begin = answered->sdp.find("a=key-mgmt:mikey ") + 17;
  const auto end = answered->sdp.find("\r\n", begin);
  const auto genuine =
      base64_decode(std::string_view(answered->sdp).substr(begin, end - begin)).value();
  for (std::size_t at = 0; at < genuine.size(); ++at) {
    auto forged = genuine;
    forged[at] ^= 1;
    auto sdp = answered->sdp;
    sdp.replace(begin, end - begin, base64_encode(forged));
    EXPECT_FALSE(offer_->accept_answer(sdp)) << "octet " << at;
  }
  EXPECT_TRUE(offer_->accept_answer(answered->sdp));
}

// Never less protected than offered.
TEST_F(OfferAnswer, UE_1_AnswerWithoutKeyManagementIsRefused) {
  const auto answered = answer(offer_to_bob());
  ASSERT_TRUE(answered);
  auto sdp = answered->sdp;
  const auto begin = sdp.find("a=key-mgmt");
  sdp.erase(begin, sdp.find("\r\n", begin) + 2 - begin);
  const auto plan = offer_->accept_answer(sdp);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().category(), Category::denied);
}

TEST_F(OfferAnswer, UE_1_ProtocolListThatDiffersFromTheSignedOneIsRefused) {
  auto sdp = offer_to_bob();
  const auto begin = sdp.find("a=key-mgmt");
  sdp.insert(begin, "a=key-mgmt:other AAAA\r\n");
  const auto answered = answer(sdp);
  ASSERT_FALSE(answered);
  EXPECT_EQ(bob_kms_.resolves, 0);
}

}  // namespace
}  // namespace keystub::ue
