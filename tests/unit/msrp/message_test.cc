// Headers of MSRP messages: read, written, refused (RFC 4975 sections 7 and 9).
#include "msrp/message.h"

#include <gtest/gtest.h>

#include "msrp/framer.h"
#include "tests/support/scripted_random.h"

namespace keystub::msrp {
namespace {

constexpr std::string_view kPaths =
    "To-Path: msrp://bob.example:8888/9di4;tcp\r\n"
    "From-Path: msrp://alice.example:7777/iau3;tcp\r\n";

// The head of the one frame in `text`, and its first fault.
struct Read {
  Head head;
  std::optional<Error> fault;
};
Read read(std::string_view text) {
  Framer framer;
  Bytes input = as_bytes(text);
  const auto event = framer.next(input).value();
  Read out;
  auto parsed = parse_head(std::get<HeadEvent>(event.value()).raw, out.head);
  if (!parsed) out.fault = parsed.error();
  return out;
}
Read read_send(std::string_view headers) {
  return read("MSRP a786hjs2 SEND\r\n" + std::string(kPaths) + std::string(headers) +
              "-------a786hjs2$\r\n");
}

TEST(MsrpMessage, ReadsAllHeadersOfARequest) {
  const auto [head, fault] = read(
      "MSRP a786hjs2 SEND\r\n"
      "to-path: msrp://bob.example:8888/9di4;tcp\r\n"
      "From-Path: msrp://relay.example:9/r;tcp msrp://alice.example:7777/iau3;tcp\r\n"
      "Message-ID: 87652491\r\nX-First: one\r\nByte-Range: 26-*/51\r\nSuccess-Report: yes\r\n"
      "Failure-Report: partial\r\nX-Second: t\xC3\xA4st\r\n"
      "Content-Type: text/plain;charset=utf-8\r\n\r\nbody\r\n-------a786hjs2+\r\n");
  EXPECT_FALSE(fault.has_value());
  EXPECT_EQ(head.transaction_id, "a786hjs2");
  EXPECT_EQ(head.method, kSend);
  EXPECT_EQ(head.to_path.at(0).host, "bob.example");
  EXPECT_EQ(head.from_path.size(), 2U);
  EXPECT_EQ(head.message_id, "87652491");
  EXPECT_EQ(head.byte_range, (ByteRange{26, std::nullopt, 51}));
  EXPECT_TRUE(head.success_report);
  EXPECT_EQ(head.failure_report, FailureReport::partial);
  EXPECT_EQ(head.other_headers,
            (std::vector<Header>{{"X-First", "one"}, {"X-Second", "t\xC3\xA4st"}}));
  EXPECT_EQ(head.content_type, "text/plain;charset=utf-8");
}

TEST(MsrpMessage, AbsentReportHeadersMeanFailureReportsAndNoSuccessReports) {
  const auto [head, fault] = read_send("Message-ID: 1234\r\n");
  EXPECT_FALSE(fault.has_value());
  EXPECT_FALSE(head.success_report);
  EXPECT_EQ(head.failure_report, FailureReport::yes);
  EXPECT_FALSE(head.content_type.has_value());
}

TEST(MsrpMessage, ReadsAReportAndAResponse) {
  const auto report = read("MSRP dkei38sd REPORT\r\n" + std::string(kPaths) +
                           "Message-ID: 12339sdqwer\r\nByte-Range: 1-106/106\r\n"
                           "Status: 000 200 OK then\r\n-------dkei38sd$\r\n");
  EXPECT_FALSE(report.fault.has_value());
  EXPECT_EQ(report.head.status, (Status{0, 200, "OK then"}));

  const auto response =
      read("MSRP dkei38sd 481 no such session\r\n" + std::string(kPaths) + "-------dkei38sd$\r\n");
  EXPECT_FALSE(response.fault.has_value());
  EXPECT_TRUE(response.head.is_response());
  EXPECT_EQ(response.head.status_code, 481);
  EXPECT_EQ(response.head.comment, "no such session");
}

TEST(MsrpMessage, NamesTheFirstFaultAndKeepsWhatCouldBeRead) {
  const auto [head, fault] =
      read_send("Byte-Range: 0-5/5\r\nMessage-ID: ok12\r\nFailure-Report: perhaps\r\n");
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->category(), Category::malformed);
  EXPECT_EQ(fault->place()->payload, "Byte-Range");
  EXPECT_EQ(fault->place()->offset,
            std::string_view("MSRP a786hjs2 SEND\r\n").size() + kPaths.size());
  EXPECT_EQ(head.message_id, "ok12");
  EXPECT_EQ(head.from_path.size(), 1U);
}

TEST(MsrpMessage, RefusesFaultyHeaders) {
  for (const char* line : {"Byte-Range: 1-2",
                           "Byte-Range: -2/3",
                           "Byte-Range: 9-2/9",
                           "Byte-Range: 1-x/3",
                           "Byte-Range: 1-2/",
                           "Byte-Range: 1/2-3",
                           "Byte-Range: 99999999999999999999-*/*",
                           "Byte-Range: +1-2/2",
                           "Message-ID: abc",
                           "Message-ID: has space",
                           "Message-ID: 123456789012345678901234567890123",
                           "Success-Report: partial",
                           "Failure-Report: ",
                           "Status: 200",
                           "Status: 0 200",
                           "Status: 000 2000",
                           "no colon here",
                           ": no name",
                           "9abc: x",
                           "Bad Name: x",
                           "X: a\x01z",
                           "X: a\x7Fz",
                           "To-Path: msrp://bob.example:8888/9di4;tcp",
                           "Content-Type: text/plain"}) {
    EXPECT_TRUE(read_send(std::string(line) + "\r\n").fault.has_value()) << line;
  }
  for (const char* type : {"text", "/plain", "text/", "te xt/plain", ""}) {
    const auto [head, fault] = read("MSRP a786hjs2 SEND\r\n" + std::string(kPaths) +
                                    "Content-Type: " + type + "\r\n\r\n\r\n-------a786hjs2$\r\n");
    EXPECT_TRUE(fault.has_value()) << type;
  }
  EXPECT_TRUE(read("MSRP a786hjs2 SEND\r\n-------a786hjs2$\r\n").fault.has_value());
  EXPECT_TRUE(read("MSRP a786hjs2 SEND\r\n" + std::string(kPaths) + "\r\nx\r\n-------a786hjs2$\r\n")
                  .fault.has_value());
}

TEST(MsrpMessage, WritesARequestThatReadsBackTheSame) {
  testing::ScriptedRandom random;
  Head head;
  head.method = kSend;
  head.to_path = parse_path("msrp://bob.example:8888/9di4;tcp").value();
  head.from_path = parse_path("msrp://alice.example:7777/iau3;tcp").value();
  head.message_id = "1234";
  head.byte_range = ByteRange{1, 3, 3};
  head.success_report = true;
  head.failure_report = FailureReport::no;
  head.other_headers = {{"Content-Disposition", "render"}};
  head.content_type = "text/plain";
  ByteVector out;
  const std::string id = write_request(head, as_bytes("abc"), Flag::complete, random, out).value();
  EXPECT_EQ(as_text(out), "MSRP " + id + " SEND\r\n" + std::string(kPaths) +
                              "Message-ID: 1234\r\nByte-Range: 1-3/3\r\nSuccess-Report: yes\r\n"
                              "Failure-Report: no\r\nContent-Disposition: render\r\n"
                              "Content-Type: text/plain\r\n\r\nabc\r\n-------" +
                              id + "$\r\n");
}

TEST(MsrpMessage, ChoosesATransactionIdThatTheBodyDoesNotHold) {
  testing::ScriptedRandom random;
  random.push_hex("00112233445566778899");
  random.push_hex("ffeeddccbbaa99887766");
  const std::string body = "text -------00112233445566778899$ text";
  EXPECT_EQ(make_transaction_id(random, as_bytes(body)).value(), "ffeeddccbbaa99887766");
}

TEST(MsrpMessage, AFailingRandomSourceIsAnError) {
  testing::ScriptedRandom random;
  random.fail_from_now_on();
  EXPECT_FALSE(make_transaction_id(random).has_value());
  EXPECT_FALSE(make_message_id(random).has_value());
}

TEST(MsrpMessage, AnswersASendToThePreviousHopAndOtherMethodsAlongThePath) {
  Head request;
  request.transaction_id = "a786hjs2";
  request.method = kSend;
  request.from_path = parse_path("msrp://relay:9/r;tcp msrp://alice:7/i;tcp").value();
  const Uri local = Uri::parse("msrp://bob:8/s;tcp").value();
  ByteVector out;
  write_response(request, kOk, "OK", local, out);
  EXPECT_EQ(as_text(out),
            "MSRP a786hjs2 200 OK\r\nTo-Path: msrp://relay:9/r;tcp\r\n"
            "From-Path: msrp://bob:8/s;tcp\r\n-------a786hjs2$\r\n");
  out.clear();
  request.method = "NICKNAME";
  write_response(request, kUnknownMethod, "", local, out);
  EXPECT_EQ(as_text(out),
            "MSRP a786hjs2 501\r\nTo-Path: msrp://relay:9/r;tcp msrp://alice:7/i;tcp\r\n"
            "From-Path: msrp://bob:8/s;tcp\r\n-------a786hjs2$\r\n");
}

}  // namespace
}  // namespace keystub::msrp
