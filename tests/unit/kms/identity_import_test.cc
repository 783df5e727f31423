// Bulk import: a batch is there whole or not at all, once, and the audit knows.
#include "kms-server/identity_import.h"

#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class IdentityImportTest : public KmsFixture {
 protected:
  IdentityImportTest()
      : importer(std::make_unique<IdentityImport>(AdminParts{*store, kek, *audit, clock, random},
                                                  kTimeout)) {}

  static std::string user(std::uint64_t number) {
    return "sip:user" + std::to_string(number) + "@example.com";
  }
  // Of lines 10 * number + 1 and so on.
  NewIdentityBatch batch(std::uint64_t number, std::size_t size = 3) {
    NewIdentityBatch out;
    out.import_id = id;
    out.number = number;
    for (std::size_t i = 0; i < size; ++i) {
      NewIdentity one;
      one.line = 10 * number + i + 1;
      one.uri = user(one.line);
      one.psks.push_back({{}, random.secret<PskTag>(32).value()});
      out.identities.push_back(std::move(one));
    }
    return out;
  }
  Result<ImportOutcome> import_batch(NewIdentityBatch batch) {
    return importer->import_batch(operator_caller, std::move(batch));
  }
  std::size_t identities() { return admin->list("sip:user", "", 1000).value().identities.size(); }

  std::string id = std::string(kImportIdSize, 'a');
  std::unique_ptr<IdentityImport> importer;
};

TEST_F(IdentityImportTest, KMS_1_MakesIdentitiesWithAllThatBelongsToThem) {
  NewIdentityBatch first = batch(0, 2);
  NewIdentity& team = first.identities[0];
  team.uri = "sip:Team@Example.COM";
  team.kind = IdentityKind::group;
  team.psks.clear();
  NewIdentity& mrfc = first.identities[1];
  mrfc.uri = "sip:mrfc@EXAMPLE.com";
  mrfc.kind = IdentityKind::mrfc;
  mrfc.state = IdentityState::suspended;
  mrfc.aliases = {"tel:+49-89-123"};
  mrfc.owned_patterns = {"sip:conf-*@Example.com"};
  mrfc.groups = {"sip:Team@example.com"};
  Psk key = random.secret<PskTag>(16).value();
  const Psk copy = key.clone();
  mrfc.psks.push_back({ByteVector{0, 1}, std::move(key), clock.now() + std::chrono::hours(1)});

  const auto outcome = import_batch(std::move(first));
  ASSERT_TRUE(outcome.has_value()) << outcome.error().text();
  EXPECT_EQ(outcome->created, 2U);
  EXPECT_EQ(outcome->next_batch, 1U);
  const Identity made = admin->get("sip:mrfc@example.com").value();
  EXPECT_EQ(made.kind, IdentityKind::mrfc);
  EXPECT_EQ(made.state, IdentityState::suspended);
  EXPECT_THAT(made.aliases, ElementsAre("tel:+4989123"));
  EXPECT_THAT(made.owned_patterns, ElementsAre("sip:conf-*@example.com"));
  ASSERT_EQ(made.groups.size(), 1U);
  EXPECT_EQ(made.groups[0].group, "sip:Team@example.com");
  ASSERT_EQ(made.psks.size(), 2U);
  EXPECT_EQ(made.psks[0].expires, clock.now() + std::chrono::hours(1));
  const auto open = keys->find_identity("tel:+4989123", Deadline::in(kTimeout)).value();
  EXPECT_NE(open->psk(ByteVector{0, 1}, clock.now()), nullptr);
  const auto unwrapped =
      kek.unwrap<PskTag>(made.psks[0].wrapped, {KeyKind::psk, made.uri, made.psks[0].id});
  EXPECT_EQ(unwrapped.value(), copy);
}

TEST_F(IdentityImportTest, ABatchWithABadRecordLeavesNothingAndNamesIt) {
  ASSERT_TRUE(import_batch(batch(0)).has_value());
  const auto refused = [&](auto&& spoil) {
    NewIdentityBatch bad = batch(1);
    spoil(bad.identities[2]);
    const auto outcome = import_batch(std::move(bad));
    EXPECT_FALSE(outcome.has_value());
    EXPECT_EQ(identities(), 3U);
    EXPECT_EQ(importer->resume(operator_caller, id, false).value(), 1U);
    return outcome ? Error(Category::internal, "") : outcome.error();
  };
  const Error taken = refused([&](NewIdentity& one) { one.uri = user(2); });
  EXPECT_EQ(taken.category(), Category::conflict);
  EXPECT_THAT(taken.text(),
              AllOf(HasSubstr("line 13, sip:user2@example.com"), HasSubstr("already")));
  EXPECT_THAT(refused([](NewIdentity& one) { one.uri = "user"; }).text(),
              AllOf(HasSubstr("line 13"), HasSubstr("scheme")));
  EXPECT_THAT(refused([&](NewIdentity& one) { one.aliases = {user(1)}; }).text(),
              AllOf(HasSubstr("line 13"), HasSubstr("alias sip:user1@example.com")));
  EXPECT_THAT(
      refused([](NewIdentity& one) { one.owned_patterns = {"sip:u*r1@example.com"}; }).text(),
      AllOf(HasSubstr("line 13"), HasSubstr("covers sip:user1@example.com")));
  EXPECT_THAT(refused([](NewIdentity& one) { one.groups = {"sip:team@example.com"}; }).text(),
              AllOf(HasSubstr("group sip:team@example.com"), HasSubstr("in front of its members")));
  EXPECT_THAT(refused([this](NewIdentity& one) {
                one.psks.push_back({{}, random.secret<PskTag>(8).value()});
              }).text(),
              AllOf(HasSubstr("line 13"), HasSubstr("psks"), HasSubstr("16 to 64")));
  EXPECT_THAT(refused([this](NewIdentity& one) {
                one.psks.push_back({{}, random.secret<PskTag>(32).value()});
              }).text(),
              HasSubstr("the same id"));
  EXPECT_THAT(
      refused([](NewIdentity& one) { one.aliases.assign(kMaxAliases + 1, "tel:+491"); }).text(),
      AllOf(HasSubstr("aliases"), HasSubstr("16")));
  EXPECT_EQ(import_batch(batch(1)).value().next_batch, 2U) << "it goes on where it was";
}

