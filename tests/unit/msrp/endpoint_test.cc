// The protocol state of one session end (RFC 4975 5.3, 7 and 10).
#include "msrp/endpoint.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"

namespace keystub::msrp {
namespace {

using testing::FakeClock;
using namespace std::chrono_literals;

const std::string kAlice = "msrps://alice.example:7777/iau3;tcp";
const std::string kBob = "msrps://bob.example:8888/9di4;tcp";
const std::string kToBob = "To-Path: " + kBob + "\r\nFrom-Path: " + kAlice + "\r\n";
const std::string kToAlice = "To-Path: " + kAlice + "\r\nFrom-Path: " + kBob + "\r\n";

// Never repeats, unlike ScriptedRandom: these tests draw many transaction ids.
class CountingRandom final : public RandomSource {
 public:
  Result<void> fill(MutableBytes out) override {
    ++count_;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = i < 8 ? static_cast<std::uint8_t>(count_ >> (8 * i)) : std::uint8_t{0xA5};
    }
    return {};
  }

 private:
  std::uint64_t count_ = 0;
};

struct Recorder final : Endpoint::Listener {
  std::vector<ReceivedMessage> messages;
  std::string chunks;  // "begin(id@offset/total)data|flag"
  std::vector<std::string> results;
  std::vector<std::string> refusals;
  std::vector<DeliveryReport> reports;
  Endpoint::Verdict verdict;  // for on_message and on_chunk_begin
  Endpoint::Verdict data_verdict;
  std::function<void()> on_event = [] {};

  Endpoint::Verdict on_message(ReceivedMessage message) override {
    messages.push_back(std::move(message));
    on_event();
    return verdict;
  }
  Endpoint::Verdict on_chunk_begin(const ReceivedChunk& chunk) override {
    chunks += "begin(" + chunk.origin.message_id + "@" + std::to_string(chunk.offset) + "/" +
              (chunk.total ? std::to_string(*chunk.total) : "*") + ")";
    on_event();
    return verdict;
  }
  Endpoint::Verdict on_chunk_data(Bytes piece) override {
    chunks.append(as_text(piece));
    on_event();
    return data_verdict;
  }
  Endpoint::Verdict on_chunk_end(Flag flag) override {
    chunks.append("|").append(1, static_cast<char>(flag));
    on_event();
    return {};
  }
  void on_send_result(const SendResult& result) override {
    results.push_back(result.message_id + " " + std::to_string(result.status));
    on_event();
  }
  void on_refusal(std::uint16_t status, std::string_view why) override {
    refusals.push_back(std::to_string(status) + " " + std::string(why));
    on_event();
  }
  void on_report(const DeliveryReport& report) override {
    reports.push_back(report);
    on_event();
  }
};

// One end; Alice's by default, talking to Bob.
struct End {
  FakeClock& clock;
  CountingRandom random;
  Recorder listener;
  Endpoint endpoint;

  explicit End(FakeClock& at, EndpointSettings settings = {}, const std::string& local = kAlice,
               const std::string& remote = kBob)
      : clock(at),
        endpoint(Uri::parse(local).value(), parse_path(remote).value(), std::move(settings), clock,
                 random, listener) {}

