// Patterns cover what they say, and no host but their own.
#include "kms-server/uri_pattern.h"

#include <gtest/gtest.h>

namespace keystub::kms {
namespace {

TEST(UriPattern, HasOneCanonicalForm) {
  const std::pair<const char*, const char*> cases[] = {
      {"SIP:conf-*@EXAMPLE.com", "sip:conf-*@example.com"},
      {"sips:*@Example.com:5061", "sips:*@example.com:5061"},
      {"sip:a*z@[2001:DB8::1]", "sip:a*z@[2001:db8::1]"},
      {"tel:+49-89-*", "tel:+4989*"},
      {"tel:+*", "tel:+*"},
  };
  for (const auto& [given, canonical] : cases) {
    const auto pattern = canonical_pattern(given);
    ASSERT_TRUE(pattern.has_value()) << given << ": " << pattern.error().text();
    EXPECT_EQ(*pattern, canonical);
    EXPECT_EQ(canonical_pattern(*pattern).value(), *pattern) << "not stable";
  }
}

TEST(UriPattern, RefusesWhatWouldCoverHostsOrIsNoPattern) {
  for (const char* given : {"*", "sip:alice@example.com", "sip:*", "sip:*@*", "sip:a@*.example.com",
                            "sip:*@", "sip:**@example.com", "tel:*", "tel:+49*89", "http:*@x"}) {
    const auto pattern = canonical_pattern(given);
    ASSERT_FALSE(pattern.has_value()) << given;
    EXPECT_EQ(pattern.error().category(), Category::malformed);
  }
}

TEST(UriPattern, ListsTakeAnybodyAUriOrAPattern) {
  EXPECT_EQ(canonical_matcher("*").value(), "*");
  EXPECT_EQ(canonical_matcher("SIP:a@X").value(), "sip:a@x");
  EXPECT_EQ(canonical_matcher("sip:*@X").value(), "sip:*@x");
  EXPECT_FALSE(canonical_matcher("a@x").has_value());
}

TEST(UriPattern, CoversOneOrMoreCharacters) {
  EXPECT_TRUE(covers("sip:conf-*@x", "sip:conf-1@x"));
  EXPECT_TRUE(covers("sip:conf-*@x", "sip:conf-12@x"));
  EXPECT_FALSE(covers("sip:conf-*@x", "sip:conf-@x"));
  EXPECT_FALSE(covers("sip:conf-*@x", "sips:conf-1@x"));
  EXPECT_FALSE(covers("sip:conf-*@x", "sip:conf-1@y.x"));
  EXPECT_FALSE(covers("sip:*@x", "sip:a@x:5060"));
  EXPECT_FALSE(covers("sip:ab*ba@x", "sip:aba@x")) << "the two ends do not overlap";
  EXPECT_TRUE(covers("tel:+49*", "tel:+4989123"));
  EXPECT_TRUE(covers("*", "tel:+4989123"));
  EXPECT_TRUE(covers("sip:a@x", "sip:a@x"));
  EXPECT_FALSE(covers("sip:a@x", "sip:a@xy"));
}

}  // namespace
}  // namespace keystub::kms
