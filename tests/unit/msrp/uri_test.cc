// MSRP URIs: grammar and comparison (RFC 4975 section 6 and 6.1).
#include "msrp/uri.h"

#include <gtest/gtest.h>

namespace keystub::msrp {
namespace {

Uri uri(std::string_view text) { return Uri::parse(text).value(); }

TEST(MsrpUri, ReadsEveryPart) {
  const Uri full = uri("MSRPS://al%20ice@Host.Example:8493/as/d+f=~34;TCP;relay;x=1");
  EXPECT_TRUE(full.secure);
  EXPECT_EQ(full.userinfo, "al%20ice");
  EXPECT_EQ(full.host, "Host.Example");
  EXPECT_EQ(full.port, 8493);
  EXPECT_EQ(full.session_id, "as/d+f=~34");
  EXPECT_EQ(full.transport, "TCP");
  EXPECT_EQ(full.parameters, ";relay;x=1");
  EXPECT_EQ(full.to_string(), "msrps://al%20ice@Host.Example:8493/as/d+f=~34;TCP;relay;x=1");
}

TEST(MsrpUri, WritesWhatItReads) {
  for (const char* text : {"msrp://host.example.com:8493/asfd34;tcp", "msrp://relay.example;tcp",
                           "msrps://[2001:db8::11]:7394/jshA7we;tcp", "msrp://192.0.2.7:9/a;sctp",
                           "msrp://a;b@example.com:1/s;tcp"}) {
    EXPECT_EQ(uri(text).to_string(), text);
  }
}

TEST(MsrpUri, RefusesWhatIsOutsideTheGrammar) {
  for (const char* text : {"",
                           "msrp:",
                           "msrp://",
                           "http://a:1/s;tcp",
                           "msrp//a;tcp",
                           "msrp://a:1/s",
                           "msrp://a:1/s;",
                           "msrp://a:1/;tcp",
                           "msrp://:1/s;tcp",
                           "msrp://a:99999/s;tcp",
                           "msrp://a:/s;tcp",
                           "msrp://a:1x/s;tcp",
                           "msrp://[2001:db8::1:1/s;tcp",
                           "msrp://[nonsense]:1/s;tcp",
                           "msrp://[192.0.2.1]:1/s;tcp",
                           "msrp://a:1/s%20;tcp",
                           "msrp://a:1/s s;tcp",
                           "msrp://a:1/s;t_p",
                           "msrp://a:1/s;tcp;",
                           "msrp://a:1/s;tcp;=1",
                           "msrp://a:1/s;tcp;x=",
                           "msrp://@a:1/s;tcp",
                           "msrp://a%2:1/s;tcp",
                           "msrp://a%zz:1/s;tcp",
                           "msrp://a b:1/s;tcp",
                           "msrp://a:1/s;tcp\r\nX: y",
                           "msrp://user:secret@a:1/s;tcp"}) {
    const auto parsed = Uri::parse(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().category(), Category::malformed);
    EXPECT_TRUE(parsed.error().place().has_value());
  }
  EXPECT_FALSE(Uri::parse("msrp://" + std::string(5000, 'a') + ":1/s;tcp").has_value());
  EXPECT_FALSE(Uri::parse(std::string_view("msrp://a\0b:1/s;tcp", 17)).has_value());
}

TEST(MsrpUri, RefusesANumericAddressWithoutPort) {
  EXPECT_FALSE(Uri::parse("msrp://192.0.2.1/s;tcp").has_value());
  EXPECT_FALSE(Uri::parse("msrp://[2001:db8::1]/s;tcp").has_value());
}

TEST(MsrpUri, ComparesByTheRulesOfTheStandard) {
  const auto same = [](const char* a, const char* b) { return equivalent(uri(a), uri(b)); };
  EXPECT_TRUE(same("msrp://HOST.example:1/s;tcp", "MSRP://host.EXAMPLE:1/s;TCP"));
  EXPECT_TRUE(same("msrp://user@host:1/s;tcp", "msrp://host:1/s;tcp"));
  EXPECT_TRUE(same("msrp://host:1/s;tcp;x=1", "msrp://host:1/s;tcp"));
  EXPECT_TRUE(same("msrp://h%6Fst:1/s;tcp", "msrp://host:1/s;tcp"));
  EXPECT_TRUE(same("msrp://[2001:db8:0:0::1]:1/s;tcp", "msrp://[2001:DB8::1]:1/s;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrps://host:1/s;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrp://host:1/S;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrp://host:2/s;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrp://host/s;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrp://host:1;tcp"));
  EXPECT_FALSE(same("msrp://host:1/s;tcp", "msrp://host:1/s;sctp"));
  EXPECT_FALSE(same("msrp://192.0.2.1:1/s;tcp", "msrp://192.0.2.2:1/s;tcp"));
}

TEST(MsrpPath, ReadsSeveralUrisAndLimitsTheirNumber) {
  const Path path = parse_path("msrps://relay.example:2855/r;tcp msrp://end:1/s;tcp").value();
  ASSERT_EQ(path.size(), 2U);
  EXPECT_EQ(path.back().session_id, "s");
  EXPECT_EQ(format_path(path), "msrps://relay.example:2855/r;tcp msrp://end:1/s;tcp");
  EXPECT_TRUE(equivalent(path, parse_path(format_path(path)).value()));
  EXPECT_FALSE(equivalent(path, parse_path("msrp://end:1/s;tcp").value()));

  EXPECT_FALSE(parse_path("").has_value());
  EXPECT_FALSE(parse_path("msrp://end:1/s;tcp ").has_value());
  std::string many = "msrp://end:1/s;tcp";
  for (std::size_t i = 0; i < kMaxPathUris; ++i) many += " msrp://end:1/s;tcp";
  EXPECT_FALSE(parse_path(many).has_value());
}

}  // namespace
}  // namespace keystub::msrp