  std::string written(std::size_t step = 1 << 20) {
    ByteVector out;
    while (endpoint.has_output()) {
      EXPECT_TRUE(endpoint.write(out, step).has_value());
    }
    return to_string(out);
  }
  // What it answers to `text`.
  std::string answer_to(const std::string& text) {
    const auto received = endpoint.receive(as_bytes(text));
    EXPECT_TRUE(received.has_value()) << received.error().describe();
    return written();
  }
};

std::string to_alice(const std::string& method, const std::string& headers,
                     const std::string& body = "", const std::string& id = "d93kswow",
                     const std::string& flag = "$") {
  return "MSRP " + id + " " + method + "\r\n" + kToAlice + headers +
         (headers.find("Content-Type") == std::string::npos ? "" : "\r\n" + body + "\r\n") +
         "-------" + id + flag + "\r\n";
}
std::string text_to_alice(const std::string& headers, const std::string& body,
                          const std::string& id = "d93kswow", const std::string& flag = "$") {
  return to_alice("SEND", headers + "Content-Type: text/plain\r\n", body, id, flag);
}
std::string response(const std::string& code, const std::string& id = "d93kswow",
                     const std::string& paths = kToBob) {
  return "MSRP " + id + " " + code + "\r\n" + paths + "-------" + id + "$\r\n";
}

class MsrpEndpoint : public ::testing::Test {
 protected:
  FakeClock clock;
};

// --- Receiving ---------------------------------------------------------------------------------

TEST_F(MsrpEndpoint, DeliversAMessageAndAnswers200) {
  End alice(clock);
  EXPECT_EQ(
      alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 1-3/3\r\nX-A: b\r\n", "Hey")),
      response("200 OK"));
  ASSERT_EQ(alice.listener.messages.size(), 1U);
  const ReceivedMessage& message = alice.listener.messages[0];
  EXPECT_EQ(message.origin.message_id, "1234");
  EXPECT_EQ(message.content_type, "text/plain");
  EXPECT_EQ(as_text(message.body), "Hey");
  EXPECT_EQ(message.other_headers, (std::vector<Header>{{"X-A", "b"}}));
  EXPECT_EQ(alice.endpoint.counters().messages_received, 1U);
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, AnswersABodilessSendAndDeliversNothing) {
  End alice(clock);
  EXPECT_EQ(alice.answer_to(to_alice("SEND", "Message-ID: 1234\r\nByte-Range: 1-0/0\r\n")),
            response("200 OK"));
  EXPECT_TRUE(alice.listener.messages.empty());
}

TEST_F(MsrpEndpoint, DeliversAnEmptyBody) {
  End alice(clock);
  EXPECT_EQ(alice.answer_to(text_to_alice("Message-ID: 1234\r\n", "")), response("200 OK"));
  ASSERT_EQ(alice.listener.messages.size(), 1U);
  EXPECT_TRUE(alice.listener.messages[0].body.empty());
}

TEST_F(MsrpEndpoint, FailureReportDecidesWhoGetsAnAnswer) {
  const auto answer = [&](const std::string& wish, std::uint16_t verdict) {
    End alice(clock);
    alice.listener.verdict.status = verdict;
    return alice.answer_to(text_to_alice("Message-ID: 1234\r\n" + wish, "Hey"));
  };
  EXPECT_EQ(answer("Failure-Report: yes\r\n", 200), response("200 OK"));
  EXPECT_EQ(answer("Failure-Report: yes\r\n", 403), response("403 Forbidden"));
  EXPECT_EQ(answer("Failure-Report: partial\r\n", 200), "");
  EXPECT_EQ(answer("Failure-Report: partial\r\n", 403), response("403 Forbidden"));
  EXPECT_EQ(answer("Failure-Report: no\r\n", 200), "");
  EXPECT_EQ(answer("Failure-Report: no\r\n", 403), "");
}

TEST_F(MsrpEndpoint, RefusesAnotherSessionsUri) {
  for (const char* to :
       {"msrps://alice.example:7777/OTHER;tcp", "msrp://alice.example:7777/iau3;tcp",
        "msrps://alice.example:7778/iau3;tcp",
        "msrps://alice.example:7777/iau3;tcp msrps://x:1/y;tcp"}) {
    End alice(clock);
    EXPECT_EQ(
        alice.answer_to("MSRP d93kswow SEND\r\nTo-Path: " + std::string(to) +
                        "\r\nFrom-Path: " + kBob + "\r\nMessage-ID: 1234\r\n-------d93kswow$\r\n"),
        response("481 No Such Session"));
    EXPECT_TRUE(alice.listener.messages.empty());
    EXPECT_EQ(alice.listener.refusals.size(), 1U);
  }
}

TEST_F(MsrpEndpoint, RefusesAPeerWithAnotherPath) {
  End alice(clock);
  const std::string mallory = "msrps://mallory.example:1/m;tcp";
  EXPECT_EQ(alice.answer_to("MSRP d93kswow SEND\r\nTo-Path: " + kAlice + "\r\nFrom-Path: " +
                            mallory + "\r\nMessage-ID: 1234\r\n-------d93kswow$\r\n"),
            response("481 No Such Session", "d93kswow",
                     "To-Path: " + mallory + "\r\nFrom-Path: " + kAlice + "\r\n"));
  // A relay in front of the announced peer is fine.
  EXPECT_TRUE(alice
                  .answer_to("MSRP d93kswox SEND\r\nTo-Path: " + kAlice +
                             "\r\nFrom-Path: msrps://relay:9/r;tcp " + kBob +
                             "\r\nMessage-ID: 1234\r\n-------d93kswox$\r\n")
                  .starts_with("MSRP d93kswox 200 OK\r\nTo-Path: msrps://relay:9/r;tcp\r\n"));
}

TEST_F(MsrpEndpoint, RefusesWhatItCannotUnderstand) {
  End alice(clock);
  EXPECT_EQ(alice.answer_to(text_to_alice("", "no Message-ID")), response("400 Bad Request"));
  EXPECT_EQ(alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 0-1/1\r\n", "x")),
            response("400 Bad Request"));
  EXPECT_EQ(alice.answer_to(to_alice("AUTH", "")), response("501 Unknown Method"));
  EXPECT_EQ(alice.answer_to(to_alice("AUTH", "Failure-Report: no\r\n")), "");
  EXPECT_TRUE(alice.listener.messages.empty());
  EXPECT_EQ(alice.endpoint.counters().messages_refused, 4U);
}

TEST_F(MsrpEndpoint, EndsAConnectionWhoseRequestNamesNobodyToAnswer) {
  End alice(clock);
  const std::string text = "MSRP d93kswow SEND\r\nTo-Path: " + kAlice + "\r\n-------d93kswow$\r\n";
  EXPECT_FALSE(alice.endpoint.receive(as_bytes(text)).has_value());
}

TEST_F(MsrpEndpoint, NeverAnswersAReport) {
  End alice(clock);
  EXPECT_EQ(alice.answer_to(to_alice("REPORT", "Message-ID: 1234\r\nStatus: 000 200 OK\r\n")), "");
  EXPECT_EQ(alice.answer_to(to_alice("REPORT", "garbage\r\n")), "");
  EXPECT_EQ(alice.answer_to("MSRP d93kswow REPORT\r\nTo-Path: " + kBob + "\r\nFrom-Path: " + kBob +
                            "\r\n-------d93kswow$\r\n"),
            "");
  EXPECT_TRUE(alice.listener.reports.empty());
}

TEST_F(MsrpEndpoint, RefusesUnsupportedMediaTypes) {
  EndpointSettings settings;
  settings.accept_types = {"text/plain", "image/*"};
  End alice(clock, settings);
  auto answer = [&, n = 1000](const std::string& type) mutable {
    return alice.answer_to(to_alice(
        "SEND", "Message-ID: " + std::to_string(++n) + "\r\nContent-Type: " + type + "\r\n", "x"));
  };
  EXPECT_EQ(answer("TEXT/Plain;charset=utf-8"), response("200 OK"));
  EXPECT_EQ(answer("image/png"), response("200 OK"));
  EXPECT_EQ(answer("text/html"), response("415 Unsupported Media Type"));
  EXPECT_EQ(answer("imagex/png"), response("415 Unsupported Media Type"));
  EXPECT_EQ(alice.listener.messages.size(), 2U);
}

TEST_F(MsrpEndpoint, ReassemblesChunksInAnyOrder) {
  End alice(clock);
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 1234\r\nByte-Range: 5-8/8\r\n", "EFGH", "id-2", "$")),
            response("200 OK", "id-2"));
  EXPECT_TRUE(alice.listener.messages.empty());
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 9999\r\nByte-Range: 1-2/2\r\n", "xy", "id-3", "$")),
            response("200 OK", "id-3"));
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/8\r\n", "abcd", "id-1", "+")),
            response("200 OK", "id-1"));
  ASSERT_EQ(alice.listener.messages.size(), 2U);
  EXPECT_EQ(as_text(alice.listener.messages[0].body), "xy");
  EXPECT_EQ(as_text(alice.listener.messages[1].body), "abcdEFGH");
}

