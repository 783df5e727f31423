// The policy as data: which rule decides, what it allows, and that a change counts at once.
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using mikey::TicketFlag;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class PolicyTest : public KmsFixture {
 protected:
  static constexpr const char* kTeam = "sip:team@example.com";

  static PolicyRule rule_for(RuleScope scope, std::string subject = {}) {
    PolicyRule rule;
    rule.scope = scope;
    rule.subject = std::move(subject);
    return rule;
  }
  void set(const PolicyRule& rule) {
    const auto done = policy_admin->set(operator_caller, rule);
    ASSERT_TRUE(done.has_value()) << done.error().text();
  }
  std::string field(const char* name) const { return audit_lines().back().value(name, ""); }
  // How long the ticket is valid that alice gets without a wish.
  std::chrono::seconds validity() {
    mikey::TicketPolicy open = wish({kBob});
    open.tre.reset();
    const auto granted = request(kAlice, open);
    if (!granted) throw std::runtime_error(granted.error().describe());
    return std::chrono::round<std::chrono::seconds>(granted->policy.tre->to_wall_time() -
                                                    clock.now());
  }
};

TEST_F(PolicyTest, WithoutRulesTheConfigurationDecides) {
  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(field("policy"), "configuration");
}

TEST_F(PolicyTest, ANewConfigurationDecidesFromThenOn) {
  EXPECT_EQ(validity(), 24h);
  policy_settings.default_validity = 2h;
  policy->configure(policy_settings);
  EXPECT_EQ(validity(), 2h);
  policy_settings.max_validity = 1h;
  policy->configure(policy_settings);
  EXPECT_EQ(validity(), 1h);
}

TEST_F(PolicyTest, TheMostSpecificRuleThatSetsAValueDecidesIt) {
  const auto with_default = [](PolicyRule rule, std::chrono::milliseconds time) {
    rule.default_validity = time;
    return rule;
  };
  ASSERT_TRUE(admin->create(operator_caller, kTeam, IdentityKind::group, {}).has_value());
  ASSERT_TRUE(admin->create(operator_caller, "sip:a-team@example.com", IdentityKind::group, {}));
  for (const char* group : {kTeam, "sip:a-team@example.com"}) {
    ASSERT_TRUE(admin->add_member(operator_caller, group, kAlice).has_value());
  }
  EXPECT_EQ(validity(), 24h);
  set(with_default(rule_for(RuleScope::everybody), 5h));
  EXPECT_EQ(validity(), 5h);
  EXPECT_EQ(field("policy"), "default");
  set(with_default(rule_for(RuleScope::domain, "EXAMPLE.com"), 4h));
  EXPECT_EQ(validity(), 4h);
  EXPECT_EQ(field("policy"), "domain example.com");
  set(with_default(rule_for(RuleScope::group, kTeam), 3h));
  EXPECT_EQ(validity(), 3h);
  set(with_default(rule_for(RuleScope::group, "sip:a-team@example.com"), 2h));
  EXPECT_EQ(validity(), 2h) << "groups in the order of their names";
  EXPECT_EQ(field("policy"), "group sip:a-team@example.com");
  set(with_default(rule_for(RuleScope::identity, kAlice), 1h));
  EXPECT_EQ(validity(), 1h);
  EXPECT_EQ(field("policy"), std::string("identity ") + kAlice);
  // A rule that leaves the value open leaves it to the next.
  set(rule_for(RuleScope::identity, kAlice));
  EXPECT_EQ(validity(), 2h);
  ASSERT_TRUE(policy_admin->remove(operator_caller, RuleScope::domain, "example.com"));
  ASSERT_TRUE(admin->suspend(operator_caller, kTeam).has_value());
  ASSERT_TRUE(admin->remove_member(operator_caller, "sip:a-team@example.com", kAlice));
  EXPECT_EQ(validity(), 5h) << "a suspended group has no members";
}

