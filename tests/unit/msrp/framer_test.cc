// The incremental framer: frames cut anywhere, bounded, streaming (RFC 4975 7.1 and 9).
#include "msrp/framer.h"

#include <gtest/gtest.h>

#include <chrono>

namespace keystub::msrp {
namespace {

const std::string kHeaders =
    "To-Path: msrp://bob:8/s;tcp\r\nFrom-Path: msrp://alice:7/t;tcp\r\nMessage-ID: 1234\r\n";

std::string send(const std::string& body, const std::string& id = "d93kswow",
                 const std::string& flag = "$") {
  return "MSRP " + id + " SEND\r\n" + kHeaders + "Content-Type: text/plain\r\n\r\n" + body +
         "\r\n-------" + id + flag + "\r\n";
}

// What came out, as text: "[id method|body|flag]" per frame.
struct Reader {
  Framer framer;
  std::string log;
  std::size_t body_events = 0;
  std::optional<Error> fault;

  explicit Reader(FramerLimits limits = {}) : framer(limits) {}

  void feed(std::string_view text) {
    // A copy of exactly this size, so that a sanitizer sees every octet read too far.
    const ByteVector copy = to_vector(as_bytes(text));
    Bytes input = copy;
    while (true) {
      auto event = framer.next(input);
      if (!event) {
        fault = event.error();
        return;
      }
      if (!event->has_value()) return;
      if (const auto* head = std::get_if<HeadEvent>(&**event)) {
        log.append("[").append(head->raw.transaction_id).append(" ");
        log.append(head->raw.method.empty() ? std::to_string(head->raw.status_code)
                                            : std::string(head->raw.method));
        log.append(head->raw.has_body ? "|" : "-");
      } else if (const auto* body = std::get_if<BodyEvent>(&**event)) {
        EXPECT_FALSE(body->piece.empty());
        ++body_events;
        log.append(as_text(body->piece));
      } else {
        log.append("|").append(1, static_cast<char>(std::get<EndEvent>(**event).flag)).append("]");
      }
    }
  }
};

std::string frames(std::string_view text) {
  Reader reader;
  reader.feed(text);
  EXPECT_FALSE(reader.fault.has_value()) << reader.fault->describe();
  return reader.log;
}
std::optional<Error> fault_of(std::string_view text, FramerLimits limits = {}) {
  Reader reader(limits);
  reader.feed(text);
  return reader.fault;
}

TEST(MsrpFramer, CutsFramesOutOfAStream) {
  EXPECT_EQ(frames(send("Hey", "a786hjs2") + "MSRP a786hjs2 200 OK\r\n" + kHeaders +
                   "-------a786hjs2$\r\n" + send("ab", "dkei", "+") + send("", "dkej", "#")),
            "[a786hjs2 SEND|Hey|$][a786hjs2 200-|$][dkei SEND|ab|+][dkej SEND||#]");
}

TEST(MsrpFramer, BodilessRequestsDifferFromEmptyBodies) {
  EXPECT_EQ(frames("MSRP d93kswow SEND\r\n" + kHeaders + "-------d93kswow$\r\n"),
            "[d93kswow SEND-|$]");
  EXPECT_EQ(frames(send("")), "[d93kswow SEND||$]");
  // As some peers write an empty body: without the CRLF that belongs to the end-line.
  EXPECT_EQ(
      frames("MSRP d93kswow SEND\r\n" + kHeaders + "Content-Type: a/b\r\n\r\n-------d93kswow$\r\n"),
      "[d93kswow SEND||$]");
}

const char* const kTrickyBodies[] = {
    "plain",
    "\r\n",
    "\r\n\r\n\r",
    "\r\r\r\r\n-\r\n--\r\n------",
    "\r\n-------",
    "\r\n-------d93kswo",
    "\r\n-------d93kswow",        // without a flag
    "\r\n-------d93kswowX$\r\n",  // a longer id
    "\r\n-------d93kswowX\r\n-------d93ksw",
    "-------other123$\r\nMSRP other123 200 OK\r\n\r\n-------other123$\r\n",
    "x-------d93kswow",
    "-------d93kswow",  // right behind the headers, no flag
    "------\r\n-------\r\n-------d93\r\n-------d93kswow\r",
};

TEST(MsrpFramer, KeepsBodiesThatLookLikeEndLines) {
  for (const std::string body : kTrickyBodies) {
    EXPECT_EQ(frames(send(body)), "[d93kswow SEND|" + body + "|$]");
  }
  const std::string binary("\0\xFF\r\0\n", 5);
  EXPECT_EQ(frames(send(binary)), "[d93kswow SEND|" + binary + "|$]");
}

TEST(MsrpFramer, ReadsTheSameFramesHoweverTheStreamIsTorn) {
  std::string stream;
  std::string expected;
  for (const std::string body : kTrickyBodies) {
    stream += send(body) + "MSRP abcd 413 stop\r\n" + kHeaders + "-------abcd$\r\n";
    expected += "[d93kswow SEND|" + body + "|$][abcd 413-|$]";
  }
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    Reader reader;
    reader.feed(std::string_view(stream).substr(0, cut));
    reader.feed(std::string_view(stream).substr(cut));
    ASSERT_FALSE(reader.fault.has_value()) << cut << ": " << reader.fault->describe();
    ASSERT_EQ(reader.log, expected) << cut;
    ASSERT_TRUE(reader.framer.between_frames());
  }
  for (std::size_t size = 1; size < 60; ++size) {
    Reader reader;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      reader.feed(std::string_view(stream).substr(at, size));
    }
    ASSERT_EQ(reader.log, expected) << size;
  }
}