TEST_F(MsrpEndpoint, TheLastOfOverlappingChunksWins) {
  End alice(clock);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/*\r\n", "aaaa", "id-1", "+"));
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 3-*/*\r\n", "BBBB", "id-2", "$"));
  ASSERT_EQ(alice.listener.messages.size(), 1U);
  EXPECT_EQ(as_text(alice.listener.messages[0].body), "aaBBBB");
}

TEST_F(MsrpEndpoint, TrustsTheOctetsThatCameAndNotTheRangeEnd) {
  End alice(clock);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 1-99/200\r\n", "short"));
  ASSERT_EQ(alice.listener.messages.size(), 1U);
  EXPECT_EQ(as_text(alice.listener.messages[0].body), "short");
}

TEST_F(MsrpEndpoint, DropsAMessageThatThePeerGivesUp) {
  End alice(clock);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/*\r\n", "aaaa", "id-1", "+"));
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 1234\r\nByte-Range: 5-*/*\r\n", "bb", "id-2", "#")),
            response("200 OK", "id-2"));
  EXPECT_TRUE(alice.listener.messages.empty());
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
  EXPECT_EQ(alice.endpoint.counters().messages_dropped, 1U);
}

TEST_F(MsrpEndpoint, RefusesChunksBeyondTheEndOfTheirMessage) {
  End alice(clock);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 3-4/4\r\n", "cd", "id-1", "$"));
  EXPECT_EQ(
      alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 9-*/*\r\n", "x", "id-2", "+")),
      response("400 Bad Request", "id-2"));
  EXPECT_TRUE(alice.listener.messages.empty());
}

TEST_F(MsrpEndpoint, StopsAMessageBeyondTheLimitBeforeItHasEnded) {
  EndpointSettings settings;
  settings.max_message_octets = 8;
  End alice(clock, settings);
  std::string frame =
      text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/*\r\n", "0123456789", "id-1", "+");
  const std::string tail = "\r\n-------id-1+\r\n";
  frame.resize(frame.size() - tail.size());
  EXPECT_EQ(alice.answer_to(frame), response("413 Stop Sending Message", "id-1"));
  EXPECT_EQ(alice.answer_to("more and more" + tail), "");
  // Its further chunks stay refused, small as they are; an announced size is refused at once.
  EXPECT_EQ(
      alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 2-2/*\r\n", "x", "id-2", "$")),
      response("413 Stop Sending Message", "id-2"));
  EXPECT_EQ(
      alice.answer_to(text_to_alice("Message-ID: 1235\r\nByte-Range: 1-1/9\r\n", "x", "id-3", "+")),
      response("413 Stop Sending Message", "id-3"));
  EXPECT_EQ(alice.answer_to(text_to_alice(
                "Message-ID: 1236\r\nByte-Range: 18446744073709551615-*/*\r\n", "x", "id-4", "+")),
            response("413 Stop Sending Message", "id-4"));
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 1237\r\nByte-Range: 1-8/8\r\n", "01234567", "id-5")),
            response("200 OK", "id-5"));
  EXPECT_EQ(alice.listener.messages.size(), 1U);
}

TEST_F(MsrpEndpoint, LimitsUnfinishedMessages) {
  EndpointSettings settings;
  settings.max_unfinished_messages = 2;
  settings.max_unfinished_octets = 10;
  End alice(clock, settings);
  const auto begin = [&](const std::string& id, const std::string& body) {
    return alice.answer_to(
        text_to_alice("Message-ID: " + id + "\r\nByte-Range: 1-*/*\r\n", body, "tid-" + id, "+"));
  };
  EXPECT_EQ(begin("1001", "12345"), response("200 OK", "tid-1001"));
  EXPECT_EQ(begin("1002", "123456"), response("413 Stop Sending Message", "tid-1002"));
  EXPECT_EQ(begin("1003", "12345"), response("200 OK", "tid-1003"));
  EXPECT_EQ(begin("1004", ""), response("413 Stop Sending Message", "tid-1004"));
  EXPECT_EQ(alice.answer_to(text_to_alice("Message-ID: 1001\r\nByte-Range: 6-*/*\r\n", "", "last")),
            response("200 OK", "last"));
  EXPECT_EQ(begin("1005", "12345"), response("200 OK", "tid-1005"));
}

