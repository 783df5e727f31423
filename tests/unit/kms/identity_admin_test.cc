// What an operator may do, and what is refused with a sentence that helps.
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using ::testing::HasSubstr;

class IdentityAdminTest : public KmsFixture {
 protected:
  static constexpr const char* kDave = "sip:dave@example.com";
  NewPsk psk_of(std::size_t octets, std::string_view id = {}) {
    return {to_vector(as_bytes(id)), random.secret<PskTag>(octets).value()};
  }
};

TEST_F(IdentityAdminTest, CreatesAnIdentityUnderItsCanonicalUri) {
  const auto created =
      admin->create(operator_caller, "SIP:dave@EXAMPLE.com", IdentityKind::as, psk_of(16));
  ASSERT_TRUE(created.has_value()) << created.error().text();
  EXPECT_EQ(created->uri, kDave);
  ASSERT_EQ(created->psks.size(), 1U);
  EXPECT_EQ(as_text(created->psks[0].id), kDave) << "without an id, the URI is the id";
  EXPECT_EQ(admin->get("sip:dave@Example.Com").value().kind, IdentityKind::as);
}

TEST_F(IdentityAdminTest, RefusesKeysOfTheWrongLengthAndNamesTheLimits) {
  for (const std::size_t octets : {1U, 15U, 65U}) {
    const auto refused = admin->create(operator_caller, kDave, IdentityKind::user, psk_of(octets));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().category(), Category::malformed);
    EXPECT_THAT(refused.error().text(), HasSubstr("16 to 64"));
  }
  EXPECT_EQ(admin->get(kDave).error().category(), Category::not_found) << "nothing was made";
  const auto long_id = admin->set_psk(operator_caller, kAlice, psk_of(32, std::string(256, 'i')));
  EXPECT_EQ(long_id.error().category(), Category::malformed);
  EXPECT_TRUE(admin->create(operator_caller, kDave, IdentityKind::user, psk_of(64)).has_value());
}

TEST_F(IdentityAdminTest, RefusesAUriThatNamesNobodyAndSaysWhy) {
  const auto refused = admin->create(operator_caller, "dave", IdentityKind::user, std::nullopt);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().text(), HasSubstr("scheme"));
  EXPECT_EQ(admin->get("dave").error().category(), Category::malformed);
  EXPECT_EQ(admin->suspend(operator_caller, kDave).error().category(), Category::not_found);
}

TEST_F(IdentityAdminTest, KeysAreWrappedAtRest) {
  const Psk& key = psks.at(kAlice);
  const std::string database =
      testing::TempDir::read(folder / "kms.db") + testing::TempDir::read(folder / "kms.db-wal");
  EXPECT_EQ(database.find(as_text(key.reveal())), std::string::npos);
  EXPECT_NE(database.find(kAlice), std::string::npos) << "it is the right file";
}

TEST_F(IdentityAdminTest, ListsInPagesWithinALimit) {
  const auto page = admin->list("sip:", "", 2).value();
  EXPECT_EQ(page.identities.size(), 2U);
  EXPECT_TRUE(page.more);
  EXPECT_EQ(admin->list("", "", 0).value().identities.size(), 3U);
  EXPECT_EQ(admin->list("", "", kMaxPageSize + 1).error().category(), Category::malformed);
}

TEST_F(IdentityAdminTest, KMS_8_SharesATpkOnceAndTakesItBack) {
  const auto first = admin->share_tpk(operator_caller, kAlice);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->key.size(), kTpkOctets);
  const auto second = admin->share_tpk(operator_caller, kAlice);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(first->id, second->id);
  EXPECT_EQ(admin->unshare_tpk(operator_caller, kAlice, first->id).value(), 1U);
  EXPECT_EQ(admin->unshare_tpk(operator_caller, kAlice, first->id).error().category(),
            Category::not_found);
  EXPECT_EQ(admin->unshare_tpk(operator_caller, kAlice, {}).value(), 1U);
}

TEST_F(IdentityAdminTest, EveryChangeAndEveryRefusalLeavesAnAuditLineWithoutSecrets) {
  Psk key = random.secret<PskTag>(32).value();
  const std::string key_hex = to_hex(key.reveal());
  ASSERT_TRUE(admin->set_psk(operator_caller, kAlice, {{}, std::move(key)}).has_value());
  auto line = audit_lines().back();
  EXPECT_EQ(line["operation"], "admin.set_psk");
  EXPECT_EQ(line["identity"], kAlice);
  EXPECT_EQ(line["caller"], "uid:0");
  EXPECT_EQ(line["decision"], "granted");
  EXPECT_EQ(testing::TempDir::read(folder / "audit").find(key_hex), std::string::npos);

  EXPECT_FALSE(admin->remove(operator_caller, kDave).has_value());
  line = audit_lines().back();
  EXPECT_EQ(line["operation"], "admin.delete_identity");
  EXPECT_EQ(line["decision"], "refused");
  EXPECT_EQ(line["rule"], "not_found");
  const auto lines = audit_lines();
  EXPECT_TRUE(line.contains("request_id"));
  EXPECT_NE(line["request_id"], lines[lines.size() - 2]["request_id"]);
}

TEST_F(IdentityAdminTest, WhereTheKmsGoesOnWithoutItsAuditAChangeIsAcknowledged) {
  audit_options.path = "/dev/full";
  audit_options.needed = false;
  restart();
  EXPECT_TRUE(admin->create(operator_caller, kDave, IdentityKind::user, psk_of(16)).has_value());
}

TEST_F(IdentityAdminTest, AChangeThatCannotBeAuditedIsNotAcknowledged) {
  audit_options.path = "/dev/full";
  restart();
  const auto suspended = admin->suspend(operator_caller, kAlice);
  ASSERT_FALSE(suspended.has_value());
  EXPECT_EQ(suspended.error().category(), Category::unavailable);
  EXPECT_THAT(suspended.error().text(), HasSubstr("the change is made"));
  // From now on it is known that the audit cannot be written.
  const auto later = admin->suspend(operator_caller, kBob);
  ASSERT_FALSE(later.has_value());
  EXPECT_THAT(later.error().text(), HasSubstr("nothing is changed"));
  EXPECT_EQ(admin->get(kBob).value().state, IdentityState::active);
}

}  // namespace
}  // namespace keystub::kms
