// The pattern of PSK identities: what it may hold, and what it makes.
#include "mikey/psk_identity.h"

#include <gtest/gtest.h>

namespace keystub::mikey {
namespace {

TEST(PskIdentity, HasWhatThePatternNames) {
  const ByteVector mac = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8};
  EXPECT_EQ(PskIdentityPattern().format(0x0102A3F4, 7, mac),
            "mikey-ticket;0102a3f4;07;a0a1a2a3a4a5a6a7");
  EXPECT_EQ(PskIdentityPattern::parse("{mac}/{csb_id}").value().format(1, 2, mac),
            "a0a1a2a3a4a5a6a7/00000001");
}

TEST(PskIdentity, PatternsThatMakeNoUniqueIdentityAreRefused) {
  for (const std::string_view pattern :
       {"", "fixed", "{csb_id};{cs_id}", "{mac}", "{csb_id}{mac}{who}", "{csb_id}{mac}{}",
        "{who}{}{csb_id}{mac}", "{csb_id}{mac", "{csb_id}{mac}\x7f", "{csb_id}{mac}\t"}) {
    const auto parsed = PskIdentityPattern::parse(pattern);
    ASSERT_FALSE(parsed.has_value()) << pattern;
    EXPECT_EQ(parsed.error().category(), Category::malformed);
  }
  EXPECT_NE(PskIdentityPattern::parse("{csb_id}{mac}{who}").error().text().find("not {who}"),
            std::string::npos);
}

TEST(PskIdentity, IsAsLongAsAPeerMustSupportAndNoLonger) {
  const std::string fitting = std::string(kMaxPskIdentitySize - 24, 'x') + "{csb_id}{mac}";
  const auto pattern = PskIdentityPattern::parse(fitting);
  ASSERT_TRUE(pattern.has_value());
  EXPECT_EQ(pattern->format(1, 1, ByteVector(20, 1)).size(), kMaxPskIdentitySize);
  EXPECT_FALSE(PskIdentityPattern::parse("x" + fitting).has_value());
}

}  // namespace
}  // namespace keystub::mikey