TEST_F(MsrpEndpoint, LimitsTheGapsOfAMessage) {
  End alice(clock);
  std::string answers;
  for (int i = 0; i < 100; ++i) {
    answers += alice.answer_to(
        text_to_alice("Message-ID: 1234\r\nByte-Range: " + std::to_string(1 + 2 * i) + "-*/*\r\n",
                      "x", "gaps", "+"));
  }
  EXPECT_TRUE(answers.contains("400 Bad Request"));
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, DropsUnfinishedMessagesWhenTheirTimeIsUp) {
  End alice(clock);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/*\r\n", "aaaa", "id-1", "+"));
  EXPECT_EQ(alice.endpoint.next_deadline(), clock.steady_now() + 120s);
  clock.advance(119s);
  alice.endpoint.on_time();
  EXPECT_TRUE(alice.endpoint.next_deadline().has_value());
  clock.advance(1s);
  alice.endpoint.on_time();
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
  EXPECT_EQ(alice.endpoint.counters().messages_dropped, 1U);
}

TEST_F(MsrpEndpoint, ReportsSuccessOnceTheWholeMessageIsThere) {
  End alice(clock);
  const std::string wish = "Message-ID: 1234\r\nSuccess-Report: yes\r\nFailure-Report: no\r\n";
  EXPECT_EQ(alice.answer_to(text_to_alice(wish + "Byte-Range: 1-*/8\r\n", "abcd", "id-1", "+")),
            "");
  const std::string report =
      alice.answer_to(text_to_alice(wish + "Byte-Range: 5-8/8\r\n", "efgh", "id-2"));
  EXPECT_TRUE(report.starts_with("MSRP ")) << report;
  EXPECT_TRUE(
      report.contains(" REPORT\r\n" + kToBob +
                      "Message-ID: 1234\r\nByte-Range: 1-8/8\r\nStatus: 000 200 OK\r\n-------"))
      << report;
}

TEST_F(MsrpEndpoint, LeavesReportsToTheCallerWhereAsked) {
  EndpointSettings settings;
  settings.automatic_success_reports = false;
  End alice(clock, settings);
  alice.answer_to(text_to_alice("Message-ID: 1234\r\nSuccess-Report: yes\r\n", "Hey"));
  Origin origin = alice.listener.messages.at(0).origin;
  EXPECT_TRUE(alice.endpoint.report(origin, 3, kOk, "delivered").has_value());
  EXPECT_TRUE(alice.written().contains("Status: 000 200 delivered\r\n"));
  EXPECT_TRUE(alice.endpoint.report(origin, 3, kTimeout, "").has_value());
  EXPECT_TRUE(alice.written().contains("Byte-Range: 1-3/3\r\nStatus: 000 408\r\n"));

  origin.success_report = false;
  origin.failure_report = FailureReport::no;
  EXPECT_TRUE(alice.endpoint.report(origin, 3, kOk, "").has_value());
  EXPECT_TRUE(alice.endpoint.report(origin, 3, kTimeout, "").has_value());
  EXPECT_EQ(alice.written(), "");
  EXPECT_FALSE(alice.endpoint.report(origin, 3, kTimeout, "two\r\nlines").has_value());
  EXPECT_FALSE(alice.endpoint.report(origin, 3, 99, "").has_value());
}

TEST_F(MsrpEndpoint, HandsChunksOnPieceByPiece) {
  EndpointSettings settings;
  settings.delivery = Delivery::chunks;
  End alice(clock, settings);
  const std::string wish = "Message-ID: 1234\r\nSuccess-Report: yes\r\n";
  const std::string frame = text_to_alice(wish + "Byte-Range: 1-*/8\r\n", "abcd", "id-1", "+");
  const std::size_t cut = frame.find("abcd") + 2;
  alice.answer_to(frame.substr(0, cut));
  EXPECT_EQ(alice.listener.chunks, "begin(1234@0/8)ab");
  EXPECT_EQ(alice.answer_to(frame.substr(cut)), response("200 OK", "id-1"));
  const std::string last =
      alice.answer_to(text_to_alice(wish + "Byte-Range: 5-8/8\r\n", "efgh", "id-2"));
  EXPECT_EQ(alice.listener.chunks, "begin(1234@0/8)abcd|+begin(1234@4/8)efgh|$");
  EXPECT_TRUE(last.starts_with(response("200 OK", "id-2"))) << last;
  EXPECT_TRUE(last.contains("Byte-Range: 1-8/8\r\nStatus: 000 200")) << last;
  EXPECT_EQ(alice.endpoint.counters().messages_received, 1U);
}

