// KMS-3: the keys of a serving KMS move to another KEK, and nothing is lost wherever that is cut
// short.
#include "kms-server/kek_rewrap.h"

#include <gmock/gmock.h>

#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using ::testing::HasSubstr;

constexpr std::uint8_t kOld = 0x11;  // of the fixture
constexpr std::uint8_t kNew = 0x22;

Kek kek_of(std::uint8_t octet) { return Kek::from_octets(ByteVector(Kek::kSize, octet)).value(); }

class KekRewrap : public KmsFixture {
 protected:
  KekRewrap() {
    // A key of each kind: PSKs of the fixture, its TPK, one that is shared, one that is revoked.
    EXPECT_TRUE(admin->share_tpk(operator_caller, kAlice).has_value());
    const Tpk prepared = admin->prepare_tpk(operator_caller).value();
    EXPECT_TRUE(admin->retire_tpk(operator_caller, prepared.key.id).has_value());
    EXPECT_TRUE(admin->revoke_tpk(operator_caller, prepared.key.id).has_value());
  }

  Result<RewrapReport> rewrap() { return rewrap_keys(*store, kek, random, kTimeout); }

  // What a KMS does that starts with these KEKs, on the database as it is now.
  Result<void> start_with(std::uint8_t current, std::optional<std::uint8_t> next) {
    Kek its_kek = kek_of(current);
    if (next) TRY(its_kek.set_next(kek_of(*next)));
    SqliteStoreOptions options;
    options.path = folder / "as-it-is.db";
    std::filesystem::remove(options.path);
    TRY(TRY(SqliteDatabase::open(folder / "kms.db", SqliteDatabase::Mode::read))
            ->copy_to(options.path));
    const auto opened = TRY(SqliteStore::open(options, its_kek, clock));
    TRY(take_up_rewrap(*opened, its_kek, kTimeout));
    KeyDirectory directory(*opened, its_kek, CacheLimits{});
    for (const char* uri : {kAlice, kBob, kCarol}) {
      TRY(directory.find_identity(uri, Deadline::in(kTimeout)));
    }
    TRY(directory.find_active_tpk(Deadline::in(kTimeout)));
    return {};
  }

  std::size_t keys_under(std::uint8_t octet) {
    const Kek alone = kek_of(octet);
    std::size_t opened = 0;
    for (const KeyTable table : {KeyTable::psks, KeyTable::tpks}) {
      const auto stored = sqlite->list_keys(table, {}, 1000, Deadline::in(kTimeout)).value();
      for (const StoredKey& key : stored) {
        if (alone.opener_of(key.wrapped, {key.kind, key.owner, key.id})) ++opened;
      }
    }
    return opened;
  }
};

TEST_F(KekRewrap, MovesEveryKeyAndTheDatabaseBelongsToTheNextKek) {
  ASSERT_TRUE(kek.set_next(kek_of(kNew)).has_value());
  const std::size_t count = keys_under(kOld);
  const RewrapReport counted = count_keys_to_rewrap(*store, kek, kTimeout).value();
  EXPECT_EQ(counted.keys, count);
  EXPECT_EQ(counted.moved, count);
  EXPECT_EQ(keys_under(kNew), 0U) << "a dry run writes nothing";

  const RewrapReport report = rewrap().value();
  EXPECT_EQ(report.keys, count);
  EXPECT_EQ(report.moved, count);
  EXPECT_EQ(keys_under(kOld), 0U);
  EXPECT_EQ(keys_under(kNew), count);
  EXPECT_FALSE(kek.has_next());
  // The serving KMS goes on, with keys that it reads anew and with new ones.
  EXPECT_TRUE(keys->find_identity(kAlice, Deadline::in(kTimeout)).has_value());
  add("sip:dave@example.com");
  EXPECT_EQ(keys_under(kNew), count + 1);

  EXPECT_TRUE(start_with(kNew, std::nullopt).has_value());
  EXPECT_TRUE(start_with(kOld, kNew).has_value()) << "the configuration as it was during the move";
  EXPECT_EQ(start_with(kOld, std::nullopt).error().category(), Category::denied);
}

