// One identity has one name, however it is spelled.
#include "kms-server/identity_uri.h"

#include <gtest/gtest.h>

namespace keystub::kms {
namespace {

TEST(IdentityUri, HasOneCanonicalForm) {
  const std::pair<const char*, const char*> cases[] = {
      {"sip:alice@example.com", "sip:alice@example.com"},
      {"SIP:Alice@EXAMPLE.com", "sip:Alice@example.com"},
      {"sips:conf-1@mrfc.Example.COM:5061", "sips:conf-1@mrfc.example.com:5061"},
      {"sip:a%20b@[2001:DB8::1]:5060", "sip:a%20b@[2001:db8::1]:5060"},
      {"sip:example.com", "sip:example.com"},
      {"tel:+49-89-(123).456", "tel:+4989123456"},
  };
  for (const auto& [given, canonical] : cases) {
    const auto uri = canonical_uri(given);
    ASSERT_TRUE(uri.has_value()) << given << ": " << uri.error().text();
    EXPECT_EQ(*uri, canonical);
    EXPECT_EQ(canonical_uri(*uri).value(), *uri) << "not stable";
  }
}

TEST(IdentityUri, RefusesWhatIsNoIdentityAndSaysWhy) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "scheme"},
      {"alice@example.com", "scheme"},
      {"http://example.com", "scheme"},
      {"sip:", "host"},
      {"sip:@example.com", "user"},
      {"sip:alice@", "host"},
      {"sip:alice@exa mple.com", "host"},
      {"sip:alice:secret@example.com", "password"},
      {"sip:alice@example.com;transport=tcp", "parameters"},
      {"sip:alice@example.com?subject=x", "parameters"},
      {"sip:alice@example.com:", "port"},
      {"sip:alice@example.com:5a", "port"},
      {"sip:al\xc3\xaf"
       "ce@example.com",
       "user"},
      {"sip:a%2@example.com", "user"},
      {"tel:12345", "global"},
      {"tel:+1x", "digits"},
      {"tel:+", "global"},
  };
  for (const auto& [given, why] : cases) {
    const auto uri = canonical_uri(given);
    ASSERT_FALSE(uri.has_value()) << given;
    EXPECT_EQ(uri.error().category(), Category::malformed);
    EXPECT_NE(uri.error().text().find(why), std::string::npos) << uri.error().text();
  }
  EXPECT_FALSE(canonical_uri("sip:" + std::string(kMaxUriSize, 'a') + "@example.com").has_value());
}

}  // namespace
}  // namespace keystub::kms