TEST_F(MsrpEndpoint, AListenerMayStopAChunk) {
  EndpointSettings settings;
  settings.delivery = Delivery::chunks;
  End alice(clock, settings);
  alice.listener.data_verdict = {kStopSending, "full"};
  EXPECT_EQ(alice.answer_to(
                text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/*\r\n", "ab", "id-1", "+")),
            response("413 full", "id-1"));
  EXPECT_EQ(alice.listener.chunks, "begin(1234@0/*)ab");
  alice.listener.verdict = {kForbidden, "no\r\ninjection"};
  EXPECT_EQ(alice.answer_to(text_to_alice("Message-ID: 1235\r\n", "ab", "id-2")),
            response("403 Forbidden", "id-2"));
}

TEST_F(MsrpEndpoint, TellsTheListenerWhenALimitEndsAChunk) {
  EndpointSettings settings;
  settings.delivery = Delivery::chunks;
  settings.max_message_octets = 3;
  End alice(clock, settings);
  EXPECT_EQ(alice.answer_to(text_to_alice("Message-ID: 1234\r\n", "abcd", "id-1", "+")),
            response("413 Stop Sending Message", "id-1"));
  EXPECT_EQ(alice.listener.chunks, "begin(1234@0/*)|#");
}

TEST_F(MsrpEndpoint, GivesTheSameAnswersHoweverTheStreamIsTorn) {
  const std::string stream =
      text_to_alice("Message-ID: 1234\r\nByte-Range: 1-*/8\r\n", "ab\r\n", "id-1", "+") +
      to_alice("SEND", "Message-ID: 5678\r\n") +
      text_to_alice("Message-ID: 1234\r\nByte-Range: 5-8/8\r\n", "\r\n--", "id-2", "$") +
      to_alice("AUTH", "");
  End whole(clock);
  const std::string expected = whole.answer_to(stream);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    End alice(clock);
    ASSERT_TRUE(alice.endpoint.receive(as_bytes(stream.substr(0, cut))).has_value());
    ASSERT_TRUE(alice.endpoint.receive(as_bytes(stream.substr(cut))).has_value());
    ASSERT_EQ(alice.written(), expected) << cut;
    ASSERT_EQ(as_text(alice.listener.messages.at(0).body), "ab\r\n\r\n--");
    ASSERT_FALSE(alice.endpoint.inside_frame());
  }
}

TEST_F(MsrpEndpoint, AsksForAPauseWhenAnswersPileUp) {
  EndpointSettings settings;
  settings.pause_above_octets = 1000;
  End alice(clock, settings);
  const std::string request = to_alice("SEND", "Message-ID: 1234\r\n");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(alice.endpoint.receive(as_bytes(request)).has_value());
  EXPECT_TRUE(alice.endpoint.wants_pause());
  alice.written();
  EXPECT_FALSE(alice.endpoint.wants_pause());
}

TEST_F(MsrpEndpoint, MayBeClosedInsideEveryCallback) {
  const std::vector<std::string> inputs = {
      text_to_alice("Message-ID: 1234\r\n", "x"),
      text_to_alice("Message-ID: 1234\r\n", "x") + to_alice("AUTH", ""),
      text_to_alice("Message-ID: 1234\r\nByte-Range: 0-0/0\r\n", "x"), to_alice("AUTH", "")};
  for (const Delivery delivery : {Delivery::whole, Delivery::chunks}) {
    for (const std::string& input : inputs) {
      for (int nth = 1; nth <= 4; ++nth) {
        EndpointSettings settings;
        settings.delivery = delivery;
        End alice(clock, settings);
        alice.listener.data_verdict.status = nth % 2 == 0 ? kForbidden : kOk;
        alice.listener.on_event = [&, left = nth]() mutable {
          EXPECT_GT(left, 0) << "called after close()";
          if (--left == 0) alice.endpoint.close();
        };
        ASSERT_TRUE(alice.endpoint.receive(as_bytes(input)).has_value());
        if (alice.endpoint.closed()) {
          EXPECT_FALSE(alice.endpoint.has_output());
          EXPECT_FALSE(alice.endpoint.receive(as_bytes(input)).has_value());
          EXPECT_FALSE(alice.endpoint.send({}, {}).has_value());
        }
      }
    }
  }
}

// --- Sending -----------------------------------------------------------------------------------

OutgoingMessage text_message(const std::string& id = "") {
  OutgoingMessage message;
  message.message_id = id;
  message.content_type = "text/plain";
  return message;
}
ByteVector body_of(std::size_t octets) {
  ByteVector body(octets);
  for (std::size_t i = 0; i < octets; ++i) body[i] = static_cast<std::uint8_t>('a' + i % 26);
  return body;
}
// The transaction id of the `nth` frame in `text`, from 0.
std::string transaction_id(const std::string& text, int nth = 0) {
  std::size_t at = 0;
  for (int i = 0; i < nth; ++i) at = text.find("\nMSRP ", at) + 1;
  at = text.find("MSRP ", at) + 5;
  return text.substr(at, text.find(' ', at) - at);
}

TEST_F(MsrpEndpoint, SendsAShortMessageInOneChunk) {
  End alice(clock);
  EXPECT_EQ(alice.endpoint.send(text_message("1234"), to_vector(as_bytes("Hey"))).value(), "1234");
  const std::string text = alice.written();
  const std::string id = transaction_id(text);
  EXPECT_EQ(text, "MSRP " + id + " SEND\r\n" + kToBob +
                      "Message-ID: 1234\r\nByte-Range: 1-3/3\r\nContent-Type: text/plain\r\n\r\n"
                      "Hey\r\n-------" +
                      id + "$\r\n");
  EXPECT_TRUE(alice.listener.results.empty());
  EXPECT_EQ(alice.endpoint.next_deadline(), clock.steady_now() + 30s);
  alice.answer_to(response("200 OK", id, kToAlice));
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 200"});
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
  alice.answer_to(response("500 again", id, kToAlice));  // nobody waits for it any more
  EXPECT_EQ(alice.listener.results.size(), 1U);
}

TEST_F(MsrpEndpoint, BindsAConnectionWithABodilessSend) {
  End alice(clock);
  const std::string message_id = alice.endpoint.send({}, {}).value();
  const std::string text = alice.written();
  const std::string id = transaction_id(text);
  EXPECT_EQ(text, "MSRP " + id + " SEND\r\n" + kToBob + "Message-ID: " + message_id +
                      "\r\nByte-Range: 1-0/0\r\n-------" + id + "$\r\n");
}

TEST_F(MsrpEndpoint, RefusesToSendWhatCannotBeSent) {
  End alice(clock);
  EXPECT_FALSE(alice.endpoint.send({}, body_of(1)).has_value());
  OutgoingMessage message = text_message("abc");
  EXPECT_FALSE(alice.endpoint.send(message, {}).has_value());
  message = text_message();
  message.content_type = "text/plain\r\nX: y";
  EXPECT_FALSE(alice.endpoint.send(message, {}).has_value());
  message = text_message();
  message.other_headers = {{"Bad Name", "x"}};
  EXPECT_FALSE(alice.endpoint.send(message, {}).has_value());
  message.other_headers = {{"X", "line\r\nbreak"}};
  EXPECT_FALSE(alice.endpoint.send(message, {}).has_value());
  EXPECT_TRUE(alice.endpoint.send(text_message("1234"), {}).has_value());
  EXPECT_EQ(alice.endpoint.send(text_message("1234"), {}).error().category(), Category::conflict);
  alice.endpoint.set_remote({});
  EXPECT_EQ(alice.endpoint.send(text_message(), {}).error().category(), Category::conflict);
}

TEST_F(MsrpEndpoint, LimitsWhatWaitsToBeSent) {
  EndpointSettings settings;
  settings.max_queued_octets = 10;
  settings.max_queued_messages = 2;
  End alice(clock, settings);
  EXPECT_EQ(alice.endpoint.send(text_message(), body_of(11)).error().category(), Category::busy);
  EXPECT_TRUE(alice.endpoint.send(text_message(), body_of(6)).has_value());
  EXPECT_FALSE(alice.endpoint.has_room(5));
  EXPECT_TRUE(alice.endpoint.has_room(4));
  EXPECT_EQ(alice.endpoint.send(text_message(), body_of(5)).error().category(), Category::busy);
  EXPECT_TRUE(alice.endpoint.send(text_message(), body_of(4)).has_value());
  EXPECT_EQ(alice.endpoint.send(text_message(), {}).error().category(), Category::busy);
  alice.written();
  EXPECT_TRUE(alice.endpoint.has_room(10));
}

// What Bob receives from Alice, both of ours, with answers going back.
void converse(End& alice, End& bob, std::size_t step) {
  while (alice.endpoint.has_output() || bob.endpoint.has_output()) {
    ByteVector out;
    ASSERT_TRUE(alice.endpoint.write(out, step).has_value());
    ASSERT_TRUE(bob.endpoint.receive(out).has_value());
    out.clear();
    ASSERT_TRUE(bob.endpoint.write(out, step).has_value());
    ASSERT_TRUE(alice.endpoint.receive(out).has_value());
  }
}

TEST_F(MsrpEndpoint, TwoEndpointsExchangeMessagesOfEverySizeAndStep) {
  for (const std::size_t octets : {0, 1, 2047, 2048, 2049, 5000, 16384, 16385, 100000}) {
    for (const std::size_t step : {1, 100, 2048, 1 << 20}) {
      End alice(clock);
      End bob(clock, {}, kBob, kAlice);
      OutgoingMessage message = text_message("1234");
      message.success_report = true;
      ASSERT_TRUE(alice.endpoint.send(message, body_of(octets)).has_value());
      ASSERT_TRUE(bob.endpoint.send(text_message("5678"), body_of(octets)).has_value());
      converse(alice, bob, step);
      ASSERT_EQ(bob.listener.messages.size(), 1U) << octets << " " << step;
      EXPECT_EQ(bob.listener.messages[0].body, body_of(octets));
      ASSERT_EQ(alice.listener.messages.size(), 1U);
      EXPECT_EQ(alice.listener.messages[0].body, body_of(octets));
      EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 200"});
      EXPECT_EQ(bob.listener.results, std::vector<std::string>{"5678 200"});
      ASSERT_EQ(alice.listener.reports.size(), 1U);
      EXPECT_EQ(alice.listener.reports[0].status.code, kOk);
      EXPECT_EQ(alice.listener.reports[0].byte_range, (ByteRange{1, octets, octets}));
      EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
      EXPECT_FALSE(bob.endpoint.next_deadline().has_value());
    }
  }
}

TEST_F(MsrpEndpoint, LargeChunksAreMarkedInterruptible) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message(), body_of(2048)).has_value());
  EXPECT_TRUE(alice.written().contains("Byte-Range: 1-2048/2048\r\n"));
  ASSERT_TRUE(alice.endpoint.send(text_message(), body_of(2049)).has_value());
  EXPECT_TRUE(alice.written().contains("Byte-Range: 1-*/2049\r\n"));
}

