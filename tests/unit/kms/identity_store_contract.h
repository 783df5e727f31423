// What every back end of IdentityStore promises. A back end instantiates this suite with a
// function that makes an empty store:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, IdentityStoreContract, ::testing::Values(&make_sqlite_store));
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>

#include "kms-server/identity_store.h"
#include "tests/support/fake_clock.h"

namespace keystub::kms {

// A store, and whatever it stands on.
struct StoreUnderTest {
  std::shared_ptr<void> ground;
  std::unique_ptr<IdentityStore> store;
};
using MakeStore = StoreUnderTest (*)(const Clock& clock);

class IdentityStoreContract : public ::testing::TestWithParam<MakeStore> {
 protected:
  static constexpr const char* kAlice = "sip:alice@example.com";
  static constexpr const char* kBob = "sip:bob@example.com";

  static Deadline soon() { return Deadline::in(std::chrono::seconds(20)); }
  static WrappedKey key(std::string_view id, std::string_view wrapped = "wrapped") {
    return {to_vector(as_bytes(id)), to_vector(as_bytes(wrapped))};
  }
  static WrappedPsk psk(std::string_view id, std::string_view wrapped = "wrapped",
                        std::optional<WallTime> expires = {}) {
    return {to_vector(as_bytes(id)), to_vector(as_bytes(wrapped)), expires};
  }
  static std::vector<std::string> ids(const auto& keys) {
    std::vector<std::string> out;
    out.reserve(keys.size());
    for (const auto& each : keys) out.push_back(to_string(Bytes(each.id)));
    return out;
  }
  static std::vector<std::string> uris(const IdentityPage& page) {
    std::vector<std::string> out;
    out.reserve(page.identities.size());
    for (const Identity& identity : page.identities) out.push_back(identity.uri);
    return out;
  }
  Identity make(const char* uri, std::optional<WrappedPsk> first = std::nullopt,
                IdentityKind kind = IdentityKind::user) {
    return store->create(uri, kind, std::move(first), soon()).value();
  }

