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
  static std::vector<std::string> ids(const std::vector<WrappedKey>& keys) {
    std::vector<std::string> out;
    out.reserve(keys.size());
    for (const WrappedKey& each : keys) out.push_back(to_string(Bytes(each.id)));
    return out;
  }
  static std::vector<std::string> uris(const IdentityPage& page) {
    std::vector<std::string> out;
    out.reserve(page.identities.size());
    for (const Identity& identity : page.identities) out.push_back(identity.uri);
    return out;
  }
  Identity make(const char* uri, std::optional<WrappedKey> psk = std::nullopt) {
    return store->create(uri, IdentityKind::user, std::move(psk), soon()).value();
  }

  testing::FakeClock clock;
  StoreUnderTest under_test = GetParam()(clock);
  IdentityStore* store = under_test.store.get();
};

TEST_P(IdentityStoreContract, FindsWhatWasCreated) {
  const Identity created =
      store->create(kAlice, IdentityKind::mrfc, key("alice-psk", "sealed"), soon()).value();
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
  make(kAlice, key("alice-psk"));
  EXPECT_EQ(store->create(kAlice, IdentityKind::user, {}, soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->create(kBob, IdentityKind::user, key("alice-psk"), soon()).error().category(),
            Category::conflict);
  EXPECT_EQ(store->find(kBob, soon()).error().category(), Category::not_found);
  make(kBob);
  EXPECT_EQ(store->set_psk(kBob, key("alice-psk"), soon()).error().category(), Category::conflict);
  EXPECT_EQ(store->find_by_psk_id(as_bytes("alice-psk"), soon()).value().uri, kAlice);
}

TEST_P(IdentityStoreContract, ReplacesAKeyWithTheSameIdAndAddsOneWithAnother) {
  make(kAlice, key("one", "old"));
  ASSERT_TRUE(store->set_psk(kAlice, key("one", "new"), soon()).has_value());
  const Identity two = store->set_psk(kAlice, key("two"), soon()).value();
  EXPECT_THAT(ids(two.psks), ::testing::ElementsAre("one", "two"));
  EXPECT_EQ(as_text(two.psks[0].wrapped), "new");
  EXPECT_EQ(store->set_psk(kBob, key("three"), soon()).error().category(), Category::not_found);
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
  make(kAlice, key("alice-psk"));
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

TEST_P(IdentityStoreContract, TakesChangesFromManyThreadsWithoutLosingOne) {
  constexpr int kThreads = 4;
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string uri = "sip:u" + std::to_string(t) + "-" + std::to_string(i) + "@x";
        ASSERT_TRUE(store->create(uri, IdentityKind::user, key(uri), soon()).has_value());
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