TEST(MsrpFramer, HandsBodiesOnAsTheyArrive) {
  Reader reader;
  reader.feed("MSRP abcd SEND\r\n" + kHeaders + "Content-Type: a/b\r\n\r\nfirst\r\nsecond");
  EXPECT_EQ(reader.log, "[abcd SEND|first\r\nsecond");
  EXPECT_EQ(reader.body_events, 1U);  // a line end alone does not cut a piece
  EXPECT_FALSE(reader.framer.between_frames());
}

TEST(MsrpFramer, RefusesWhatIsNoFrame) {
  for (const std::string text :
       {"GET / HTTP/1.1\r\n", "X", "msrp abcd SEND\r\n", "MSRP abc SEND\r\n", "MSRP abcd\r\n",
        "MSRP abcd \r\n", "MSRP abcd send\r\n", "MSRP abcd 20\r\n", "MSRP abcd 2000\r\n",
        "MSRP abcd 200OK\r\n", "MSRP  abcd SEND\r\n", "MSRP abcd SEND \r\n", "MSRP abcd SEND\n",
        "MSRP -bcd SEND\r\n", "MSRP ab_d SEND\r\n",
        "MSRP 123456789012345678901234567890123 SEND\r\n", "MSRP abcd 200 a\x01\r\n",
        "MSRP abcd SEND\r\nTo-Path: x\n", "\r\n"}) {
    const auto fault = fault_of(text);
    ASSERT_TRUE(fault.has_value()) << text;
    EXPECT_EQ(fault->category(), Category::malformed);
    EXPECT_EQ(fault->place()->message, "MSRP frame");
  }
}

TEST(MsrpFramer, NoticesAnotherProtocolAtTheFirstOctets) {
  EXPECT_TRUE(fault_of("\x16\x03\x01").has_value());
  EXPECT_TRUE(fault_of("MSRQ").has_value());
  EXPECT_FALSE(fault_of("MSR").has_value());
}

