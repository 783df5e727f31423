// SDP read, looked up, changed and written (RFC 8866).
#include "sdp/session_description.h"

#include <gtest/gtest.h>

namespace keystub::sdp {
namespace {

const std::string kDescription =
    "v=0\r\n"
    "o=mrfc 2890844526 3 IN IP6 2001:db8::11\r\n"
    "s= -\r\n"
    "c=IN IP6 2001:db8::11\r\n"
    "b=AS:64\r\n"
    "t=0 0\r\n"
    "a=key-mgmt:mikey AAAA\r\n"
    "a=setup:passive\r\n"
    "m=message 7394 TCP/TLS/MSRP *\r\n"
    "a=accept-types:text/plain message/cpim *\r\n"
    "a=path:msrps://relay.example:9/r;tcp msrps://[2001:db8::11]:7394/jshA7we;tcp\r\n"
    "a=setup:actpass\r\n"
    "a=connection:existing\r\n"
    "a=msrp-cema\r\n"
    "a=key-mgmt:mikey BBBB\r\n"
    "a=key-mgmt:other CCCC\r\n"
    "m=application 9 TCP/BFCP *\r\n"
    "c=IN IP4 192.0.2.1\r\n"
    "q=unknown line: kept\r\n"
    "a=floorctrl:c-s\r\n"
    "m=audio 49170/2 RTP/AVP 0 96\r\n";

SessionDescription description_of(std::string_view text) {
  auto parsed = SessionDescription::parse(text);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().describe();
  return *std::move(parsed);
}
std::string minimal(std::string_view more = "") {
  return "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n" + std::string(more);
}
Error fault_of(std::string_view text, const Limits& limits = {}) {
  auto parsed = SessionDescription::parse(text, limits);
  EXPECT_FALSE(parsed.has_value()) << text;
  return parsed ? Error(Category::internal, "accepted") : parsed.error();
}

TEST(Sdp, WritesExactlyWhatItRead) {
  EXPECT_EQ(description_of(kDescription).to_string(), kDescription);
  // Unknown lines, odd orders, double spaces and attributes that nobody knows.
  const std::string odd =
      "v=0\r\nz=1 2\r\ns=\r\no=-  1 1 IN IP4 h\r\nx=\r\na=\r\na=:\r\na=flag\r\na=flag:\r\na=A:b:c "
      "\r\n"
      "m=message  7 TCP/MSRP  * \r\nk=clear:x\r\nx=y\r\n";
  EXPECT_EQ(description_of(odd).to_string(), odd);
}

TEST(Sdp, TakesBothLineEndsAndWritesCrLf) {
  std::string unix_ends;
  for (const char c : kDescription) {
    if (c != '\r') unix_ends += c;
  }
  EXPECT_EQ(description_of(unix_ends).to_string(), kDescription);
  EXPECT_EQ(description_of(kDescription.substr(0, kDescription.size() - 2)).to_string(),
            kDescription);
  EXPECT_EQ(description_of(kDescription + "\r\n\n").to_string(), kDescription);
}

TEST(Sdp, ReadsTypedLines) {
  const SessionDescription offer = description_of(kDescription);
  EXPECT_EQ(offer.origin().value(),
            (Origin{"mrfc", "2890844526", "3", "IN", "IP6", "2001:db8::11"}));
  ASSERT_EQ(offer.media().size(), 3U);
  EXPECT_EQ(offer.media()[0].media_line(),
            (MediaLine{"message", 7394, std::nullopt, "TCP/TLS/MSRP", {"*"}}));
  EXPECT_EQ(offer.media()[2].media_line(), (MediaLine{"audio", 49170, 2, "RTP/AVP", {"0", "96"}}));
  EXPECT_EQ(offer.connection(0).value(), Connection::to("2001:db8::11"));
  EXPECT_EQ(offer.connection(1).value(), Connection::to("192.0.2.1"));
  EXPECT_EQ(*offer.session().line('b'), "AS:64");
  EXPECT_EQ(offer.session().line('k'), nullptr);
}

TEST(Sdp, LooksAttributesUpInTheMediaThenInTheSession) {
  const SessionDescription offer = description_of(kDescription);
  EXPECT_EQ(offer.attribute(0, "setup"), "actpass");
  EXPECT_EQ(offer.attribute(1, "setup"), "passive");
  EXPECT_EQ(offer.attribute(0, "msrp-cema"), "");
  EXPECT_EQ(offer.attribute(1, "msrp-cema"), std::nullopt);
  EXPECT_EQ(offer.attribute(0, "SETUP"), std::nullopt);
  EXPECT_EQ(offer.attribute(0, "set"), std::nullopt);
  EXPECT_EQ(offer.setup(0).value(), sdp::Setup::actpass);
  EXPECT_EQ(offer.setup(1).value(), sdp::Setup::passive);
  EXPECT_EQ(offer.connection_use(0).value(), ConnectionUse::existing);
  EXPECT_EQ(offer.connection_use(1).value(), ConnectionUse::fresh);
}

TEST(Sdp, KeyManagementOfTheMediaOverridesThatOfTheSession) {
  const SessionDescription offer = description_of(kDescription);
  EXPECT_EQ(offer.key_mgmt(0), (std::vector<std::string_view>{"mikey BBBB", "other CCCC"}));
  EXPECT_EQ(offer.key_mgmt(1), (std::vector<std::string_view>{"mikey AAAA"}));
}

TEST(Sdp, ReadsPathAndAcceptTypes) {
  const SessionDescription offer = description_of(kDescription);
  EXPECT_EQ(offer.media()[0].path(),
            (std::vector<std::string>{"msrps://relay.example:9/r;tcp",
                                      "msrps://[2001:db8::11]:7394/jshA7we;tcp"}));
  EXPECT_EQ(offer.media()[0].accept_types(),
            (std::vector<std::string>{"text/plain", "message/cpim", "*"}));
  EXPECT_TRUE(offer.media()[1].path().empty());
}

TEST(Sdp, TypedAttributesRefuseOtherValues) {
  const SessionDescription bad =
      description_of(minimal("m=message 7 TCP/MSRP *\r\na=setup:both\r\na=connection:old\r\n"));
  EXPECT_FALSE(bad.setup(0).has_value());
  EXPECT_FALSE(bad.connection_use(0).has_value());
  EXPECT_FALSE(bad.connection(0).has_value());
}

TEST(Sdp, ErrorsNameTheLineAndThePlace) {
  const Error fault = fault_of(minimal("m=message x TCP/MSRP *\r\n"));
  EXPECT_EQ(fault.category(), Category::malformed);
  EXPECT_EQ(fault.describe(),
            "line 5: the port of m= is not a number up to 65535 "
            "(SDP, payload m=, octet 43, RFC 8866 5.14)");
}

TEST(Sdp, RefusesFaultyDescriptions) {
  for (const std::string& text :
       {std::string(),
        std::string("\r\n"),
        std::string("v=1\r\n"),
        std::string("o=- 1 1 IN IP4 h\r\nv=0\r\n"),
        std::string("v=0\r\ns=-\r\n"),
        std::string("v=0\r\no=- 1 1 IN IP4 h\r\n"),
        std::string("v=0\r\nm=message 7 TCP/MSRP *\r\no=- 1 1 IN IP4 h\r\ns=-\r\n"),
        minimal("v=0\r\n"),
        minimal("\r\na=x\r\n"),
        minimal("a\r\n"),
        minimal("A=x\r\n"),
        minimal("ab=x\r\n"),
        minimal(" a=x\r\n"),
        minimal("a=x\ry\r\n"),
        minimal("a=x\r\r\n"),
        minimal(std::string("a=x\0y\r\n", 7)),
        minimal("c=IN IP4\r\n"),
        minimal("c=IN IP4 h x\r\n"),
        minimal("o=- 1 x IN IP4 h\r\n"),
        minimal("m=message 7 TCP/MSRP\r\n"),
        minimal("m=\r\n"),
        minimal("m=message 65536 TCP/MSRP *\r\n"),
        minimal("m=message -1 TCP/MSRP *\r\n"),
        minimal("m=message 7/0 TCP/MSRP *\r\n"),
        minimal("m=message 7/x TCP/MSRP *\r\n"),
        minimal("m=message 7 TCP//MSRP *\r\n"),
        minimal("m=mess/age 7 TCP *\r\n"),
        minimal("m=message 7 TCP \x01\r\n")}) {
    EXPECT_EQ(fault_of(text).category(), Category::malformed);
  }
}

TEST(Sdp, LimitsSizeAndCount) {
  Limits limits;
  limits.max_lines = 6;
  limits.max_media = 1;
  limits.max_line_octets = 40;
  const std::string fits = minimal("m=message 7 TCP/MSRP *\r\na=" + std::string(38, 'x') + "\r\n");
  limits.max_octets = fits.size();
  EXPECT_TRUE(SessionDescription::parse(fits, limits).has_value());
  EXPECT_EQ(fault_of(fits + "\n", limits).category(), Category::busy);
  limits.max_octets = 10000;
  EXPECT_EQ(fault_of(fits + "a=y\r\n", limits).category(), Category::busy);
  EXPECT_EQ(fault_of(minimal("a=" + std::string(39, 'x')), limits).category(), Category::busy);
  EXPECT_EQ(fault_of(minimal("m=a 7 B *\r\nm=a 7 B *\r\n"), limits).category(), Category::busy);
}

TEST(Sdp, BuildsADescription) {
  auto built = SessionDescription::make({"-", "1", "2", "IN", "IP4", "192.0.2.1"},
                                        Connection::to("192.0.2.1"));
  ASSERT_TRUE(built.has_value());
  MediaSection media = MediaSection::make({"message", 9, {}, "TCP/TLS/MSRP", {"*"}}).value();
  EXPECT_TRUE(media.add_attribute("accept-types", "text/plain").has_value());
  EXPECT_TRUE(media.add_attribute("msrp-cema").has_value());
  EXPECT_TRUE(media.set_connection(Connection::to("2001:db8::1")).has_value());
  EXPECT_TRUE(media.add_line('b', "AS:10").has_value());
  EXPECT_TRUE(media.add_line('i', "chat").has_value());
  built->media().push_back(media);
  EXPECT_TRUE(built->session().add_attribute("key-mgmt", "mikey AAAA").has_value());
  EXPECT_TRUE(built->session().add_line('b', "AS:20").has_value());
  EXPECT_EQ(built->to_string(),
            "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nb=AS:20\r\nt=0 0\r\n"
            "a=key-mgmt:mikey AAAA\r\n"
            "m=message 9 TCP/TLS/MSRP *\r\ni=chat\r\nc=IN IP6 2001:db8::1\r\nb=AS:10\r\n"
            "a=accept-types:text/plain\r\na=msrp-cema\r\n");
  EXPECT_EQ(description_of(built->to_string()), *built);
}

TEST(Sdp, ChangesAttributesAndLines) {
  SessionDescription offer = description_of(kDescription);
  MediaSection& media = offer.media()[0];
  EXPECT_TRUE(media.set_attribute("key-mgmt", "mikey DDDD").has_value());
  EXPECT_EQ(media.attributes("key-mgmt"), (std::vector<std::string_view>{"mikey DDDD"}));
  EXPECT_TRUE(media.set_attribute("setup", "active").has_value());
  EXPECT_TRUE(media.set_attribute("sendrecv").has_value());
  media.remove_attributes("msrp-cema");
  MediaLine line = media.media_line();
  line.port = 9;
  EXPECT_TRUE(media.set_media_line(line).has_value());
  EXPECT_TRUE(offer.set_origin({"x", "1", "4", "IN", "IP4", "h"}).has_value());
  const std::string text = offer.to_string();
  EXPECT_TRUE(text.contains("o=x 1 4 IN IP4 h\r\n"));
  EXPECT_TRUE(text.contains(
      "m=message 9 TCP/TLS/MSRP *\r\na=accept-types:text/plain message/cpim *\r\n"
      "a=path:msrps://relay.example:9/r;tcp msrps://[2001:db8::11]:7394/jshA7we;tcp\r\n"
      "a=setup:active\r\na=connection:existing\r\na=key-mgmt:mikey DDDD\r\na=sendrecv\r\n"
      "m=application"));
  media.remove_lines('m');
  EXPECT_EQ(offer.to_string(), text);
  // A name that is a view into the section itself.
  EXPECT_TRUE(media.add_attribute("setup", "passive").has_value());
  EXPECT_TRUE(media.set_attribute("setup", media.attribute("setup")).has_value());
  EXPECT_EQ(media.attributes("setup"), (std::vector<std::string_view>{"active"}));
}

TEST(Sdp, NothingCanBreakOutOfItsLine) {
  SessionDescription offer = description_of(kDescription);
  Section& session = offer.session();
  const std::string before = offer.to_string();
  EXPECT_FALSE(session.add_attribute("x", "y\r\na=setup:active").has_value());
  EXPECT_FALSE(session.add_attribute("x", "y\n").has_value());
  EXPECT_FALSE(session.add_attribute("x:y").has_value());
  EXPECT_FALSE(session.add_attribute("").has_value());
  EXPECT_FALSE(session.set_attribute("setup", "y\n").has_value());
  EXPECT_FALSE(session.add_line('a', "\r").has_value());
  EXPECT_FALSE(session.add_line('A', "x").has_value());
  EXPECT_FALSE(session.add_line('m', "audio 9 RTP/AVP 0").has_value());
  EXPECT_FALSE(session.set_connection({"IN", "IP4", "192.0.2.1\r\na=x"}).has_value());
  EXPECT_FALSE(session.set_connection({"IN", "IP4", ""}).has_value());
  EXPECT_FALSE(offer.set_origin({"a b", "1", "1", "IN", "IP4", "h"}).has_value());
  EXPECT_FALSE(offer.set_origin({"a", "one", "1", "IN", "IP4", "h"}).has_value());
  EXPECT_FALSE(
      offer.media()[0].set_media_line({"message", 9, {}, "TCP", {"*", "a b"}}).has_value());
  EXPECT_FALSE(offer.media()[0].set_media_line({"mess age", 9, {}, "TCP", {"*"}}).has_value());
  EXPECT_FALSE(offer.media()[0].set_media_line({"message", 9, {}, "TCP", {}}).has_value());
  EXPECT_FALSE(SessionDescription::make({"-", "1", "1", "IN", "IP4", "h"}, {}, "a\nb").has_value());
  EXPECT_EQ(offer.to_string(), before);
}

}  // namespace
}  // namespace keystub::sdp