TEST_F(MsrpEndpoint, InterruptsALargeChunkForAnAnswer) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(10000)).has_value());
  ByteVector out;
  ASSERT_TRUE(alice.endpoint.write(out, 500).has_value());  // in the middle of the first chunk
  ASSERT_TRUE(
      alice.endpoint.receive(as_bytes(to_alice("SEND", "Message-ID: 77777\r\n"))).has_value());
  const std::string text = to_string(out) + alice.written(100);
  const std::size_t answer = text.find(response("200 OK"));
  const std::string first = text.substr(0, answer);
  const std::string id = transaction_id(first);
  EXPECT_TRUE(first.ends_with("\r\n-------" + id + "+\r\n"));
  EXPECT_TRUE(first.contains(as_text(Bytes(body_of(2048)))));
  EXPECT_FALSE(first.contains(as_text(Bytes(body_of(2049)))));
  EXPECT_TRUE(text.substr(answer).contains("Byte-Range: 2049-*/10000\r\n"));
}

TEST_F(MsrpEndpoint, NeverInterruptsASmallChunk) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(2048)).has_value());
  ByteVector out;
  ASSERT_TRUE(alice.endpoint.write(out, 500).has_value());
  ASSERT_TRUE(
      alice.endpoint.receive(as_bytes(to_alice("SEND", "Message-ID: 77777\r\n"))).has_value());
  const std::string text = to_string(out) + alice.written(100);
  EXPECT_TRUE(text.ends_with("$\r\n" + response("200 OK")));
}

