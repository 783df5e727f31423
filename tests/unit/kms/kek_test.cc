// KMS-3: keys at rest are wrapped, bound to their row, and open under their own KEK alone.
#include "kms-server/kek.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

using Key = Secret<struct TestKeyTag>;

struct KekTest : ::testing::Test {
  OpenSslRandom random;
  Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 0x11)).value();
  Kek other = Kek::from_octets(ByteVector(Kek::kSize, 0x22)).value();
  Key key = random.secret<TestKeyTag>(32).value();
  ByteVector id = {'k', '1'};
  KeyBinding binding{KeyKind::psk, "sip:alice@example.com", id};
};

TEST_F(KekTest, OpensWhatItWrapped) {
  const ByteVector wrapped = kek.wrap(key.reveal(), binding, random).value();
  EXPECT_EQ(wrapped.size(), key.size() + Kek::kOverhead);
  EXPECT_EQ(kek.unwrap<TestKeyTag>(wrapped, binding).value(), key);
}

TEST_F(KekTest, WrapsTheSameKeyDifferentlyEachTime) {
  EXPECT_NE(kek.wrap(key.reveal(), binding, random).value(),
            kek.wrap(key.reveal(), binding, random).value());
}

TEST_F(KekTest, RefusesAWrappedKeyThatStandsInAnotherRow) {
  const ByteVector wrapped = kek.wrap(key.reveal(), binding, random).value();
  const ByteVector other_id = {'k', '2'};
  const ByteVector longer_id = {'m', 'k', '1'};
  for (const KeyBinding& moved : {KeyBinding{KeyKind::shared_tpk, "sip:alice@example.com", id},
                                  KeyBinding{KeyKind::psk, "sip:bob@example.com", id},
                                  KeyBinding{KeyKind::psk, "sip:alice@example.com", other_id},
                                  // The same octets, divided in another way.
                                  KeyBinding{KeyKind::psk, "sip:alice@example.co", longer_id}}) {
    EXPECT_FALSE(kek.unwrap<TestKeyTag>(wrapped, moved).has_value());
  }
}

TEST_F(KekTest, RefusesEveryChangedOctetAndEveryShorterForm) {
  const ByteVector wrapped = kek.wrap(key.reveal(), binding, random).value();
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    ByteVector changed = wrapped;
    changed[i] ^= 0x01;
    EXPECT_FALSE(kek.unwrap<TestKeyTag>(changed, binding).has_value()) << "octet " << i;
    EXPECT_FALSE(kek.unwrap<TestKeyTag>(Bytes(wrapped).first(i), binding).has_value());
  }
}

TEST_F(KekTest, TheCheckValueRecognisesAWrongKek) {
  const ByteVector check = kek.make_check_value(random).value();
  EXPECT_TRUE(kek.verify_check_value(check).has_value());
  const auto refused = other.verify_check_value(check);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::denied);
}

TEST_F(KekTest, TheFileIsPrivateAndNeverOverwritten) {
  const testing::TempDir folder;
  const auto path = folder / "kek";
  const Kek made = Kek::create(path, random).value();
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(Kek::create(path, random).error().category(), Category::conflict);
  const ByteVector wrapped = made.wrap(key.reveal(), binding, random).value();
  EXPECT_EQ(Kek::load(path).value().unwrap<TestKeyTag>(wrapped, binding).value(), key);
}

TEST_F(KekTest, RefusesAFileThatOthersCanReadOrThatHasAnotherSize) {
  const testing::TempDir folder;
  const auto path = folder.write("kek", std::string(Kek::kSize, 'k'));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(Kek::load(path).error().category(), Category::denied);
  const auto shorter = folder.write("short", std::string(Kek::kSize - 1, 'k'));
  ASSERT_EQ(::chmod(shorter.c_str(), 0600), 0);
  EXPECT_EQ(Kek::load(shorter).error().category(), Category::malformed);
  EXPECT_EQ(Kek::load(folder / "absent").error().category(), Category::not_found);
}

}  // namespace
}  // namespace keystub::kms
