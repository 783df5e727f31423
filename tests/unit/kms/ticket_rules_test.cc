// KMS-8: mode 3, rule by rule. The owner of a shared TPK makes tickets itself; each rule is broken
// in a ticket that is otherwise right.
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using mikey::ErrorNo;
using mikey::TicketFlag;
using namespace std::chrono_literals;

class Mode3 : public KmsFixture {
 protected:
  static constexpr const char* kMrfc = "sip:mrfc@example.com";

  Mode3() {
    add(kMrfc, IdentityKind::mrfc);
    SharedTpk tpk = admin->share_tpk(operator_caller, kMrfc).value();
    shared = {std::move(tpk.key), to_string(Bytes(tpk.id)), {}};
  }

  mikey::TicketPolicy policy_of_mrfc() {
    mikey::TicketPolicy out = wish({kBob});
    out.flags = mikey::kMode3Flags;
    out.idr_i = mikey::Identity::uri(kMrfc);
    return out;
  }
  // Issues a ticket, offers it to bob and has bob resolve it.
  Result<mikey::ResolvedTicket> issue_and_resolve(const mikey::TicketPolicy& policy_of_ticket,
                                                  const mikey::TicketProtection& protection) {
    auto ticket = issue(policy_of_ticket, protection);
    const auto made =
        TRY(offer(std::make_shared<const mikey::GrantedTicket>(std::move(ticket)), kMrfc, kBob));
    return resolve(kBob, made.message());
  }
  // What issue_ticket() makes of it, also where that refuses: sealed by hand.
  mikey::GrantedTicket issue(const mikey::TicketPolicy& policy_of_ticket,
                             const mikey::TicketProtection& protection) {
    const mikey::Suite& suite = mikey::suite_of(policy_of_ticket.prf);
    mikey::TicketPolicy sealed_policy = policy_of_ticket;
    sealed_policy.keys.clear();
    mikey::TicketKeys keys_of_ticket =
        mikey::make_ticket_keys(random, suite, policy_of_ticket.keys, protection.key.size())
            .value();
    mikey::SealedTicket sealed =
        mikey::seal_ticket(suite, sealed_policy, keys_of_ticket, protection,
                           mikey::Timestamp::from(issued_at.value_or(clock.now())))
            .value();
    mikey::GrantedTicket ticket;
    ticket.body = std::move(sealed.body);
    ticket.policy = sealed_policy;
    ticket.mpki = std::move(sealed.mpki);
    ticket.mpkr = std::move(sealed.mpkr);
    ticket.mpk_spi = keys_of_ticket.mpk_spi;
    ticket.session_keys = std::move(keys_of_ticket.session_keys);
    return ticket;
  }
  std::string rule() const { return audit_lines().back()["rule"]; }

  mikey::TicketProtection shared;
  std::optional<WallTime> issued_at;
};

TEST_F(Mode3, KMS_8_ResolvesATicketOfTheOwnerAndForksItsKeys) {
  auto ticket = mikey::issue_ticket(env(), policy_of_mrfc(), shared);
  ASSERT_TRUE(ticket.has_value()) << ticket.error().describe();
  const auto made =
      offer(std::make_shared<const mikey::GrantedTicket>(std::move(*ticket)), kMrfc, kBob);
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  const auto resolved = resolve(kBob, made->message());
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(kBob));
  EXPECT_EQ(resolved->randr_kms.size(), 32U) << "RANDRkms comes from the KMS in mode 3 too";
  EXPECT_FALSE(resolved->session_keys[0].key == made->ticket().session_keys[0].key);
  const auto again = resolve(kBob, made->message());
  ASSERT_TRUE(again.has_value());
  EXPECT_NE(again->randr_kms, resolved->randr_kms);
}

TEST_F(Mode3, KMS_8_RefusesATicketThatClaimsToComeFromTheKms) {
  mikey::TicketPolicy claimed = policy_of_mrfc();
  claimed.flags = claimed.flags.with(TicketFlag::d_kms_generated);
  EXPECT_FALSE(issue_and_resolve(claimed, shared).has_value());
  EXPECT_EQ(rule(), "mode3_d");
  EXPECT_EQ(error_no(), ErrorNo::invalid_ticket);
}

TEST_F(Mode3, KMS_8_RefusesATicketWithoutInitiatorOrWithSomebodyElse) {
  mikey::TicketPolicy of_nobody = policy_of_mrfc();
  of_nobody.idr_i.reset();
  EXPECT_FALSE(issue_and_resolve(of_nobody, shared).has_value());
  EXPECT_EQ(rule(), "mode3_initiator");
  mikey::TicketPolicy of_alice = policy_of_mrfc();
  of_alice.idr_i = mikey::Identity::uri(kAlice);
  EXPECT_FALSE(issue_and_resolve(of_alice, shared).has_value());
  EXPECT_EQ(rule(), "mode3_initiator");
}

