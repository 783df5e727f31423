// Who a sender may be: several URIs, owned URIs, keys that end, groups and wildcards; and that a
// change counts from its acknowledgement on.
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

class IdentityNames : public KmsFixture {
 protected:
  static constexpr const char* kMrfc = "sip:mrfc@example.com";
  static constexpr const char* kConference = "sip:conf-17@example.com";
  static constexpr const char* kTel = "tel:+4989123456";
  static constexpr const char* kTeam = "sip:team@example.com";

  // As `who`, with the key of `uri`.
  Result<mikey::GrantedTicket> request_as(const char* who, const char* uri,
                                          std::vector<std::string> responders = {kBob},
                                          std::string psk_id = {}) {
    mikey::KmsCredentials own = credentials(uri);
    own.self = mikey::Identity::uri(who);
    if (!psk_id.empty()) own.psk_id = std::move(psk_id);
    const auto exchange =
        TRY(mikey::TicketRequest::start(env(), own, wish_of(who, std::move(responders))));
    last_answer = ask(exchange.message());
    if (!last_answer) return fail(last_answer.error().category, last_answer.error().reason);
    return exchange.finish(*last_answer);
  }
  std::string rule() const { return audit_lines().back()["rule"]; }
  Result<mikey::ResolvedTicket> resolve_for(const char* responder, std::vector<std::string> named) {
    const auto made = offer_to(std::move(named));
    return resolve(responder, made.message());
  }
  void make_team() {
    ASSERT_TRUE(admin->create(operator_caller, kTeam, IdentityKind::group, {}).has_value());
    ASSERT_TRUE(admin->add_member(operator_caller, kTeam, kBob).has_value());
  }
};

// KMS-1: the granted IDRi is one that the sender authenticated as.
TEST_F(IdentityNames, KMS_1_ASenderRequestsUnderEachOfItsUris) {
  EXPECT_FALSE(request_as(kTel, kAlice).has_value());
  EXPECT_EQ(rule(), "unknown");
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, "tel:+49-89-123456").has_value());
  const auto granted = request_as(kTel, kAlice);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_EQ(granted->policy.idr_i, mikey::Identity::uri(kTel));
  EXPECT_TRUE(request_as(kTel, kAlice).has_value()) << "from the cache";
  ASSERT_TRUE(admin->remove_alias(operator_caller, kAlice, kTel).has_value());
  EXPECT_FALSE(request_as(kTel, kAlice).has_value()) << "from the acknowledgement on";
  ASSERT_TRUE(admin->add_alias(operator_caller, kBob, kTel).has_value());
  EXPECT_FALSE(request_as(kTel, kAlice).has_value()) << "it is bob's now";
}

// MRFC-I3: under its own identity, or a conference URI that it owns; never as the UE.
TEST_F(IdentityNames, MRFC_I3_AnMrfcRequestsUnderAConferenceUriThatItOwns) {
  add(kMrfc, IdentityKind::mrfc);
  EXPECT_FALSE(request_as(kConference, kMrfc).has_value());
  ASSERT_TRUE(admin->add_pattern(operator_caller, kMrfc, "sip:conf-*@example.com").has_value());
  const auto granted = request_as(kConference, kMrfc);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_EQ(granted->policy.idr_i, mikey::Identity::uri(kConference));
  EXPECT_EQ(audit_lines().back()["identity"], kMrfc) << "the audit names the owner";
  EXPECT_TRUE(request_as(kConference, kMrfc).has_value()) << "from the cache";
  EXPECT_FALSE(request_as(kAlice, kMrfc).has_value()) << "it never acts as the UE";
  EXPECT_FALSE(request_as("sip:other@example.com", kMrfc).has_value());
  ASSERT_TRUE(admin->remove_pattern(operator_caller, kMrfc, "sip:conf-*@example.com").has_value());
  EXPECT_FALSE(request_as(kConference, kMrfc).has_value()) << "from the acknowledgement on";
}

TEST_F(IdentityNames, MRFC_I3_AWishForSomebodyElsesConferenceIsRefused) {
  add(kMrfc, IdentityKind::mrfc);
  ASSERT_TRUE(admin->add_pattern(operator_caller, kMrfc, "sip:conf-*@example.com").has_value());
  EXPECT_FALSE(request(kAlice, wish_of(kConference, {kBob})).has_value());
  EXPECT_EQ(rule(), "initiator");
  (void)request(kMrfc, wish_of(kConference, {kBob}));
  EXPECT_EQ(rule(), "granted") << "the initiator itself insists on the identity it asked under";
}

