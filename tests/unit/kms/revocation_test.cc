// Revocation of tickets: by id, by time, by initiator. What a resolve says from the acknowledgement
// on, what the audit says, and what is there after a restart.
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using mikey::ErrorNo;
using namespace std::chrono_literals;

class RevocationTest : public KmsFixture {
 protected:
  static mikey::TicketId id_of(const mikey::TransferOffer& offer) {
    return mikey::ticket_id(*mikey::Message::parse(offer.message()).value().ticket).value();
  }
  static ByteVector ticket_of(const mikey::TransferOffer& offer) {
    return to_vector(mikey::Message::parse(offer.message()).value().ticket->body);
  }
  // A ticket of alice under another of her URIs, for bob.
  Result<mikey::GrantedTicket> request_under(const char* uri) {
    mikey::KmsCredentials own = credentials(kAlice);
    own.self = mikey::Identity::uri(uri);
    const auto exchange = TRY(mikey::TicketRequest::start(env(), own, wish_of(uri, {kBob})));
    last_answer = ask(exchange.message());
    if (!last_answer) return fail(last_answer.error().category, last_answer.error().reason);
    return exchange.finish(*last_answer);
  }
  // The rule in the audit that refuses to resolve; empty: it resolves. Whatever is revoked, the
  // responder is told the same.
  std::string refusal_of(const mikey::TransferOffer& offer, const char* responder = kBob) {
    if (resolve(responder, offer.message()).has_value()) return {};
    EXPECT_EQ(last_category(), Category::denied);
    EXPECT_EQ(error_no(), ErrorNo::invalid_ticket);
    EXPECT_EQ(last_answer.error().reason, "the ticket is revoked");
    return audit_lines().back()["rule"];
  }
};

TEST_F(RevocationTest, ATicketIsRevokedByItsIdAtOnceAndStaysSo) {
  const auto one = offer_to({kBob});
  const auto other = offer_to({kBob});
  EXPECT_EQ(refusal_of(one), "");
  const auto revoked = revocation_admin->revoke_ticket_id(operator_caller, id_of(one));
  ASSERT_TRUE(revoked.has_value()) << revoked.error().text();
  EXPECT_GT(*revoked->limit, clock.now() + kLongestValidity) << "its end is not known";
  const auto line = audit_lines().back();
  EXPECT_EQ(line["operation"], "admin.revoke_ticket");
  EXPECT_EQ(line["ticket_id"], to_hex(id_of(one)));
  EXPECT_EQ(line["caller"], "uid:0");

  EXPECT_EQ(refusal_of(one), "revoked");
  EXPECT_EQ(audit_lines().back()["ticket_id"], to_hex(id_of(one)));
  EXPECT_EQ(refusal_of(other), "");
  restart();
  EXPECT_EQ(refusal_of(one), "revoked");
  EXPECT_EQ(refusal_of(other), "");
}

TEST_F(RevocationTest, WhoIsNotNamedByTheTicketDoesNotLearnThatItIsRevoked) {
  const auto offer = offer_to({kBob});
  ASSERT_TRUE(revocation_admin->revoke_ticket_id(operator_caller, id_of(offer)).has_value());
  EXPECT_FALSE(resolve(kCarol, offer.message()).has_value());
  EXPECT_EQ(audit_lines().back()["rule"], "not_named");
  EXPECT_EQ(error_no(), ErrorNo::invalid_id);
}

TEST_F(RevocationTest, OfATicketInFullTheEndIsKnownAndTheRevocationGoesAfterIt) {
  const auto offer = offer_to({kBob});  // valid for an hour
  const auto revoked = revocation_admin->revoke_ticket(operator_caller, ticket_of(offer));
  ASSERT_TRUE(revoked.has_value()) << revoked.error().text();
  EXPECT_EQ(revoked->subject, to_vector(id_of(offer)));
  EXPECT_EQ(*revoked->limit, clock.now() + 1h + 24h);
  EXPECT_EQ(refusal_of(offer), "revoked");
  EXPECT_EQ(revocations->tickets(), 1U);
  clock.advance(1h + 24h + 1s);
  EXPECT_EQ(revocations->tickets(), 0U);
}

TEST_F(RevocationTest, WhatIsNoTicketOfThisKmsIsNotRevoked) {
  const auto category = [&](Bytes ticket) {
    return revocation_admin->revoke_ticket(operator_caller, ticket).error().category();
  };
  const auto offer = offer_to({kBob});
  ByteVector changed = ticket_of(offer);
  changed[6] ^= 1;
  EXPECT_NE(category(changed), Category::internal);
  ByteVector wrong_mac = ticket_of(offer);
  wrong_mac.back() ^= 1;
  EXPECT_EQ(category(wrong_mac), Category::not_found);
  EXPECT_EQ(category(as_bytes("no ticket")), Category::malformed);
  EXPECT_EQ(revocation_admin->revoke_ticket_id(operator_caller, ByteVector(15)).error().category(),
            Category::malformed);
  EXPECT_EQ(audit_lines().back()["decision"], "refused");
  EXPECT_EQ(refusal_of(offer), "");
}

TEST_F(RevocationTest, AllTicketsOfTheKmsFromBeforeATimeAreRevoked) {
  const auto old = offer_to({kBob});
  clock.advance(1min);
  const WallTime time = clock.now();
  const auto young = offer_to({kBob});
  clock.advance(1min);
  ASSERT_TRUE(revocation_admin->revoke_before(operator_caller, time).has_value());
  EXPECT_EQ(audit_lines().back()["operation"], "admin.revoke_tickets_before");
  EXPECT_EQ(refusal_of(old), "epoch");
  EXPECT_EQ(refusal_of(young), "");
  restart();
  EXPECT_EQ(refusal_of(old), "epoch");
  EXPECT_EQ(refusal_of(young), "");
  ASSERT_TRUE(revocation_admin->revoke_before(operator_caller, time - 1h).has_value());
  EXPECT_EQ(refusal_of(old), "epoch") << "it never goes back";
  EXPECT_EQ(refusal_of(offer_to({kBob})), "") << "new tickets resolve";
}