  testing::FakeClock clock;
  StoreUnderTest under_test = GetParam()(clock);
  IdentityStore* store = under_test.store.get();
};

TEST_P(IdentityStoreContract, FindsWhatWasCreated) {
  const Identity created =
      store->create(kAlice, IdentityKind::mrfc, psk("alice-psk", "sealed"), soon()).value();
  const Identity found = store->find(kAlice, soon()).value();
  EXPECT_EQ(found.uri, kAlice);
  EXPECT_EQ(found.kind, IdentityKind::mrfc);
  EXPECT_EQ(found.state, IdentityState::active);
  ASSERT_EQ(found.psks.size(), 1U);
  EXPECT_EQ(as_text(found.psks[0].id), "alice-psk");
  EXPECT_EQ(as_text(found.psks[0].wrapped), "sealed");
  EXPECT_EQ(found.created, testing::kTestTime);
  EXPECT_EQ(found.change_sequence, created.change_sequence);
  EXPECT_EQ(store->find_by_psk_id(as_bytes("alice-psk"), soon()).value().uri, kAlice);
  EXPECT_EQ(store->find(kBob, soon()).error().category(), Category::not_found);
  EXPECT_EQ(store->find_by_psk_id(as_bytes("bob-psk"), soon()).error().category(),
            Category::not_found);
}

TEST_P(IdentityStoreContract, RefusesAUriOrAKeyIdThatIsTakenAndLeavesNothingBehind) {
  make(kAlice, psk("alice-psk"));
  EXPECT_EQ(store->create(kAlice, IdentityKind::user, {}, soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->create(kBob, IdentityKind::user, psk("alice-psk"), soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->find(kBob, soon()).error().category(), Category::not_found);
  make(kBob);
  EXPECT_EQ(store->set_psk(kBob, psk("alice-psk"), soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->find_by_psk_id(as_bytes("alice-psk"), soon()).value().uri, kAlice);
}

TEST_P(IdentityStoreContract, ReplacesAKeyWithTheSameIdAndAddsOneWithAnother) {
  make(kAlice, psk("one", "old"));
  ASSERT_TRUE(store->set_psk(kAlice, psk("one", "new"), soon()).has_value());
  const Identity two = store->set_psk(kAlice, psk("two"), soon()).value();
  EXPECT_THAT(ids(two.psks), ::testing::ElementsAre("one", "two"));
  EXPECT_EQ(as_text(two.psks[0].wrapped), "new");
  EXPECT_EQ(store->set_psk(kBob, psk("three"), soon()).error().category(), Category::not_found);
}

TEST_P(IdentityStoreContract, ListsByPrefixInPages) {
  for (const char* uri : {"sip:a@x", "sip:b@x", "sip:c@x", "sips:a@x", "tel:+1234"}) make(uri);
  const auto page = store->list("sip:", "", 2, soon()).value();
  EXPECT_THAT(uris(page), ::testing::ElementsAre("sip:a@x", "sip:b@x"));
  EXPECT_TRUE(page.more);
  const auto rest = store->list("sip:", "sip:b@x", 2, soon()).value();
  EXPECT_THAT(uris(rest), ::testing::ElementsAre("sip:c@x"));
  EXPECT_FALSE(rest.more);
  EXPECT_EQ(store->list("", "", 100, soon()).value().identities.size(), 5U);
  EXPECT_TRUE(store->list("sip:zz", "", 100, soon()).value().identities.empty());
}

TEST_P(IdentityStoreContract, SuspendsAndResumes) {
  const Identity before = make(kAlice);
  clock.advance(std::chrono::seconds(5));
  const Identity suspended = store->set_state(kAlice, IdentityState::suspended, soon()).value();
  EXPECT_EQ(suspended.state, IdentityState::suspended);
  EXPECT_EQ(suspended.updated - suspended.created, std::chrono::seconds(5));
  EXPECT_GT(suspended.change_sequence, before.change_sequence);
  const Identity again = store->set_state(kAlice, IdentityState::suspended, soon()).value();
  EXPECT_EQ(again.change_sequence, suspended.change_sequence) << "nothing changed";
  EXPECT_EQ(store->set_state(kAlice, IdentityState::active, soon()).value().state,
            IdentityState::active);
  EXPECT_EQ(store->set_state(kBob, IdentityState::active, soon()).error().category(),
            Category::not_found);
}

TEST_P(IdentityStoreContract, RemovesAnIdentityWithAllItsKeys) {
  make(kAlice, psk("alice-psk"));
  ASSERT_TRUE(store->share_tpk(kAlice, key("alice-tpk"), soon()).has_value());
  ASSERT_TRUE(store->remove(kAlice, soon()).has_value());
  EXPECT_EQ(store->find(kAlice, soon()).error().category(), Category::not_found);
  EXPECT_EQ(store->find_by_psk_id(as_bytes("alice-psk"), soon()).error().category(),
            Category::not_found);
  EXPECT_EQ(store->find_tpk(as_bytes("alice-tpk"), soon()).error().category(), Category::not_found);
  EXPECT_EQ(store->remove(kAlice, soon()).error().category(), Category::not_found);
  EXPECT_TRUE(make(kAlice).psks.empty()) << "a new identity of this name starts without keys";
}

// KMS-3
TEST_P(IdentityStoreContract, KMS_3_HasOneActiveTpkAndKeepsTheRetiredOnes) {
  EXPECT_EQ(store->active_tpk(soon()).error().category(), Category::not_found);
  ASSERT_TRUE(store->add_tpk(key("tpk-1", "first"), TpkState::active, soon()).has_value());
  ASSERT_TRUE(store->add_tpk(key("tpk-2", "second"), TpkState::active, soon()).has_value());
  EXPECT_EQ(as_text(store->active_tpk(soon()).value().key.id), "tpk-2");
  const Tpk retired = store->find_tpk(as_bytes("tpk-1"), soon()).value();
  EXPECT_EQ(retired.state, TpkState::retired);
  EXPECT_EQ(as_text(retired.key.wrapped), "first");
  EXPECT_FALSE(retired.owner.has_value());
  EXPECT_EQ(store->add_tpk(key("tpk-1"), TpkState::active, soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(as_text(store->active_tpk(soon()).value().key.id), "tpk-2") << "rolled back as a whole";
}

TEST_P(IdentityStoreContract, KMS_3_ATpkLivesFromPreparedOverActiveToRetiredOrRevoked) {
  ASSERT_TRUE(store->add_tpk(key("one"), TpkState::active, soon()).has_value());
  const Tpk prepared = store->add_tpk(key("two"), TpkState::prepared, soon()).value();
  EXPECT_EQ(prepared.state, TpkState::prepared);
  EXPECT_EQ(as_text(store->active_tpk(soon()).value().key.id), "one") << "a prepared one waits";
  const auto set = [&](std::string_view id, TpkState state) {
    return store->set_tpk_state(as_bytes(id), state, soon());
  };
  EXPECT_EQ(set("one", TpkState::retired).error().category(), Category::conflict);
  EXPECT_EQ(set("one", TpkState::revoked).error().category(), Category::conflict);

  clock.advance(std::chrono::seconds(5));
  const Tpk active = set("two", TpkState::active).value();
  EXPECT_EQ(active.state, TpkState::active);
  EXPECT_EQ(active.state_since - active.created, std::chrono::seconds(5));
  EXPECT_EQ(store->find_tpk(as_bytes("one"), soon()).value().state, TpkState::retired);
  EXPECT_EQ(set("one", TpkState::active).error().category(), Category::conflict);
  EXPECT_EQ(set("two", TpkState::active).value().change_sequence, active.change_sequence);

  const Tpk revoked = set("one", TpkState::revoked).value();
  EXPECT_TRUE(revoked.key.wrapped.empty()) << "its key is gone";
  EXPECT_EQ(set("one", TpkState::active).error().category(), Category::conflict);
  EXPECT_EQ(set("nothing", TpkState::active).error().category(), Category::not_found);
  make(kAlice);
  ASSERT_TRUE(store->share_tpk(kAlice, key("shared"), soon()).has_value());
  EXPECT_EQ(set("shared", TpkState::revoked).error().category(), Category::conflict);

  const auto all = store->list_tpks(soon()).value();
  ASSERT_EQ(all.size(), 2U) << "those of the KMS";
  EXPECT_EQ(all[0].state, TpkState::revoked);
  EXPECT_EQ(all[1].state, TpkState::active);
  EXPECT_EQ(store->purge_tpks(clock.now(), soon()).value(), 0U) << "not older than that";
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(store->purge_tpks(clock.now(), soon()).value(), 1U);
  EXPECT_EQ(store->list_tpks(soon()).value().size(), 1U);
}

// KMS-8
TEST_P(IdentityStoreContract, KMS_8_ASharedTpkNamesItsOwnerAndIsNeverTheActiveOne) {
  make(kAlice);
  make(kBob);
  ASSERT_TRUE(store->add_tpk(key("own"), TpkState::active, soon()).has_value());
  ASSERT_TRUE(store->share_tpk(kAlice, key("shared-1"), soon()).has_value());
  const Identity alice = store->share_tpk(kAlice, key("shared-2"), soon()).value();
  EXPECT_THAT(ids(alice.shared_tpks), ::testing::ElementsAre("shared-1", "shared-2"));
  EXPECT_EQ(store->find_tpk(as_bytes("shared-1"), soon()).value().owner, kAlice);
  EXPECT_EQ(as_text(store->active_tpk(soon()).value().key.id), "own");
  EXPECT_EQ(store->share_tpk(kBob, key("shared-1"), soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->share_tpk(kBob, key("own"), soon()).error().category(), Category::conflict);

  EXPECT_EQ(store->unshare_tpk(kBob, as_bytes("shared-1"), soon()).value(), 0U);
  EXPECT_EQ(store->unshare_tpk(kAlice, as_bytes("shared-1"), soon()).value(), 1U);
  EXPECT_EQ(store->unshare_tpk(kAlice, {}, soon()).value(), 1U);
  EXPECT_EQ(store->find_tpk(as_bytes("shared-2"), soon()).error().category(), Category::not_found);
  EXPECT_TRUE(store->find_tpk(as_bytes("own"), soon()).has_value());
}

TEST_P(IdentityStoreContract, FindsAnIdentityByEachOfItsUris) {
  make(kAlice);
  make(kBob);
  const Identity alice = store->add_alias(kAlice, "tel:+4989123456", soon()).value();
  EXPECT_THAT(alice.aliases, ::testing::ElementsAre("tel:+4989123456"));
  EXPECT_EQ(store->find("tel:+4989123456", soon()).value().uri, kAlice);
  EXPECT_EQ(store->set_state("tel:+4989123456", IdentityState::suspended, soon()).value().uri,
            kAlice);
  EXPECT_EQ(store->add_alias(kBob, "tel:+4989123456", soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->add_alias(kBob, kAlice, soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->create("tel:+4989123456", IdentityKind::user, {}, soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->remove_alias(kAlice, kAlice, soon()).error().category(), Category::conflict)
      << "the canonical name";
  EXPECT_EQ(store->remove_alias(kBob, "tel:+4989123456", soon()).error().category(),
            Category::not_found);
  EXPECT_TRUE(store->remove_alias(kAlice, "tel:+4989123456", soon()).value().aliases.empty());
  EXPECT_TRUE(store->add_alias(kBob, "tel:+4989123456", soon()).has_value());
  ASSERT_TRUE(store->remove(kBob, soon()).has_value());
  EXPECT_EQ(store->find("tel:+4989123456", soon()).error().category(), Category::not_found);
}

// MRFC-I3: who owns URIs never speaks for somebody who has keys.
TEST_P(IdentityStoreContract, MRFC_I3_NoOwnedPatternCoversAUriOfAnIdentity) {
  make(kAlice);
  make("sip:mrfc@example.com", {}, IdentityKind::mrfc);
  const auto own = [&](std::string_view pattern) {
    return store->add_pattern("sip:mrfc@example.com", pattern, soon());
  };
  EXPECT_EQ(own("sip:*@example.com").error().category(), Category::conflict) << "covers alice";
  EXPECT_THAT(own("sip:conf-*@example.com").value().owned_patterns,
              ::testing::ElementsAre("sip:conf-*@example.com"));
  EXPECT_EQ(own("sip:conf-*@example.com").error().category(), Category::conflict) << "again";
  EXPECT_EQ(
      store->create("sip:conf-1@example.com", IdentityKind::user, {}, soon()).error().category(),
      Category::conflict);
  EXPECT_EQ(store->add_alias(kAlice, "sip:conf-1@example.com", soon()).error().category(),
            Category::conflict);
  EXPECT_TRUE(store->create("sip:conf-1@elsewhere", IdentityKind::user, {}, soon()).has_value());
  EXPECT_TRUE(store->remove_pattern("sip:mrfc@example.com", "sip:conf-*@example.com", soon())
                  .value()
                  .owned_patterns.empty());
  EXPECT_TRUE(store->add_alias(kAlice, "sip:conf-1@example.com", soon()).has_value());
  EXPECT_EQ(own("sip:conf-*@example.com").error().category(), Category::conflict)
      << "covers an alias";
}

TEST_P(IdentityStoreContract, KeepsTheEndOfAKeyAndRemovesExpiredOnesWithTheNextKey) {
  make(kAlice);
  const WallTime end = clock.now() + std::chrono::hours(1);
  const Identity alice = store->set_psk(kAlice, psk("b-tid-1", "a", end), soon()).value();
  EXPECT_EQ(alice.psks.at(0).expires, end);
  EXPECT_EQ(store->remove_psk(kAlice, as_bytes("other"), soon()).error().category(),
            Category::not_found);
  clock.advance(std::chrono::hours(2));
  EXPECT_THAT(ids(store->set_psk(kAlice, psk("b-tid-2"), soon()).value().psks),
              ::testing::ElementsAre("b-tid-2"));
  EXPECT_TRUE(store->remove_psk(kAlice, as_bytes("b-tid-2"), soon()).value().psks.empty());
}

TEST_P(IdentityStoreContract, OneIdentityHasABoundedNumberOfKeys) {
  make(kAlice);
  for (std::size_t i = 0; i < kMaxPsks; ++i) {
    ASSERT_TRUE(store->set_psk(kAlice, psk("key-" + std::to_string(i)), soon()).has_value());
  }
  EXPECT_EQ(store->set_psk(kAlice, psk("one more"), soon()).error().category(), Category::conflict);
  EXPECT_TRUE(store->set_psk(kAlice, psk("key-0", "new"), soon()).has_value());
}

// KMS-5
TEST_P(IdentityStoreContract, KMS_5_AGroupHasMembersAndItsStateIsAChangeOfThem) {
  constexpr const char* kTeam = "sip:team@example.com";
  make(kAlice);
  make(kBob);
  make(kTeam, {}, IdentityKind::group);
  const Identity alice = store->add_member(kTeam, kAlice, soon()).value();
  ASSERT_EQ(alice.groups.size(), 1U);
  EXPECT_EQ(alice.groups[0].group, kTeam);
  EXPECT_TRUE(alice.groups[0].active);
  EXPECT_EQ(store->add_member(kTeam, kAlice, soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->add_member(kBob, kAlice, soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->add_member(kTeam, kTeam, soon()).error().category(), Category::conflict);
  ASSERT_TRUE(store->add_member(kTeam, kBob, soon()).has_value());
  const MemberPage first = store->list_members(kTeam, "", 1, soon()).value();
  EXPECT_THAT(first.uris, ::testing::ElementsAre(kAlice));
  EXPECT_TRUE(first.more);
  EXPECT_THAT(store->list_members(kTeam, kAlice, 5, soon()).value().uris,
              ::testing::ElementsAre(kBob));
  EXPECT_EQ(store->list_members(kAlice, "", 5, soon()).error().category(), Category::conflict);

  const auto suspended = store->set_state(kTeam, IdentityState::suspended, soon()).value();
  EXPECT_FALSE(store->find(kAlice, soon()).value().groups[0].active);
  EXPECT_GT(store->find(kAlice, soon()).value().change_sequence, alice.change_sequence);
  EXPECT_TRUE(store->remove_member(kTeam, kAlice, soon()).value().groups.empty());
  EXPECT_EQ(store->remove_member(kTeam, kAlice, soon()).error().category(), Category::not_found);
  std::vector<std::string> heard;
  store->on_change([&](const Change& change) { heard.emplace_back(as_text(change.key)); });
  ASSERT_TRUE(store->remove(kTeam, soon()).has_value());
  store->on_change(nullptr);
  EXPECT_THAT(heard, ::testing::UnorderedElementsAre(kTeam, kBob));
  EXPECT_TRUE(store->find(kBob, soon()).value().groups.empty());
}

TEST_P(IdentityStoreContract, KeepsRulesWithTheirOpenValuesAndTellsOfTheirChanges) {
  make(kAlice);
  make("sip:team@example.com", {}, IdentityKind::group);
  PolicyRule rule;
  rule.scope = RuleScope::identity;
  rule.subject = kAlice;
  rule.responders = PolicyRule::List{};
  rule.initiators = PolicyRule::List{"sip:*@a", "sip:b@b"};
  rule.allow_mode3 = false;
  rule.max_keys = 2;
  rule.max_validity = std::chrono::hours(1);
  ASSERT_TRUE(store->set_rule(rule, soon()).has_value());
  PolicyRule fallback;
  ASSERT_TRUE(store->set_rule(fallback, soon()).has_value());

  const auto rules = store->list_rules(soon()).value();
  ASSERT_EQ(rules.size(), 2U) << "the most specific first";
  EXPECT_EQ(rules[0].subject, kAlice);
  EXPECT_EQ(rules[0].responders, PolicyRule::List{}) << "an empty list is not an open one";
  EXPECT_EQ(rules[0].initiators, rule.initiators);
  EXPECT_FALSE(rules[0].applications.has_value());
  EXPECT_EQ(rules[0].allow_mode3, false);
  EXPECT_FALSE(rules[0].allow_reuse.has_value());
  EXPECT_EQ(rules[0].max_keys, 2U);
  EXPECT_EQ(rules[0].max_validity, std::chrono::hours(1));
  EXPECT_FALSE(rules[0].default_validity.has_value());
  EXPECT_EQ(rules[0].updated, testing::kTestTime);
  const auto changes = store->changes_since(0, 100, soon()).value();
  EXPECT_EQ(changes.back().subject, ChangeSubject::policy_rule);
  EXPECT_EQ(as_text(changes.back().key), "default");

  PolicyRule of_group = rule;
  of_group.subject = "sip:team@example.com";
  EXPECT_EQ(store->set_rule(of_group, soon()).error().category(), Category::conflict);
  of_group.scope = RuleScope::group;
  EXPECT_TRUE(store->set_rule(of_group, soon()).has_value());
  of_group.subject = kBob;
  EXPECT_EQ(store->set_rule(of_group, soon()).error().category(), Category::not_found);
  ASSERT_TRUE(store->remove(kAlice, soon()).has_value());
  EXPECT_EQ(store->list_rules(soon()).value().size(), 2U) << "its rule is gone with it";
  EXPECT_TRUE(store->remove_rule(RuleScope::everybody, "", soon()).has_value());
  EXPECT_EQ(store->remove_rule(RuleScope::everybody, "", soon()).error().category(),
            Category::not_found);
}

TEST_P(IdentityStoreContract, PinsACertificateForOneIdentity) {
  make(kAlice);
  make(kBob);
  const PinnedCertificate certificate{ByteVector(32, 7), ByteVector{1, 2, 3}};
  const Identity alice = store->add_certificate(kAlice, certificate, soon()).value();
  ASSERT_EQ(alice.certificates.size(), 1U);
  EXPECT_EQ(alice.certificates[0].der, certificate.der);
  EXPECT_EQ(store->add_certificate(kBob, certificate, soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->remove_certificate(kBob, certificate.fingerprint, soon()).error().category(),
            Category::not_found);
  EXPECT_TRUE(store->remove_certificate(kAlice, certificate.fingerprint, soon())
                  .value()
                  .certificates.empty());
}

TEST_P(IdentityStoreContract, TellsWhatChangedSinceASequence) {
  const Identity alice = make(kAlice);
  make(kBob);
  ASSERT_TRUE(store->add_tpk(key("tpk-1"), TpkState::active, soon()).has_value());
  const Identity suspended = store->set_state(kAlice, IdentityState::suspended, soon()).value();
  ASSERT_TRUE(store->remove(kBob, soon()).has_value());

  const auto changes = store->changes_since(0, 100, soon()).value();
  ASSERT_EQ(changes.size(), 3U) << "each subject once, with its newest change";
  EXPECT_EQ(changes[0].subject, ChangeSubject::own_tpk);
  EXPECT_EQ(as_text(changes[0].key), "tpk-1");
  EXPECT_EQ(as_text(changes[1].key), kAlice);
  EXPECT_EQ(changes[1].sequence, suspended.change_sequence);
  EXPECT_EQ(as_text(changes[2].key), kBob) << "what is gone is told as well";
  EXPECT_EQ(store->changes_since(0, 1, soon()).value().size(), 1U);
  EXPECT_EQ(store->changes_since(changes[1].sequence, 100, soon()).value().size(), 1U);
  EXPECT_TRUE(store->changes_since(changes[2].sequence, 100, soon()).value().empty());
  EXPECT_GT(changes[0].sequence, alice.change_sequence);
}

TEST_P(IdentityStoreContract, TheListenerHearsOfAChangeBeforeItIsAcknowledged) {
  std::mutex mutex;
  std::vector<std::string> heard;
  store->on_change([&](const Change& change) {
    const std::lock_guard lock(mutex);
    heard.emplace_back(as_text(change.key));
  });
  const auto heard_now = [&] {
    const std::lock_guard lock(mutex);
    return heard;
  };
  make(kAlice);
  EXPECT_THAT(heard_now(), ::testing::ElementsAre(kAlice));
  ASSERT_TRUE(store->add_tpk(key("tpk-1"), TpkState::active, soon()).has_value());
  EXPECT_THAT(heard_now(), ::testing::ElementsAre(kAlice, "tpk-1"));
  EXPECT_FALSE(store->create(kAlice, IdentityKind::user, {}, soon()).has_value());
  EXPECT_EQ(heard_now().size(), 2U) << "a refused change is none";
  store->on_change(nullptr);
  make(kBob);
  EXPECT_EQ(heard_now().size(), 2U);
}

TEST_P(IdentityStoreContract, RevokesATicketOnceAndKeepsTheFirstRevocation) {
  const ByteVector id(16, 0xA1);
  const WallTime end = clock.now() + std::chrono::hours(1);
  const Revocation revoked = store->revoke_ticket(id, end, soon()).value();
  EXPECT_EQ(revoked.kind, RevocationKind::ticket);
  EXPECT_EQ(revoked.subject, id);
  EXPECT_EQ(revoked.time, clock.now());
  EXPECT_EQ(revoked.limit, end);
  clock.advance(std::chrono::minutes(1));
  const Revocation again = store->revoke_ticket(id, end + std::chrono::hours(9), soon()).value();
  EXPECT_EQ(again.sequence, revoked.sequence);
  EXPECT_EQ(again.limit, end);
  const auto page = store->revocations_since(0, 10, soon()).value();
  ASSERT_EQ(page.revocations.size(), 1U);
  EXPECT_EQ(page.revocations[0].subject, id);
  EXPECT_EQ(page.newest, revoked.sequence);
  EXPECT_TRUE(store->changes_since(0, 10, soon()).value().empty()) << "no row per ticket there";
}

TEST_P(IdentityStoreContract, TheTimeBeforeWhichTicketsAreRevokedNeverGoesBack) {
  const WallTime noon = clock.now();
  const Revocation first = store->revoke_tickets_before(noon, soon()).value();
  EXPECT_EQ(first.limit, noon);
  const Revocation earlier =
      store->revoke_tickets_before(noon - std::chrono::hours(1), soon()).value();
  EXPECT_EQ(earlier.limit, noon);
  EXPECT_EQ(earlier.sequence, first.sequence);
  const Revocation later =
      store->revoke_tickets_before(noon + std::chrono::hours(1), soon()).value();
  EXPECT_GT(later.sequence, first.sequence);
  const auto page = store->revocations_since(0, 10, soon()).value();
  ASSERT_EQ(page.revocations.size(), 1U) << "one, the newest";
  EXPECT_EQ(page.revocations[0].limit, noon + std::chrono::hours(1));
}

TEST_P(IdentityStoreContract, ASuspendedOrRemovedIdentityIsARevocationWithAllItsUris) {
  make(kAlice);
  make(kBob);
  ASSERT_TRUE(store->add_alias(kAlice, "tel:+4930123", soon()));
  ASSERT_TRUE(store->add_pattern(kAlice, "sip:conf-*@example.com", soon()));
  ASSERT_TRUE(store->set_state(kAlice, IdentityState::suspended, soon()));
  const auto suspended = store->revocations_since(0, 10, soon()).value();
  ASSERT_EQ(suspended.revocations.size(), 1U);
  EXPECT_EQ(suspended.revocations[0].kind, RevocationKind::identity);
  EXPECT_EQ(as_text(suspended.revocations[0].subject), kAlice);
  EXPECT_THAT(suspended.revocations[0].aliases, ::testing::ElementsAre("tel:+4930123"));
  EXPECT_THAT(suspended.revocations[0].owned_patterns,
              ::testing::ElementsAre("sip:conf-*@example.com"));
  EXPECT_EQ(suspended.log_size, 1U);

  ASSERT_TRUE(store->set_state(kAlice, IdentityState::active, soon()));
  EXPECT_TRUE(store->revocations_since(suspended.newest, 10, soon()).value().revocations.empty())
      << "what was cut stays cut, and nothing is told";
  ASSERT_TRUE(store->remove(kBob, soon()));
  ASSERT_TRUE(store->set_state(kAlice, IdentityState::suspended, soon()));
  const auto page = store->revocations_since(suspended.newest, 10, soon()).value();
  ASSERT_EQ(page.revocations.size(), 2U);
  EXPECT_EQ(as_text(page.revocations[0].subject), kBob);
  EXPECT_EQ(as_text(page.revocations[1].subject), kAlice);
  EXPECT_EQ(page.log_size, 2U) << "each once";
  const auto first = store->revocations_since(0, 1, soon()).value();
  EXPECT_EQ(first.revocations.size(), 1U);
  EXPECT_TRUE(first.more);
}

TEST_P(IdentityStoreContract, ATpkThatIsRevokedOrTakenBackIsARevocation) {
  make(kAlice);
  ASSERT_TRUE(store->share_tpk(kAlice, key("mode3-1"), soon()));
  ASSERT_TRUE(store->share_tpk(kAlice, key("mode3-2"), soon()));
  ASSERT_TRUE(store->add_tpk(key("tpk-1"), TpkState::active, soon()));
  ASSERT_TRUE(store->add_tpk(key("tpk-2"), TpkState::active, soon()));
  EXPECT_TRUE(store->revocations_since(0, 10, soon()).value().revocations.empty());
  ASSERT_TRUE(store->set_tpk_state(key("tpk-1").id, TpkState::revoked, soon()));
  EXPECT_EQ(store->unshare_tpk(kAlice, {}, soon()).value(), 2U);
  const auto page = store->revocations_since(0, 10, soon()).value();
  std::vector<std::string> told;
  for (const Revocation& revocation : page.revocations) {
    EXPECT_EQ(revocation.kind, RevocationKind::tpk);
    told.emplace_back(as_text(revocation.subject));
  }
  EXPECT_THAT(told, ::testing::UnorderedElementsAre("tpk-1", "mode3-1", "mode3-2"));
}

TEST_P(IdentityStoreContract, TheListenerHearsOfARevocationOnceBeforeItIsAcknowledged) {
  std::mutex mutex;
  std::vector<RevocationKind> heard;
  store->on_revocation([&](const Revocation& revocation) {
    const std::lock_guard lock(mutex);
    heard.push_back(revocation.kind);
  });
  const auto heard_now = [&] {
    const std::lock_guard lock(mutex);
    return heard;
  };
  make(kAlice);
  ASSERT_TRUE(store->revoke_ticket(ByteVector(16, 1), clock.now(), soon()));
  EXPECT_THAT(heard_now(), ::testing::ElementsAre(RevocationKind::ticket));
  ASSERT_TRUE(store->set_state(kAlice, IdentityState::suspended, soon()));
  EXPECT_THAT(heard_now(),
              ::testing::ElementsAre(RevocationKind::ticket, RevocationKind::identity));
  make(kBob);
  EXPECT_EQ(heard_now().size(), 2U);
  store->on_revocation(nullptr);
  ASSERT_TRUE(store->revoke_ticket(ByteVector(16, 2), clock.now(), soon()));
  EXPECT_EQ(heard_now().size(), 2U);
}

TEST_P(IdentityStoreContract, FindsWhoOwnsAUriByAPattern) {
  make(kAlice);
  ASSERT_TRUE(store->add_pattern(kAlice, "sip:conf-*@example.com", soon()));
  EXPECT_EQ(store->find_owner("sip:conf-7@example.com", soon()).value().uri, kAlice);
  EXPECT_EQ(store->find_owner("sip:conf-7@example.org", soon()).error().category(),
            Category::not_found);
  EXPECT_EQ(store->find_owner(kAlice, soon()).error().category(), Category::not_found);
}

TEST_P(IdentityStoreContract, TakesChangesFromManyThreadsWithoutLosingOne) {
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string uri = "sip:u" + std::to_string(t) + "-" + std::to_string(i) + "@x";
        ASSERT_TRUE(store->create(uri, IdentityKind::user, psk(uri), soon()).has_value());
        // One of each is refused, beside others in the same commit.
        ASSERT_FALSE(store->create(uri, IdentityKind::user, {}, soon()).has_value());
        ASSERT_EQ(store->find(uri, soon()).value().psks.size(), 1U);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store->list("", "", 1000, soon()).value().identities.size(),
            static_cast<std::size_t>(kThreads * kEach));
  const auto changes = store->changes_since(0, 1000, soon()).value();
  EXPECT_EQ(changes.size(), static_cast<std::size_t>(kThreads * kEach));
  for (std::size_t i = 1; i < changes.size(); ++i) {
    EXPECT_LT(changes[i - 1].sequence, changes[i].sequence);
  }
}

TEST_P(IdentityStoreContract, ACallWhoseDeadlineHasPassedIsUnavailable) {
  make(kAlice);
  const Deadline over{std::chrono::steady_clock::now() - std::chrono::seconds(1)};
  EXPECT_EQ(store->find(kAlice, over).error().category(), Category::unavailable);
  EXPECT_EQ(store->remove(kAlice, over).error().category(), Category::unavailable);
  EXPECT_TRUE(store->find(kAlice, soon()).has_value());
}

}  // namespace keystub::kms
