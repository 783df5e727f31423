// The shape of an answer (RFC 3264 section 6).
#include "sdp/offer_answer.h"

#include <gtest/gtest.h>

namespace keystub::sdp {
namespace {

const std::string kOffer =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n"
    "t=3034423619 3042462419\r\nr=7d 1h 0 25h\r\nt=1 2\r\na=key-mgmt:mikey AAAA\r\n"
    "m=audio 49170/2 RTP/AVP 0 96\r\na=rtpmap:96 x/8000\r\n"
    "m=message 7394 TCP/TLS/MSRP *\r\na=setup:actpass\r\n"
    "m=application 0 TCP/TLS/BFCP *\r\n";
const Origin kOrigin{"-", "7", "1", "IN", "IP6", "2001:db8::1"};

SessionDescription read(std::string_view text) { return SessionDescription::parse(text).value(); }

TEST(OfferAnswer, RejectsEverythingThatIsNotTakenInTheOffersOrder) {
  const SessionDescription offer = read(kOffer);
  SessionDescription answer =
      make_rejecting_answer(offer, kOrigin, Connection::to("2001:db8::1")).value();
  EXPECT_EQ(answer.to_string(),
            "v=0\r\no=- 7 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\n"
            "t=3034423619 3042462419\r\nr=7d 1h 0 25h\r\nt=1 2\r\n"
            "m=audio 0 RTP/AVP 0 96\r\nm=message 0 TCP/TLS/MSRP *\r\n"
            "m=application 0 TCP/TLS/BFCP *\r\n");
  EXPECT_TRUE(check_answer(offer, answer).has_value());
  for (const MediaSection& media : answer.media()) EXPECT_TRUE(media.rejected());

  MediaLine line = answer.media()[1].media_line();
  line.port = 9;
  EXPECT_TRUE(answer.media()[1].set_media_line(line).has_value());
  EXPECT_FALSE(answer.media()[1].rejected());
  EXPECT_TRUE(check_answer(offer, answer).has_value());
}

TEST(OfferAnswer, AnOfferWithoutTimesGetsTheUnboundedTime) {
  const SessionDescription offer = read("v=0\no=- 1 1 IN IP4 h\ns=-\nm=message 7 TCP/MSRP *\n");
  EXPECT_EQ(make_rejecting_answer(offer, kOrigin).value().to_string(),
            "v=0\r\no=- 7 1 IN IP6 2001:db8::1\r\ns=-\r\nt=0 0\r\nm=message 0 TCP/MSRP *\r\n");
}

TEST(OfferAnswer, RefusesAnswersOfAnotherShape) {
  const SessionDescription offer = read(kOffer);
  const std::string head = "v=0\no=- 1 1 IN IP4 h\ns=-\n";
  const std::string audio = "m=audio 9 RTP/AVP 0\n";
  const std::string message = "m=message 9 TCP/TLS/MSRP *\n";
  const std::string bfcp = "m=application 0 TCP/TLS/BFCP *\n";
  EXPECT_TRUE(check_answer(offer, read(head + audio + message + bfcp)).has_value());
  EXPECT_TRUE(
      check_answer(offer, read(head + audio + "m=message 9 tcp/tls/msrp *\n" + bfcp)).has_value());
  for (const std::string& media :
       {audio + message, audio + message + bfcp + bfcp, message + audio + bfcp, std::string(),
        audio + "m=message 9 TCP/MSRP *\n" + bfcp,
        audio + message + "m=application 9 TCP/TLS/BFCP *\n"}) {
    const auto checked = check_answer(offer, read(head + media));
    ASSERT_FALSE(checked.has_value()) << media;
    EXPECT_EQ(checked.error().category(), Category::malformed);
  }
}

}  // namespace
}  // namespace keystub::sdp
