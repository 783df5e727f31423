// Fuzzes the MSRP framer and endpoint (RFC 4975). The first octet chooses what is tested:
// even: the rest is a stream from a hostile peer, read whole and torn, with the same outcome;
// odd: the rest is a body that one endpoint sends to another, torn, and that must arrive.
// The second octet gives the size of the pieces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "msrp/endpoint.h"
#include "tests/support/fake_clock.h"

namespace {

using namespace keystub;
using namespace keystub::msrp;

void require(bool condition) {
  if (!condition) std::abort();
}

class CountingRandom final : public RandomSource {
 public:
  Result<void> fill(MutableBytes out) override {
    ++count_;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::uint8_t>(i < 8 ? count_ >> (8 * i) : 0);
    }
    return {};
  }

 private:
  std::uint64_t count_ = 0;
};

struct Recorder final : Endpoint::Listener {
  std::vector<ByteVector> bodies;
  int sent = 0;
  Endpoint::Verdict on_message(ReceivedMessage message) override {
    bodies.push_back(std::move(message.body));
    return {};
  }
  void on_send_result(const SendResult& result) override {
    require(result.ok());
    ++sent;
  }
};

struct End {
  testing::FakeClock clock;
  CountingRandom random;
  Recorder listener;
  Endpoint endpoint;

  End(const char* local, const char* remote, EndpointSettings settings)
      : endpoint(Uri::parse(local).value(), parse_path(remote).value(), std::move(settings), clock,
                 random, listener) {}
};

constexpr const char* kAlice = "msrps://a.example:7/s;tcp";
constexpr const char* kBob = "msrps://b.example:8/t;tcp";

EndpointSettings small_limits(Delivery delivery) {
  EndpointSettings settings;
  settings.delivery = delivery;
  settings.max_message_octets = 200;
  settings.max_unfinished_octets = 300;
  settings.max_unfinished_messages = 3;
  settings.accept_types = {"text/*", "message/cpim"};
  return settings;
}

// A head that was read must be written in a way that reads the same.
void round_trip(Bytes stream) {
  Framer framer;
  while (true) {
    const auto event = framer.next(stream);
    if (!event || !event->has_value()) return;
    const auto* const frame = std::get_if<HeadEvent>(&**event);
    Head head;
    if (frame == nullptr || !parse_head(frame->raw, head)) continue;
    ByteVector text;
    write_head(head, text);
    const std::string end = "\r\n-------" + head.transaction_id + "$\r\n";
    const std::string_view end_line = std::string_view(end).substr(head.content_type ? 0 : 2);
    text.insert(text.end(), end_line.begin(), end_line.end());
    Framer again;
    Bytes input = text;
    const auto second = again.next(input).value().value();
    Head copy;
    require(parse_head(std::get<HeadEvent>(second).raw, copy).has_value());
    ByteVector rewritten;
    write_head(copy, rewritten);
    require(equal(rewritten, Bytes(text).first(rewritten.size())));
    require(equivalent(copy.to_path, head.to_path) && equivalent(copy.from_path, head.from_path));
    require(copy.message_id == head.message_id && copy.byte_range == head.byte_range);
    require(copy.other_headers == head.other_headers && copy.status == head.status);
  }
}

void hostile_peer(Bytes stream, std::size_t step, Delivery delivery) {
  End whole(kAlice, kBob, small_limits(delivery));
  End torn(kAlice, kBob, small_limits(delivery));
  const bool understood = whole.endpoint.receive(stream).has_value();
  bool torn_understood = true;
  for (std::size_t at = 0; at < stream.size() && torn_understood; at += step) {
    // A copy of exactly this size, so that a read past it is seen.
    const ByteVector piece = to_vector(stream.subspan(at, std::min(step, stream.size() - at)));
    torn_understood = torn.endpoint.receive(piece).has_value();
  }
  require(understood == torn_understood);
  if (!understood) return;
  ByteVector expected;
  ByteVector answers;
  require(whole.endpoint.write(expected, 1 << 30).has_value());
  while (torn.endpoint.has_output()) require(torn.endpoint.write(answers, step).has_value());
  require(expected == answers);
  require(whole.listener.bodies == torn.listener.bodies);
  torn.clock.advance(std::chrono::hours(1));
  torn.endpoint.on_time();
  require(torn.endpoint.inside_frame() || !torn.endpoint.next_deadline().has_value());
}

void conversation(Bytes body, std::size_t step) {
  End alice(kAlice, kBob, {});
  End bob(kBob, kAlice, {});
  OutgoingMessage message;
  message.content_type = "text/plain";
  message.success_report = body.size() % 2 == 0;
  require(alice.endpoint.send(message, to_vector(body)).has_value());
  require(bob.endpoint.send(message, to_vector(body)).has_value());
  while (alice.endpoint.has_output() || bob.endpoint.has_output()) {
    ByteVector out;
    require(alice.endpoint.write(out, step).has_value());
    require(bob.endpoint.receive(out).has_value());
    out.clear();
    require(bob.endpoint.write(out, step).has_value());
    require(alice.endpoint.receive(out).has_value());
  }
  for (const End* end : {&alice, &bob}) {
    require(end->listener.sent == 1 && end->listener.bodies.size() == 1);
    require(equal(end->listener.bodies[0], body));
    require(!end->endpoint.next_deadline().has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes rest(data + 2, size - 2);
  const std::size_t step = std::size_t{1} + data[1];
  if (data[0] % 2 != 0) {
    conversation(rest, step);
    return 0;
  }
  round_trip(rest);
  hostile_peer(rest, step, data[0] % 4 == 0 ? Delivery::whole : Delivery::chunks);
  return 0;
}
