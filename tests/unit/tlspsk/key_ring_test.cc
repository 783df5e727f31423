// The keys of one stream (MRFP-5).
#include "tlspsk/key_ring.h"

#include <gtest/gtest.h>

namespace keystub::tlspsk {
namespace {

Candidate key_named(std::string identity, std::size_t octets = 32, std::string dialog = "d") {
  return {std::move(identity), Psk(octets), std::move(dialog)};
}

std::vector<Candidate> list(Candidate a) {
  std::vector<Candidate> candidates;
  candidates.push_back(std::move(a));
  return candidates;
}

std::vector<Candidate> list(Candidate a, Candidate b) {
  auto candidates = list(std::move(a));
  candidates.push_back(std::move(b));
  return candidates;
}

TEST(KeyRing, FindsACandidateByItsWholeIdentityOnly) {
  KeyRing ring;
  ASSERT_TRUE(ring.replace(list(key_named("alpha", 32, "1"), key_named("beta", 32, "2"))));
  ASSERT_NE(ring.find(as_bytes("beta")), nullptr);
  EXPECT_EQ(ring.find(as_bytes("beta"))->dialog_id, "2");
  EXPECT_EQ(ring.find(as_bytes("bet")), nullptr);
  EXPECT_EQ(ring.find(as_bytes("betab")), nullptr);
  EXPECT_EQ(ring.find({}), nullptr);
}

TEST(KeyRing, AClientHasAKeyOnlyWhenThereIsExactlyOne) {
  KeyRing ring;
  EXPECT_EQ(ring.only(), nullptr);
  ASSERT_TRUE(ring.replace(list(key_named("a"), key_named("b"))));
  EXPECT_EQ(ring.only(), nullptr);
  ASSERT_TRUE(ring.replace(list(key_named("b"))));
  ASSERT_NE(ring.only(), nullptr);
  EXPECT_EQ(ring.find(as_bytes("a")), nullptr);
}

TEST(KeyRing, LimitsAreCheckedAndABadListChangesNothing) {
  KeyRing ring;
  ASSERT_TRUE(ring.replace(list(key_named("keep"))));
  EXPECT_FALSE(ring.replace(list(key_named(""))));
  EXPECT_FALSE(ring.replace(list(key_named(std::string(128, 'x')))));
  EXPECT_FALSE(ring.replace(list(key_named(std::string("a\0b", 3)))));
  EXPECT_FALSE(ring.replace(list(key_named("short", 15))));
  EXPECT_FALSE(ring.replace(list(key_named("long", 65))));
  EXPECT_FALSE(ring.replace(list(key_named("same"), key_named("same"))));
  EXPECT_NE(ring.find(as_bytes("keep")), nullptr);
  EXPECT_TRUE(ring.replace(list(key_named(std::string(127, 'x'), 16), key_named("y", 64))));
}

}  // namespace
}  // namespace keystub::tlspsk