TEST(MsrpFramer, RefusesAFaultyEndLine) {
  const std::string head = "MSRP abcd SEND\r\n" + kHeaders;
  for (const char* line : {"-------abce$", "-------abcd", "-------abcd!", "-------abcdx$",
                           "--------abcd$", "-------"}) {
    const auto fault = fault_of(head + line + "\r\n");
    ASSERT_TRUE(fault.has_value()) << line;
    EXPECT_EQ(fault->place()->payload, "end-line");
    EXPECT_EQ(fault->place()->offset, head.size());
  }
  EXPECT_TRUE(fault_of(head + "Content-Type: a/b\r\n\r\nx\r\n-------abcd$x").has_value());
  EXPECT_TRUE(fault_of(head + "Content-Type: a/b\r\n\r\nx\r\n-------abcd$\rx").has_value());
}

TEST(MsrpFramer, RefusesAResponseWithABody) {
  EXPECT_TRUE(fault_of("MSRP abcd 200 OK\r\n" + kHeaders + "\r\nx").has_value());
}

TEST(MsrpFramer, LimitsTheHeaders) {
  FramerLimits limits;
  limits.max_head_octets = 200;
  const std::string head = "MSRP abcd SEND\r\n";
  const std::string line = "X: " + std::string(200 - head.size() - 5, 'x') + "\r\n";
  EXPECT_FALSE(fault_of(head + line, limits).has_value());
  const auto fault = fault_of(head + line + "Y", limits);
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->category(), Category::busy);
  // Also without any line end, and torn into single octets.
  Reader reader(limits);
  const std::string endless = "MSRP " + std::string(300, 'a');
  for (std::size_t i = 0; i < endless.size() && !reader.fault; ++i)
    reader.feed(endless.substr(i, 1));
  EXPECT_TRUE(reader.fault.has_value());
}

TEST(MsrpFramer, LimitsBodies) {
  FramerLimits limits;
  limits.max_body_octets = 10;
  limits.max_other_body_octets = 4;
  EXPECT_FALSE(fault_of(send("0123456789"), limits).has_value());
  EXPECT_TRUE(fault_of(send("0123456789a"), limits).has_value());
  EXPECT_TRUE(fault_of(send("01234567\r\n-"), limits).has_value());
  const auto report = [](const std::string& body) {
    return "MSRP abcd REPORT\r\n" + kHeaders + "Content-Type: a/b\r\n\r\n" + body +
           "\r\n-------abcd$\r\n";
  };
  EXPECT_FALSE(fault_of(report("0123"), limits).has_value());
  EXPECT_TRUE(fault_of(report("01234"), limits).has_value());
}

TEST(MsrpFramer, AFaultStaysAFault) {
  Reader reader;
  reader.feed("nonsense");
  ASSERT_TRUE(reader.fault.has_value());
  const std::string first = reader.fault->describe();
  reader.fault.reset();
  reader.feed(send("Hey"));
  ASSERT_TRUE(reader.fault.has_value());
  EXPECT_EQ(reader.fault->describe(), first);
  EXPECT_EQ(reader.log, "");
}

TEST(MsrpFramer, TakesTimeInProportionToTheInputInTheWorstCases) {
  // The worst bodies for a delimiter search, once in single octets and once in one piece. A
  // quadratic framer would need minutes for these four megaoctets.
  for (const std::string unit : {"\r", "\r\n-------d93kswow", "\r\n-------d93ksw"}) {
    std::string body;
    while (body.size() < (4 << 20)) body += unit;
    const std::string frame = send(body);
    const auto start = std::chrono::steady_clock::now();
    Framer framer;
    std::size_t octets = 0;
    for (const bool torn : {true, false}) {
      for (std::size_t at = 0; at < frame.size();) {
        const std::size_t size = torn ? 1 : frame.size();
        Bytes input = as_bytes(std::string_view(frame).substr(at, size));
        while (const auto event = framer.next(input).value()) {
          if (const auto* piece = std::get_if<BodyEvent>(&*event)) octets += piece->piece.size();
        }
        at += size;
      }
    }
    EXPECT_EQ(octets, 2 * body.size());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  }
}

}  // namespace
}  // namespace keystub::msrp
