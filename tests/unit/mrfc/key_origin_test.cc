// Which sessions a revocation of the KMS cuts.
#include "tests/unit/mrfc/mrfc_fixture.h"

namespace keystub::mrfc::testing {
namespace {

using ::testing::HasSubstr;
using Kind = KeyRevocation::Kind;

class RevocationTest : public MrfcTest {
 protected:
  // A session that alice offered to us, and the id of its ticket.
  std::string dial_in(mikey::TicketId* id = nullptr) {
    const UserOffer offer = user_offers();
    if (id != nullptr) {
      *id = mikey::ticket_id(*mikey::Message::parse(offer.transfer->message()).value().ticket)
                .value();
    }
    return controller->accept_offer(incoming(offer.sdp())).value().status.session_id;
  }
  static KeyRevocation of(Kind kind) {
    KeyRevocation revocation;
    revocation.kind = kind;
    return revocation;
  }
  static KeyRevocation of_identity(std::string uri) {
    KeyRevocation revocation = of(Kind::identity);
    revocation.uris = {std::move(uri)};
    return revocation;
  }
};

TEST_F(RevocationTest, TheSessionOfARevokedTicketIsCutAndNoOther) {
  mikey::TicketId id{};
  const std::string cut = dial_in(&id);
  const std::string other = dial_in();
  KeyRevocation revocation = of(Kind::ticket);
  revocation.id = to_vector(id);
  EXPECT_EQ(controller->cut(revocation), 1U);
  const auto left = controller->list();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].session_id, other);
  const auto last = events.at(events.next_sequence() - 1).value();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->session_id, cut);
  EXPECT_EQ(last->state, MediaState::released);
  EXPECT_THAT(last->detail, HasSubstr("the KMS revoked its ticket"));
  EXPECT_EQ(controller->cut(revocation), 0U);
}

TEST_F(RevocationTest, TicketsFromBeforeATimeAreCut) {
  dial_in();
  KeyRevocation revocation = of(Kind::tickets_before);
  revocation.before = clock.now() - std::chrono::hours(1);
  EXPECT_EQ(controller->cut(revocation), 0U);
  revocation.before = clock.now() + std::chrono::seconds(1);
  EXPECT_EQ(controller->cut(revocation), 1U);
}

TEST_F(RevocationTest, SessionsWithARevokedPartyAreCutUnderEachOfItsUris) {
  dial_in();
  create_offer(kBob);
  EXPECT_EQ(controller->cut(of_identity(kMallory)), 0U);
  EXPECT_EQ(controller->cut(of_identity(kBob)), 1U) << "invited, and has not answered yet";
  KeyRevocation owner = of_identity("sip:owner@example.com");
  owner.patterns = {"sip:al*@example.com"};
  EXPECT_EQ(controller->cut(owner), 1U);
  create_offer(kBob);
  dial_in();
  EXPECT_EQ(controller->cut(of_identity(kMrfc)), 2U) << "we ourselves";
}

TEST_F(RevocationTest, TicketsUnderARevokedTpkAreCutWhateverTheirMode) {
  dial_in();
  KeyRevocation revocation = of(Kind::tpk);
  revocation.id = to_vector(as_bytes("another"));
  EXPECT_EQ(controller->cut(revocation), 0U);
  revocation.id = to_vector(as_bytes("lab-kms-tpk"));
  EXPECT_EQ(controller->cut(revocation), 1U);
}

// The T of a mode 3 ticket is what its issuer says: no time revokes it at the KMS either.
TEST_F(RevocationTest, AMode3TicketIsCutByItsTpkAndNotByATime) {
  policy.key_source = KeySource::self_issued;
  self_issue = std::make_unique<mikey::TicketProtection>(kms.share_tpk(kMrfc));
  make_controller();
  create_offer(kBob);
  KeyRevocation before = of(Kind::tickets_before);
  before.before = clock.now() + std::chrono::hours(1);
  EXPECT_EQ(controller->cut(before), 0U);
  KeyRevocation revocation = of(Kind::tpk);
  revocation.id = to_vector(as_bytes(self_issue->id));
  EXPECT_EQ(controller->cut(revocation), 1U);
}

TEST_F(RevocationTest, WhatWasMissedMayBeAnything) {
  dial_in();
  create_offer(kBob);
  EXPECT_EQ(controller->cut(of(Kind::unknown)), 2U);
}

}  // namespace
}  // namespace keystub::mrfc::testing