TEST_F(PolicyTest, KMS_1_LimitsWhomOneMayRequestFor) {
  PolicyRule rule = rule_for(RuleScope::domain, "example.com");
  rule.responders = {kBob, "sip:*@partner.example"};
  set(rule);
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  EXPECT_TRUE(request(kAlice, wish({kBob, "sip:x@partner.example"})).has_value());
  EXPECT_TRUE(request(kAlice, wish({"sip:*@partner.example"})).has_value());
  for (const char* other : {kCarol, "sip:*@example.com", "*", "sip:b*@partner.example"}) {
    EXPECT_FALSE(request(kAlice, wish({kBob, other})).has_value()) << other;
    EXPECT_EQ(field("rule"), "responder");
    EXPECT_EQ(field("policy"), "domain example.com");
    EXPECT_EQ(error_no(), mikey::ErrorNo::invalid_id);
  }
  rule.responders = PolicyRule::List{};
  set(rule);
  EXPECT_FALSE(request(kAlice, wish({kBob})).has_value()) << "an empty list allows nobody";
}

TEST_F(PolicyTest, KMS_2_LimitsWhoseTicketsOneMayResolve) {
  const auto made = offer_to({kBob});
  PolicyRule rule = rule_for(RuleScope::identity, kBob);
  rule.initiators = {kCarol};
  set(rule);
  EXPECT_FALSE(resolve(kBob, made.message()).has_value());
  EXPECT_EQ(field("rule"), "initiator");
  EXPECT_EQ(field("policy"), std::string("identity ") + kBob);
  rule.initiators = {"sip:*@example.com"};
  set(rule);
  EXPECT_TRUE(resolve(kBob, made.message()).has_value());
  EXPECT_EQ(field("policy"), std::string("identity ") + kBob);
}

TEST_F(PolicyTest, LimitsTypeSuiteForkingReuseKeysValidityAndApplication) {
  PolicyRule rule = rule_for(RuleScope::everybody);
  rule.ticket_types = {kTicketType3gpp};
  rule.suites = {kSuite256Bit};
  rule.require_forking = true;
  rule.allow_reuse = false;
  rule.max_keys = 1;
  rule.max_validity = 30min;
  rule.applications = {"msrp"};
  set(rule);
  const auto refused = [&](mikey::TicketPolicy broken) {
    EXPECT_FALSE(request(kAlice, std::move(broken)).has_value());
    EXPECT_EQ(field("policy"), "default");
    return field("rule");
  };
  mikey::TicketPolicy broken = wish({kBob});
  broken.type = mikey::kMikeyBaseTicket;
  EXPECT_EQ(refused(broken), "ticket_type");
  broken = wish({kBob});
  broken.flags = broken.flags.with(TicketFlag::i_forking, false);
  EXPECT_EQ(refused(broken), "forking");
  broken = wish({kBob});
  broken.idr_app = {mikey::Identity::byte_string("msrp")};
  broken.keys.push_back(broken.keys[0]);
  broken.keys[1].spi = {9, 9, 9, 9};
  EXPECT_EQ(refused(broken), "keys");
  broken = wish({kBob});
  broken.idr_app = {mikey::Identity::byte_string("bfcp")};
  EXPECT_EQ(refused(broken), "application");
  // Without one it would be for all of them, RFC 6043 6.10.
  EXPECT_EQ(refused(wish({kBob})), "application");

  mikey::TicketPolicy right = wish({kBob});
  right.idr_app = {mikey::Identity::byte_string("msrp")};
  right.flags = right.flags.with(TicketFlag::j_reusable);
  const auto granted = request(kAlice, right);
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_FALSE(granted->policy.flags.has(TicketFlag::j_reusable));
  EXPECT_TRUE(granted->policy.flags.has(TicketFlag::k_changed));
  EXPECT_LE(granted->policy.tre->to_wall_time(), clock.now() + 30min + 1s);
}