TEST_F(Mode3, KMS_8_RefusesATicketWithoutEndOrOneThatIsValidForTooLong) {
  mikey::TicketPolicy endless = policy_of_mrfc();
  endless.tre.reset();
  EXPECT_FALSE(issue_and_resolve(endless, shared).has_value());
  EXPECT_EQ(rule(), "mode3_end");
  mikey::TicketPolicy longer = policy_of_mrfc();
  longer.tre = mikey::Timestamp::from(clock.now() + 25h, mikey::TsType::ntp_utc_32);
  EXPECT_FALSE(issue_and_resolve(longer, shared).has_value());
  EXPECT_EQ(rule(), "mode3_validity");
  issued_at = clock.now() + 2h;
  EXPECT_FALSE(issue_and_resolve(longer, shared).has_value()) << "a T of its own choosing";
  EXPECT_EQ(rule(), "issued");
}

TEST_F(Mode3, KMS_8_ALongTicketDoesNotBecomeRightWhenItsEndComesNear) {
  mikey::TicketPolicy longer = policy_of_mrfc();
  longer.tre = mikey::Timestamp::from(clock.now() + 30h, mikey::TsType::ntp_utc_32);
  const auto made =
      offer(std::make_shared<const mikey::GrantedTicket>(issue(longer, shared)), kMrfc, kBob);
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  clock.advance(29h);
  EXPECT_FALSE(resolve(kBob, made->message()).has_value());
  EXPECT_EQ(rule(), "mode3_validity");
}

TEST_F(Mode3, KMS_8_RefusesAnExpiredTicketAndOneForAnother) {
  const auto made = offer(
      std::make_shared<const mikey::GrantedTicket>(issue(policy_of_mrfc(), shared)), kMrfc, kBob);
  ASSERT_TRUE(made.has_value()) << made.error().describe();
  EXPECT_FALSE(resolve(kCarol, made->message()).has_value());
  EXPECT_EQ(rule(), "not_named");
  clock.advance(2h);
  EXPECT_FALSE(resolve(kBob, made->message()).has_value());
  EXPECT_EQ(rule(), "validity");
}

TEST_F(Mode3, KMS_8_RefusesATicketUnderATpkThatIsNotSharedOrNoLonger) {
  EXPECT_TRUE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  const mikey::TicketProtection invented{random.secret<mikey::TpkTag>(32).value(), "invented", {}};
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), invented).has_value());
  EXPECT_EQ(rule(), "ticket");
  const mikey::TicketProtection guessed{random.secret<mikey::TpkTag>(32).value(), shared.id, {}};
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), guessed).has_value());
  EXPECT_EQ(rule(), "ticket");
  ASSERT_EQ(admin->unshare_tpk(operator_caller, kMrfc, {}).value(), 1U);
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  EXPECT_EQ(rule(), "ticket");
}

TEST_F(Mode3, KMS_8_RefusesTicketsOfASuspendedOrRemovedOwner) {
  EXPECT_TRUE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  ASSERT_TRUE(admin->suspend(operator_caller, kMrfc).has_value());
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  EXPECT_EQ(rule(), "mode3_owner");
  ASSERT_TRUE(admin->resume(operator_caller, kMrfc).has_value());
  EXPECT_TRUE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  ASSERT_TRUE(admin->remove(operator_caller, kMrfc).has_value());
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), shared).has_value());
  EXPECT_EQ(rule(), "ticket");
}

// Under the KMS's own TPKs only D = 1: nobody else should hold one.
TEST_F(Mode3, KMS_8_RefusesASelfIssuedTicketUnderATpkOfTheKms) {
  const Tpk active = store->active_tpk(Deadline::in(kTimeout)).value();
  const mikey::TicketProtection stolen{
      kek.unwrap<mikey::TpkTag>(active.key.wrapped, {KeyKind::own_tpk, {}, active.key.id}).value(),
      to_string(Bytes(active.key.id)),
      {}};
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), stolen).has_value());
  EXPECT_EQ(rule(), "mode1_d");
}

TEST_F(Mode3, KMS_8_EachOwnerHasTpksOfItsOwn) {
  SharedTpk of_alice = admin->share_tpk(operator_caller, kAlice).value();
  const mikey::TicketProtection protection{
      std::move(of_alice.key), to_string(Bytes(of_alice.id)), {}};
  EXPECT_NE(protection.id, shared.id);
  EXPECT_FALSE(issue_and_resolve(policy_of_mrfc(), protection).has_value());
  EXPECT_EQ(rule(), "mode3_initiator");
}

TEST_F(Mode3, RefusesATicketThatNamesAnotherKms) {
  mikey::TicketPolicy elsewhere = policy_of_mrfc();
  elsewhere.idr_kms = mikey::Identity::uri("sip:kms@elsewhere.example");
  EXPECT_FALSE(issue_and_resolve(elsewhere, shared).has_value());
  EXPECT_EQ(rule(), "other_kms");
}

}  // namespace
}  // namespace keystub::kms