TEST_F(KekRewrap, NeedsANextKek) {
  EXPECT_THAT(rewrap().error().describe(), HasSubstr("[kek_next]"));
  EXPECT_EQ(count_keys_to_rewrap(*store, kek, kTimeout).error().category(), Category::conflict);
  ASSERT_TRUE(kek.set_next(kek_of(kOld)).has_value());
  EXPECT_FALSE(kek.has_next()) << "the KEK in use is no other one";
}

TEST_F(KekRewrap, BeginsNothingWhileAKeyOpensUnderNeither) {
  ASSERT_TRUE(kek.set_next(kek_of(kNew)).has_value());
  const ByteVector id = {'b', 'a', 'd'};
  ASSERT_TRUE(
      sqlite
          ->set_psk(kBob, {id, kek_of(0x33).wrap(id, {KeyKind::psk, kBob, id}, random).value(), {}},
                    Deadline::in(kTimeout))
          .has_value());
  const auto refused = rewrap();
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().describe(), HasSubstr("626164"));
  EXPECT_THAT(refused.error().describe(), HasSubstr(kBob));
  EXPECT_FALSE(sqlite->kek_checks(Deadline::in(kTimeout)).value().next.has_value());
  EXPECT_EQ(keys_under(kNew), 0U);
}

// Whichever call of the store fails: a KMS starts with both KEKs, has every key, and ends the move
// when it is asked again.
TEST_F(KekRewrap, CanBeCutShortAnywhere) {
  const std::size_t count = keys_under(kOld);
  std::uint8_t current = kOld;
  std::uint8_t next = kNew;
  std::size_t cut = 0;
  for (bool whole = false; !whole; ++cut) {
    ASSERT_LT(cut, 100U);
    kek = kek_of(current);
    ASSERT_TRUE(kek.set_next(kek_of(next)).has_value());
    std::size_t calls = 0;
    store->trouble = [&]() -> std::optional<Error> {
      if (calls++ != cut) return std::nullopt;
      return Error(Category::unavailable, "the disk is full");
    };
    whole = rewrap().has_value();
    store->trouble = nullptr;

    ASSERT_TRUE(start_with(current, next).has_value()) << "cut at call " << cut;
    if (sqlite->kek_checks(Deadline::in(kTimeout)).value().next) {
      EXPECT_THAT(start_with(current, std::nullopt).error().describe(), HasSubstr("[kek_next]"));
      EXPECT_FALSE(start_with(next, std::nullopt).has_value());
    }
    ASSERT_TRUE(whole || rewrap().has_value()) << "cut at call " << cut;
    EXPECT_EQ(keys_under(next), count) << "cut at call " << cut;
    ASSERT_TRUE(start_with(next, std::nullopt).has_value()) << "cut at call " << cut;
    std::swap(current, next);
  }
  EXPECT_GT(cut, 8U);
}

// A step that happened although its answer was lost.
TEST_F(KekRewrap, TakesUpAStepWhoseAnswerWasLost) {
  ASSERT_TRUE(kek.set_next(kek_of(kNew)).has_value());
  const ByteVector check = kek.make_next_check_value(random).value();
  ASSERT_TRUE(sqlite->begin_kek_move(check, Deadline::in(kTimeout)).has_value());
  ASSERT_TRUE(kek.set_next(kek_of(0x33)).has_value());
  EXPECT_EQ(rewrap().error().category(), Category::denied) << "that is another next KEK";
  ASSERT_TRUE(kek.set_next(kek_of(kNew)).has_value());
  EXPECT_TRUE(rewrap().has_value());

  Kek before_the_end = kek_of(kOld);
  ASSERT_TRUE(before_the_end.set_next(kek_of(kNew)).has_value());
  EXPECT_EQ(rewrap_keys(*store, before_the_end, random, kTimeout).value().moved, 0U);
  EXPECT_FALSE(before_the_end.has_next());
}

TEST_F(KekRewrap, FromItsBeginningNewKeysAreWrappedUnderTheNextKek) {
  ASSERT_TRUE(kek.set_next(kek_of(kNew)).has_value());
  const std::size_t count = keys_under(kOld);
  add("sip:dave@example.com");
  EXPECT_EQ(keys_under(kOld), count + 1);
  ASSERT_TRUE(kek.begin_move().has_value());
  EXPECT_EQ(kek.set_next(kek_of(0x33)).error().category(), Category::conflict);
  add("sip:erin@example.com");
  EXPECT_EQ(keys_under(kNew), 1U);
}

}  // namespace
}  // namespace keystub::kms