TEST_F(IdentityNames, KMS_5_TheOwnerOfAConferenceUriResolvesForIt) {
  add(kMrfc, IdentityKind::mrfc);
  ASSERT_TRUE(admin->add_pattern(operator_caller, kMrfc, "sip:conf-*@example.com").has_value());
  const auto resolved = resolve_for(kMrfc, {kConference});
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(kConference));
}

// GBA: the B-TID names the key, the key ends.
TEST_F(IdentityNames, AnExpiredKeyIsAsIfItWereNotThere) {
  const std::string b_tid = std::string("\x01\x02", 2) + "@bsf.example.com";
  Psk key = random.secret<PskTag>(32).value();
  psks[kAlice] = key.clone();
  ASSERT_TRUE(admin
                  ->set_psk(operator_caller, kAlice,
                            {to_vector(as_bytes(b_tid)), std::move(key), clock.now() + 30s})
                  .has_value());
  ASSERT_TRUE(request_as(kAlice, kAlice, {kBob}, b_tid).has_value());
  clock.advance(29s);
  ASSERT_TRUE(request_as(kAlice, kAlice, {kBob}, b_tid).has_value());
  clock.advance(1s);
  EXPECT_FALSE(request_as(kAlice, kAlice, {kBob}, b_tid).has_value()) << "also from the cache";
  const Refusal expired = last_answer.error();
  EXPECT_EQ(rule(), "unknown");
  EXPECT_FALSE(request_as(kAlice, kAlice, {kBob}, "no such key").has_value());
  EXPECT_EQ(expired.category, last_answer.error().category);
  EXPECT_EQ(expired.reason, last_answer.error().reason);
  EXPECT_TRUE(expired.mikey_error.empty());
}

TEST_F(IdentityNames, AKeyThatHasEndedIsRefusedFromTheOperator) {
  const auto refused = admin->set_psk(operator_caller, kAlice,
                                      {{}, random.secret<PskTag>(32).value(), clock.now() - 1s});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::malformed);
}

TEST_F(IdentityNames, AKeyThatWasSetUnderAnAliasOpens) {
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, kTel).has_value());
  Psk key = random.secret<PskTag>(32).value();
  psks[kAlice] = key.clone();
  ASSERT_TRUE(admin->set_psk(operator_caller, kTel, {{}, std::move(key)}).has_value());
  EXPECT_TRUE(request_as(kAlice, kAlice).has_value());
}

// KMS-7: whatever is wrong takes the same look-ups.
TEST_F(IdentityNames, KMS_7_UnknownIdentityUnknownKeyAndWrongKeyCostTheSameLookUps) {
  const auto look_ups = [&](const char* who, const std::string& psk_id) {
    const std::size_t before = store->look_ups();
    EXPECT_FALSE(request_as(who, kCarol, {kBob}, psk_id).has_value());
    return store->look_ups() - before;
  };
  ASSERT_TRUE(admin
                  ->set_psk(operator_caller, kAlice,
                            {to_vector(as_bytes("b-tid")), random.secret<PskTag>(32).value()})
                  .has_value());
  const std::size_t unknown = look_ups("sip:nobody@example.com", "no-such-id");
  EXPECT_EQ(look_ups(kAlice, "no-such-id"), unknown);
  EXPECT_EQ(look_ups(kAlice, "b-tid"), unknown);
  const std::size_t unknown_plain = look_ups("sip:nobody@example.com", "sip:nobody@example.com");
  EXPECT_EQ(look_ups(kAlice, kAlice), unknown_plain);
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, kTel).has_value());
  for (int time = 0; time < 3; ++time) EXPECT_EQ(look_ups(kTel, kTel), unknown_plain) << time;
}

// KMS-5
TEST_F(IdentityNames, KMS_5_AMemberResolvesForItsGroupAndIsNamedItself) {
  make_team();
  const auto resolved = resolve_for(kBob, {kTeam});
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(kBob)) << "never the group";
  EXPECT_EQ(audit_lines().back()["responder"], kBob);
  EXPECT_FALSE(resolve_for(kCarol, {kTeam}).has_value());
  EXPECT_EQ(rule(), "not_named");
}