TEST_F(PolicyTest, KMS_8_Mode3CanBeTakenAwayFromTheIssuer) {
  SharedTpk tpk = admin->share_tpk(operator_caller, kAlice).value();
  mikey::TicketPolicy own = wish({kBob});
  own.flags = mikey::kMode3Flags;
  auto ticket =
      mikey::issue_ticket(env(), own, {std::move(tpk.key), to_string(Bytes(tpk.id)), {}}).value();
  const auto made =
      offer(std::make_shared<const mikey::GrantedTicket>(std::move(ticket)), kAlice, kBob).value();
  EXPECT_TRUE(resolve(kBob, made.message()).has_value());
  PolicyRule rule = rule_for(RuleScope::identity, kAlice);
  rule.allow_mode3 = false;
  set(rule);
  EXPECT_FALSE(resolve(kBob, made.message()).has_value());
  EXPECT_EQ(field("rule"), "mode3");
  EXPECT_EQ(field("policy"), std::string("identity ") + kAlice);
  rule.allow_mode3.reset();
  rule.responders = {kCarol};
  set(rule);
  EXPECT_FALSE(resolve(kBob, made.message()).has_value())
      << "the issuer keeps to its own responders";
  EXPECT_EQ(field("rule"), "responder");
}

TEST_F(PolicyTest, RefusesRulesThatMakeNoSense) {
  const auto refused = [&](const PolicyRule& rule) {
    const auto done = policy_admin->set(operator_caller, rule);
    EXPECT_FALSE(done.has_value());
    EXPECT_EQ(field("operation"), "admin.set_policy_rule");
    EXPECT_EQ(field("decision"), "refused");
    return done ? std::string() : done.error().describe();
  };
  PolicyRule rule = rule_for(RuleScope::everybody, "sip:a@x");
  EXPECT_THAT(refused(rule), HasSubstr("no subject"));
  EXPECT_THAT(refused(rule_for(RuleScope::domain, "a@x")), HasSubstr("domain"));
  EXPECT_THAT(refused(rule_for(RuleScope::identity, "sip:nobody@example.com")),
              HasSubstr("no identity"));
  rule = rule_for(RuleScope::everybody);
  rule.responders = {"bob"};
  EXPECT_THAT(refused(rule), HasSubstr("responders"));
  rule = rule_for(RuleScope::everybody);
  rule.suites = {"64-bit"};
  EXPECT_THAT(refused(rule), HasSubstr("128-bit"));
  rule = rule_for(RuleScope::everybody);
  rule.max_keys = 0;
  EXPECT_THAT(refused(rule), HasSubstr("max_keys"));
  rule = rule_for(RuleScope::everybody);
  rule.max_validity = 1h;
  rule.default_validity = 2h;
  EXPECT_THAT(refused(rule), HasSubstr("longer"));
}

TEST_F(PolicyTest, ExplainSaysWhatWouldBeGrantedAndWhichRuleDecides) {
  PolicyRule rule = rule_for(RuleScope::domain, "example.com");
  rule.max_validity = 1h;
  rule.responders = {kBob, kCarol};
  set(rule);
  rule = rule_for(RuleScope::identity, kCarol);
  rule.initiators = PolicyRule::List{};
  set(rule);

  clock.advance(345ms);
  const Explanation bob = policy_admin->explain(kAlice, "SIP:bob@EXAMPLE.com").value();
  EXPECT_TRUE(bob.request.granted);
  EXPECT_EQ(bob.request.rule, "domain example.com");
  EXPECT_EQ(bob.validity, 1h);
  ASSERT_TRUE(bob.resolve.has_value());
  EXPECT_TRUE(bob.resolve->granted);
  const auto setting = std::ranges::find(bob.settings, "max_keys", &Explanation::Setting::name);
  ASSERT_NE(setting, bob.settings.end());
  EXPECT_EQ(setting->rule, "configuration");

  const Explanation carol = policy_admin->explain(kAlice, kCarol).value();
  EXPECT_TRUE(carol.request.granted);
  ASSERT_TRUE(carol.resolve.has_value());
  EXPECT_FALSE(carol.resolve->granted);
  EXPECT_EQ(carol.resolve->rule, std::string("identity ") + kCarol);
  EXPECT_EQ(carol.resolve->check, "initiator");

  const Explanation anybody = policy_admin->explain(kAlice, "*").value();
  EXPECT_FALSE(anybody.request.granted);
  EXPECT_EQ(anybody.request.check, "responder");
  EXPECT_EQ(policy_admin->explain("sip:nobody@example.com", kBob).error().category(),
            Category::not_found);
}

}  // namespace
}  // namespace keystub::kms