TEST_F(MsrpEndpoint, MessagesShareTheConnection) {
  EndpointSettings settings;
  settings.max_chunk_octets = 1 << 20;
  End alice(clock, settings);
  ASSERT_TRUE(alice.endpoint.send(text_message("1111"), body_of(100000)).has_value());
  ASSERT_TRUE(alice.endpoint.send(text_message("2222"), body_of(10)).has_value());
  const std::string text = alice.written();
  EXPECT_LT(text.find("Message-ID: 2222"), 20000U);
  EXPECT_TRUE(text.contains("Byte-Range: 16385-*/100000"));
}

TEST_F(MsrpEndpoint, WaitsForAnswersWhenTooManyAreOutstanding) {
  EndpointSettings settings;
  settings.max_open_transactions = 2;
  settings.max_chunk_octets = 2048;
  End alice(clock, settings);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(6000)).has_value());
  const std::string text = alice.written();
  EXPECT_EQ(alice.endpoint.counters().body_octets_sent, 4096U);
  EXPECT_FALSE(alice.endpoint.has_output());
  alice.answer_to(response("200 OK", transaction_id(text, 0), kToAlice));
  EXPECT_TRUE(alice.listener.results.empty());
  alice.answer_to(response("200 OK", transaction_id(text, 1), kToAlice));
  EXPECT_TRUE(alice.listener.results.empty());
  EXPECT_EQ(alice.endpoint.counters().body_octets_sent, 6000U);
}

TEST_F(MsrpEndpoint, AnErrorAnswerEndsTheMessage) {
  EndpointSettings settings;
  settings.max_chunk_octets = 2048;
  settings.max_open_transactions = 1;
  End alice(clock, settings);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(6000)).has_value());
  const std::string text = alice.written();
  EXPECT_EQ(alice.answer_to(response("413 stop", transaction_id(text), kToAlice)), "");
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 413"});
  EXPECT_FALSE(alice.endpoint.has_output());
  EXPECT_TRUE(alice.endpoint.has_room(4 << 20));
}

TEST_F(MsrpEndpoint, AMessageFailsOnceHoweverManyOfItsChunksDo) {
  EndpointSettings settings;
  settings.max_chunk_octets = 2048;
  End alice(clock, settings);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(6000)).has_value());
  const std::string text = alice.written();
  alice.answer_to(response("413 stop", transaction_id(text, 1), kToAlice));
  alice.answer_to(response("415 no", transaction_id(text, 0), kToAlice));
  clock.advance(30s);
  alice.endpoint.on_time();
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 413"});
  EXPECT_EQ(alice.endpoint.counters().messages_failed, 1U);
}

TEST_F(MsrpEndpoint, InterruptsTheChunkThatThePeerDoesNotWant) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(10000)).has_value());
  ByteVector out;
  ASSERT_TRUE(alice.endpoint.write(out, 3000).has_value());
  const std::string id = transaction_id(to_string(out));
  const std::string rest = alice.answer_to(response("413 stop", id, kToAlice));
  EXPECT_EQ(rest, "\r\n-------" + id + "#\r\n");
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 413"});
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, FailsASendThatIsNotAnsweredInTime) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(3)).has_value());
  alice.written();
  clock.advance(29s);
  alice.endpoint.on_time();
  EXPECT_TRUE(alice.listener.results.empty());
  clock.advance(1s);
  alice.endpoint.on_time();
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 408"});
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, TheTimerStartsWithTheLastOctetOfTheChunk) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(10000)).has_value());
  ByteVector out;
  ASSERT_TRUE(alice.endpoint.write(out, 3000).has_value());
  clock.advance(60s);
  alice.endpoint.on_time();
  EXPECT_TRUE(alice.listener.results.empty());
  alice.written();
  EXPECT_EQ(alice.endpoint.next_deadline(), clock.steady_now() + 30s);
}

TEST_F(MsrpEndpoint, WithoutFailureReportsWrittenIsDone) {
  End alice(clock);
  OutgoingMessage message = text_message("1234");
  message.failure_report = FailureReport::no;
  ASSERT_TRUE(alice.endpoint.send(message, body_of(3)).has_value());
  EXPECT_TRUE(alice.written().contains("Failure-Report: no\r\n"));
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 200"});
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, WithPartialFailureReportsAnErrorMayFollow) {
  End alice(clock);
  OutgoingMessage message = text_message("1234");
  message.failure_report = FailureReport::partial;
  ASSERT_TRUE(alice.endpoint.send(message, body_of(3)).has_value());
  const std::string id = transaction_id(alice.written());
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 200"});
  alice.answer_to(response("415 no", id, kToAlice));
  EXPECT_EQ(alice.listener.results, (std::vector<std::string>{"1234 200", "1234 415"}));

  message.message_id = "5678";
  ASSERT_TRUE(alice.endpoint.send(message, body_of(3)).has_value());
  alice.written();
  clock.advance(30s);
  alice.endpoint.on_time();  // silence is no failure
  EXPECT_EQ(alice.listener.results.size(), 3U);
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, AFailureReportFailsTheMessage) {
  End alice(clock);
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(3)).has_value());
  const std::string id = transaction_id(alice.written());
  alice.answer_to(
      to_alice("REPORT", "Message-ID: 1234\r\nByte-Range: 1-3/3\r\nStatus: 000 408 late\r\n"));
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 408"});
  ASSERT_EQ(alice.listener.reports.size(), 1U);
  EXPECT_EQ(alice.listener.reports[0].status, (Status{0, 408, "late"}));
  alice.answer_to(response("200 OK", id, kToAlice));
  EXPECT_EQ(alice.listener.results.size(), 1U);
  alice.answer_to(to_alice("REPORT", "Message-ID: 1234\r\nStatus: 001 408\r\n"));
  alice.answer_to(to_alice("REPORT", "Message-ID: unknown\r\nStatus: 000 408\r\n"));
  EXPECT_EQ(alice.listener.reports.size(), 1U);
}