TEST_F(IdentityImportTest, ABatchThatIsDoneIsAcknowledgedAgainAndChangesNothing) {
  ASSERT_TRUE(import_batch(batch(0)).has_value());
  const std::uint64_t before = admin->get(user(1)).value().change_sequence;
  const auto again = import_batch(batch(0)).value();
  EXPECT_TRUE(again.done_before);
  EXPECT_EQ(again.created, 0U);
  EXPECT_EQ(again.next_batch, 1U);
  EXPECT_EQ(admin->get(user(1)).value().change_sequence, before);
  const auto early = import_batch(batch(2));
  EXPECT_EQ(early.error().category(), Category::conflict);
  EXPECT_THAT(early.error().text(), HasSubstr("batch 1"));
}

TEST_F(IdentityImportTest, ExistingIdentitiesStayAsTheyAreWhenTheyAreToBeSkipped) {
  const ByteVector before = admin->get(kAlice).value().psks[0].wrapped;
  NewIdentityBatch some = batch(0);
  some.identities[1].uri = kAlice;
  some.identities[1].state = IdentityState::suspended;
  some.skip_existing = true;
  const auto outcome = import_batch(std::move(some)).value();
  EXPECT_EQ(outcome.created, 2U);
  EXPECT_EQ(outcome.skipped, 1U);
  EXPECT_EQ(admin->get(kAlice).value().psks[0].wrapped, before);
  EXPECT_EQ(admin->get(kAlice).value().state, IdentityState::active);
}

TEST_F(IdentityImportTest, BeginsAgainWhenItIsToldTo) {
  ASSERT_TRUE(import_batch(batch(0)).has_value());
  ASSERT_TRUE(admin->remove(operator_caller, user(1)).has_value());
  EXPECT_EQ(importer->resume(operator_caller, id, true).value(), 0U);
  NewIdentityBatch again = batch(0);
  again.skip_existing = true;
  EXPECT_EQ(import_batch(std::move(again)).value().created, 1U);
  EXPECT_EQ(importer->resume(operator_caller, "id", false).error().category(), Category::malformed);
}

TEST_F(IdentityImportTest, RemembersTheNewest64Imports) {
  const auto import_number = [](int number) {
    return to_hex(ByteVector(kImportIdSize / 2, static_cast<std::uint8_t>(number)));
  };
  for (int i = 0; i < 66; ++i) {
    clock.advance(std::chrono::seconds(1));
    NewIdentityBatch one = batch(0, 1);
    one.import_id = import_number(i);
    one.identities[0].uri = user(static_cast<std::uint64_t>(i));
    ASSERT_TRUE(import_batch(std::move(one)).has_value());
  }
  EXPECT_EQ(importer->resume(operator_caller, import_number(1), false).value(), 0U);
  EXPECT_EQ(importer->resume(operator_caller, import_number(2), false).value(), 1U);
  EXPECT_EQ(importer->resume(operator_caller, import_number(65), false).value(), 1U);
}

TEST_F(IdentityImportTest, EveryBatchLeavesOneAuditLineWithoutKeys) {
  NewIdentityBatch first = batch(0);
  const std::string key = to_hex(first.identities[0].psks[0].key.reveal());
  ASSERT_TRUE(import_batch(std::move(first)).has_value());
  ASSERT_TRUE(import_batch(batch(0)).has_value());
  NewIdentityBatch bad = batch(1);
  bad.identities[0].uri = kAlice;
  ASSERT_FALSE(import_batch(std::move(bad)).has_value());

  const auto lines = audit_lines();
  ASSERT_GE(lines.size(), 3U);
  const auto& made = lines[lines.size() - 3];
  EXPECT_EQ(made["operation"], "admin.import_identities");
  EXPECT_EQ(made["identity"], id);
  EXPECT_EQ(made["detail"], "batch 0: 3 created, 0 skipped");
  EXPECT_EQ(lines[lines.size() - 2]["detail"], "batch 0: done before");
  EXPECT_THAT(lines.back()["reason"].get<std::string>(), HasSubstr("line 11"));
  const std::string text = testing::TempDir::read(folder / "audit");
  EXPECT_THAT(text, Not(HasSubstr(key)));
}

TEST_F(IdentityImportTest, RefusesBatchesOfNoneAndOfTooMany) {
  EXPECT_EQ(import_batch(batch(0, 0)).error().category(), Category::malformed);
  const auto many = import_batch(batch(0, kMaxImportBatch + 1));
  EXPECT_THAT(many.error().text(), HasSubstr("1 to 1000"));
}

TEST_F(IdentityImportTest, GroupsAreListedAlone) {
  for (const char* uri : {"sip:g1@example.com", "sip:g2@example.com", "sip:h@example.com"}) {
    ASSERT_TRUE(admin->create(operator_caller, uri, IdentityKind::group, {}).has_value());
  }
  const auto page = admin->list_groups("sip:g", "", 1).value();
  ASSERT_EQ(page.identities.size(), 1U);
  EXPECT_TRUE(page.more);
  EXPECT_EQ(admin->list_groups("sip:g", "sip:g1@example.com", 5).value().identities[0].uri,
            "sip:g2@example.com");
}

}  // namespace
}  // namespace keystub::kms
