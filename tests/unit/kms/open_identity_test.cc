// KMS-7: an identity comes out of its packed form as it went in.
#include "kms-server/open_identity.h"

#include <gtest/gtest.h>

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

Psk key_of(std::size_t octets, std::uint8_t first) {
  Psk key(octets);
  for (std::uint8_t& octet : key.reveal_mutable()) octet = first++;
  return key;
}

OpenIdentity subscriber() {
  OpenIdentity out;
  out.uri = "sip:alice@example.com";
  out.created = WallTime(1'790'000'000'123ms);
  out.psks.push_back({to_vector(as_bytes(out.uri)), key_of(32, 1), {}});
  return out;
}

OpenIdentity controller() {
  OpenIdentity out;
  out.uri = "sip:mrfc@example.com";
  out.kind = IdentityKind::mrfc;
  out.state = IdentityState::suspended;
  out.created = WallTime(-5ms);
  out.aliases = {"sip:controller@example.com", "tel:+491234"};
  out.owned_patterns = {"sip:conf-*@example.com"};
  out.psks.push_back({{0, 1, 2}, key_of(64, 7), WallTime(1'800'000'000'000ms)});
  out.psks.push_back({to_vector(as_bytes(out.uri)), key_of(16, 9), {}});
  out.shared_tpk_ids = {{4, 5}, {6}};
  out.groups = {"sip:all@example.com"};
  out.certificates = {{ByteVector(32, 1), ByteVector(700, 2)}, {ByteVector(32, 3), {4}}};
  return out;
}

void expect_same(const OpenIdentity& a, const OpenIdentity& b) {
  EXPECT_EQ(a.uri, b.uri);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.created, b.created);
  EXPECT_EQ(a.aliases, b.aliases);
  EXPECT_EQ(a.owned_patterns, b.owned_patterns);
  EXPECT_EQ(a.shared_tpk_ids, b.shared_tpk_ids);
  EXPECT_EQ(a.groups, b.groups);
  ASSERT_EQ(a.psks.size(), b.psks.size());
  for (std::size_t i = 0; i < a.psks.size(); ++i) {
    EXPECT_EQ(a.psks[i].id, b.psks[i].id);
    EXPECT_TRUE(equal(a.psks[i].key.reveal(), b.psks[i].key.reveal()));
    EXPECT_EQ(a.psks[i].expires, b.psks[i].expires);
  }
  ASSERT_EQ(a.certificates.size(), b.certificates.size());
  for (std::size_t i = 0; i < a.certificates.size(); ++i) {
    EXPECT_EQ(a.certificates[i].fingerprint, b.certificates[i].fingerprint);
    EXPECT_EQ(a.certificates[i].der, b.certificates[i].der);
  }
}

TEST(PackedIdentity, ComesOutAsItWentIn) {
  for (const OpenIdentity& identity : {subscriber(), controller()}) {
    const auto again = unpack(identity.uri, pack(identity).reveal());
    ASSERT_NE(again, nullptr) << identity.uri;
    expect_same(*again, identity);
  }
}

TEST(PackedIdentity, OfASubscriberIsItsKeyAndTwelveOctets) {
  EXPECT_EQ(pack(subscriber()).size(), 32U + 12U);
}

TEST(PackedIdentity, IsNothingWhenItIsCutShort) {
  const PackedIdentity packed = pack(controller());
  // Behind its lists come as many certificates as there are octets for.
  const std::size_t certificates = 2 * (2 + 32) + (2 + 700) + (2 + 1);
  for (std::size_t size = 0; size < packed.size() - certificates; ++size) {
    const auto cut = unpack("sip:mrfc@example.com", packed.reveal().first(size));
    if (cut == nullptr) continue;
    EXPECT_EQ(cut->psks.size(), 2U) << "cut behind the keys, where subscribers end";
    EXPECT_TRUE(cut->aliases.empty());
  }
  EXPECT_EQ(unpack("sip:mrfc@example.com", packed.reveal().first(packed.size() - 1)), nullptr);
}

}  // namespace
}  // namespace keystub::kms