TEST_F(RevocationTest, ATimeInTheFutureIsRefused) {
  const auto refused = revocation_admin->revoke_before(operator_caller, clock.now() + 1s);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::malformed);
}

// A ticket of our own making says truly when it was made: by the clock of the KMS. Here that was
// ahead, and is set right.
TEST_F(RevocationTest, ATicketFromTheFutureIsRefused) {
  clock.advance(10min);
  const auto offer = offer_to({kBob});
  clock.set_now(clock.now() - 10min);
  window = replay::ReplayWindow::in_memory(clock).value();
  handler = std::make_unique<TicketHandler>(
      settings, HandlerParts{*keys, *policy, *revocations, *window, *limiter, *executor, *audit,
                             log, clock, random});
  EXPECT_FALSE(resolve(kBob, offer.message()).has_value());
  EXPECT_EQ(audit_lines().back()["rule"], "issued");
}

TEST_F(RevocationTest, TheTicketsOfAnInitiatorGoAndComeWithIt) {
  const auto offer = offer_to({kBob});
  ASSERT_TRUE(admin->suspend(operator_caller, kAlice).has_value());
  EXPECT_EQ(refusal_of(offer), "initiator_suspended");
  ASSERT_TRUE(admin->resume(operator_caller, kAlice).has_value());
  EXPECT_EQ(refusal_of(offer), "");
  ASSERT_TRUE(admin->remove(operator_caller, kAlice).has_value());
  EXPECT_EQ(refusal_of(offer), "initiator_gone");
  clock.advance(1s);
  add(kAlice);
  EXPECT_EQ(refusal_of(offer), "initiator_newer") << "somebody else under the same name";
  EXPECT_EQ(refusal_of(offer_to({kBob})), "");
}

TEST_F(RevocationTest, TheTicketsUnderAnAliasOrAnOwnedUriGoWithTheirInitiator) {
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, "tel:+4930123").has_value());
  ASSERT_TRUE(admin->add_pattern(operator_caller, kAlice, "sip:conf-*@example.com").has_value());
  std::vector<mikey::TransferOffer> offers;
  for (const char* uri : {"tel:+4930123", "sip:conf-1@example.com"}) {
    auto granted = request_under(uri);
    ASSERT_TRUE(granted.has_value()) << granted.error().describe();
    offers.push_back(
        offer(std::make_shared<const mikey::GrantedTicket>(std::move(*granted)), uri, kBob)
            .value());
    EXPECT_EQ(refusal_of(offers.back()), "");
    EXPECT_EQ(refusal_of(offers.back()), "") << "from the cache";
  }
  ASSERT_TRUE(admin->suspend(operator_caller, kAlice).has_value());
  for (const auto& made : offers) EXPECT_EQ(refusal_of(made), "initiator_suspended");
  ASSERT_TRUE(admin->resume(operator_caller, kAlice).has_value());
  ASSERT_TRUE(admin->remove_pattern(operator_caller, kAlice, "sip:conf-*@example.com").has_value());
  EXPECT_EQ(refusal_of(offers[1]), "initiator_gone");
}

// The T of a mode 3 ticket is what its issuer says: no time revokes it. Its id does.
TEST_F(RevocationTest, AMode3TicketIsRevokedByIdByIdentityAndByTpkButNotByTime) {
  SharedTpk shared = admin->share_tpk(operator_caller, kAlice).value();
  const mikey::TicketProtection protection{std::move(shared.key), to_string(Bytes(shared.id)), {}};
  mikey::TicketPolicy self_issued = wish({kBob});
  self_issued.flags = mikey::kMode3Flags;
  const auto issue = [&] {
    auto ticket = mikey::issue_ticket(env(), self_issued, protection).value();
    return offer(std::make_shared<const mikey::GrantedTicket>(std::move(ticket)), kAlice, kBob)
        .value();
  };
  const auto made = issue();
  clock.advance(1s);
  ASSERT_TRUE(revocation_admin->revoke_before(operator_caller, clock.now()).has_value());
  EXPECT_EQ(refusal_of(made), "");
  ASSERT_TRUE(revocation_admin->revoke_ticket(operator_caller, ticket_of(made)).has_value());
  EXPECT_EQ(refusal_of(made), "revoked");
  EXPECT_EQ(refusal_of(issue()), "");
  ASSERT_TRUE(admin->unshare_tpk(operator_caller, kAlice, {}).has_value());
  EXPECT_FALSE(resolve(kBob, issue().message()).has_value());
  EXPECT_EQ(audit_lines().back()["rule"], "ticket");
}

TEST_F(RevocationTest, RevocationsAreListedInPages) {
  for (std::uint8_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(revocation_admin->revoke_ticket_id(operator_caller, ByteVector(16, i)).has_value());
  }
  const auto first = revocation_admin->list(0, 2).value();
  ASSERT_EQ(first.revocations.size(), 2U);
  EXPECT_TRUE(first.more);
  const auto second = revocation_admin->list(first.revocations.back().sequence, 2).value();
  ASSERT_EQ(second.revocations.size(), 1U);
  EXPECT_FALSE(second.more);
  EXPECT_EQ(second.revocations[0].subject, ByteVector(16, 3));
  EXPECT_EQ(revocation_admin->list(0, 1001).error().category(), Category::malformed);
}

}  // namespace
}  // namespace keystub::kms