TEST_F(IdentityNames, KMS_5_MembershipsCountFromTheirAcknowledgementOn) {
  make_team();
  EXPECT_TRUE(resolve_for(kBob, {kTeam}).has_value());
  ASSERT_TRUE(admin->suspend(operator_caller, kTeam).has_value());
  EXPECT_FALSE(resolve_for(kBob, {kTeam}).has_value()) << "the group is suspended";
  ASSERT_TRUE(admin->resume(operator_caller, kTeam).has_value());
  EXPECT_TRUE(resolve_for(kBob, {kTeam}).has_value());
  ASSERT_TRUE(admin->remove_member(operator_caller, kTeam, kBob).has_value());
  EXPECT_FALSE(resolve_for(kBob, {kTeam}).has_value());
  ASSERT_TRUE(admin->add_member(operator_caller, kTeam, kBob).has_value());
  EXPECT_TRUE(resolve_for(kBob, {kTeam}).has_value());
  ASSERT_TRUE(admin->remove(operator_caller, kTeam).has_value());
  ASSERT_TRUE(admin->create(operator_caller, kTeam, IdentityKind::group, {}).has_value());
  EXPECT_FALSE(resolve_for(kBob, {kTeam}).has_value()) << "a new group of this name is empty";
}

TEST_F(IdentityNames, AGroupHasNoKeysToActWith) {
  ASSERT_TRUE(admin->create(operator_caller, kTeam, IdentityKind::group, {}).has_value());
  NewPsk psk{{}, random.secret<PskTag>(32).value()};
  EXPECT_EQ(admin->set_psk(operator_caller, kTeam, {{}, psk.key.clone()}).error().category(),
            Category::conflict);
  EXPECT_EQ(admin->share_tpk(operator_caller, kTeam).error().category(), Category::conflict);
  EXPECT_EQ(admin
                ->create(operator_caller, "sip:other@example.com", IdentityKind::group,
                         NewPsk{{}, psk.key.clone()})
                .error()
                .category(),
            Category::conflict);
  EXPECT_FALSE(store->find("sip:other@example.com", Deadline::in(kTimeout)).has_value());
}

TEST_F(IdentityNames, KMS_5_AWildcardResolvesForItsDomainAndAnybodyForAll) {
  const auto domain = resolve_for(kBob, {"sip:*@example.com"});
  ASSERT_TRUE(domain.has_value()) << domain.error().describe();
  EXPECT_EQ(domain->idr_r, mikey::Identity::uri(kBob)) << "never the wildcard";
  EXPECT_FALSE(resolve_for(kBob, {"sip:*@elsewhere.example"}).has_value());
  const auto anybody = resolve_for(kCarol, {std::string(mikey::kAnyResponder)});
  ASSERT_TRUE(anybody.has_value()) << anybody.error().describe();
  EXPECT_EQ(anybody->idr_r, mikey::Identity::uri(kCarol));
}

TEST_F(IdentityNames, KMS_5_ALiteralUriGoesBeforeAWildcard) {
  ASSERT_TRUE(admin->add_alias(operator_caller, kBob, kTel).has_value());
  const auto resolved = resolve_for(kBob, {"sip:*@example.com", kTel});
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_EQ(resolved->idr_r, mikey::Identity::uri(kTel))
      << "the one of its own URIs that the ticket names literally";
}

TEST_F(IdentityNames, EveryChangeOfANameLeavesAnAuditLineThatNamesIt) {
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, kTel).has_value());
  auto line = audit_lines().back();
  EXPECT_EQ(line["operation"], "admin.add_alias");
  EXPECT_EQ(line["identity"], kAlice);
  EXPECT_EQ(line["detail"], kTel);
  EXPECT_FALSE(admin->add_pattern(operator_caller, kAlice, "sip:*@*").has_value());
  line = audit_lines().back();
  EXPECT_EQ(line["operation"], "admin.add_owned_pattern");
  EXPECT_EQ(line["decision"], "refused");
  EXPECT_EQ(line["detail"], "sip:*@*");
}

}  // namespace
}  // namespace keystub::kms