TEST_F(MsrpEndpoint, StreamsABodyOfUnknownLength) {
  EndpointSettings settings;
  settings.max_queued_octets = 10000;
  End alice(clock, settings);
  End bob(clock, {}, kBob, kAlice);
  const std::string id = alice.endpoint.begin(text_message(), std::nullopt).value();
  const ByteVector body = body_of(50000);
  std::size_t at = 0;
  while (at < body.size()) {
    const Bytes piece = Bytes(body).subspan(at, std::min<std::size_t>(777, body.size() - at));
    if (!alice.endpoint.append(id, piece).has_value()) {
      converse(alice, bob, 1000);
      continue;
    }
    at += piece.size();
  }
  EXPECT_TRUE(alice.listener.results.empty());
  EXPECT_TRUE(alice.endpoint.finish(id).has_value());
  EXPECT_FALSE(alice.endpoint.append(id, body_of(1)).has_value());
  converse(alice, bob, 1000);
  ASSERT_EQ(bob.listener.messages.size(), 1U);
  EXPECT_EQ(bob.listener.messages[0].body, body);
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{id + " 200"});
  EXPECT_EQ(alice.endpoint.finish(id).error().category(), Category::not_found);
}

TEST_F(MsrpEndpoint, AStreamedMessageSendsNoSmallChunksBeforeItsEnd) {
  End alice(clock);
  const std::string id = alice.endpoint.begin(text_message(), 2048).value();
  ASSERT_TRUE(alice.endpoint.append(id, body_of(2048)).has_value());
  EXPECT_FALSE(alice.endpoint.has_output());
  ASSERT_TRUE(alice.endpoint.finish(id).has_value());
  EXPECT_TRUE(alice.written().contains("Byte-Range: 1-2048/2048\r\n"));
}

TEST_F(MsrpEndpoint, CancelTellsThePeerOnlyWhatItHasBegunToRead) {
  End alice(clock);
  End bob(clock, {}, kBob, kAlice);
  ASSERT_TRUE(alice.endpoint.send(text_message("1111"), body_of(3)).has_value());
  alice.endpoint.cancel("1111");
  EXPECT_FALSE(alice.endpoint.has_output());

  // Between two chunks, and in the middle of one.
  const std::string id = alice.endpoint.begin(text_message("2222"), std::nullopt).value();
  ASSERT_TRUE(alice.endpoint.append(id, body_of(5000)).has_value());
  ASSERT_TRUE(alice.endpoint.send(text_message("3333"), body_of(5000)).has_value());
  ByteVector out;
  while (!as_text(out).contains("Message-ID: 3333")) {
    ASSERT_TRUE(alice.endpoint.write(out, 100).has_value());
  }
  alice.endpoint.cancel("2222");
  alice.endpoint.cancel("3333");
  const std::string text = to_string(out) + alice.written();
  ASSERT_TRUE(bob.endpoint.receive(as_bytes(text)).has_value());
  EXPECT_TRUE(bob.listener.messages.empty());
  EXPECT_EQ(bob.endpoint.counters().messages_dropped, 2U);
  EXPECT_FALSE(bob.endpoint.next_deadline().has_value());
  ASSERT_TRUE(alice.endpoint.receive(as_bytes(bob.written())).has_value());
  EXPECT_TRUE(alice.listener.results.empty());
  EXPECT_TRUE(alice.endpoint.has_room(4 << 20));
  EXPECT_FALSE(alice.endpoint.next_deadline().has_value());
}

TEST_F(MsrpEndpoint, AListenerMaySendInsideACallback) {
  End alice(clock);
  End bob(clock, {}, kBob, kAlice);
  bob.listener.on_event = [&] {
    if (bob.listener.messages.size() == 1 && bob.listener.results.empty()) {
      ASSERT_TRUE(
          bob.endpoint.send(text_message("echo"), bob.listener.messages[0].body).has_value());
    }
  };
  ASSERT_TRUE(alice.endpoint.send(text_message("1234"), body_of(5000)).has_value());
  converse(alice, bob, 1000);
  ASSERT_EQ(alice.listener.messages.size(), 1U);
  EXPECT_EQ(alice.listener.messages[0].body, body_of(5000));
  EXPECT_EQ(alice.listener.results, std::vector<std::string>{"1234 200"});
  EXPECT_EQ(bob.listener.results, std::vector<std::string>{"echo 200"});
}

TEST_F(MsrpEndpoint, AFailingRandomSourceIsAnErrorOfWrite) {
  testing::ScriptedRandom random;
  Recorder listener;
  Endpoint endpoint(Uri::parse(kAlice).value(), parse_path(kBob).value(), {}, clock, random,
                    listener);
  ASSERT_TRUE(endpoint.send(text_message("1234"), body_of(3)).has_value());
  random.fail_from_now_on();
  ByteVector out;
  EXPECT_FALSE(endpoint.write(out, 1).has_value());
  EXPECT_FALSE(endpoint.send(text_message(), body_of(3)).has_value());
}

}  // namespace
}  // namespace keystub::msrp
