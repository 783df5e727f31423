// Any octets as a MIKEY message: parsed, walked to the last field, built again, and given to every
// receiver of an exchange.
#include <cstdint>
#include <cstdlib>

#include "mikey/key_mgmt_attribute.h"
#include "mikey/message_builder.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"

using namespace keystub;
using namespace keystub::mikey;

namespace {

// What parse() accepted has to be readable to its last field.
template <class T>
T checked(Result<T> result) {
  if (!result) std::abort();
  return std::move(*result);
}

template <class Walker>
void walk_items(Walker walker) {
  while (checked(walker.next())) {
  }
}

// Goes into everything that a payload holds.
class Visitor {
 public:
  explicit Visitor(const Message& message) noexcept : message_(message) {}

  // Payloads lie in their chain without a gap; returns where the last one ends.
  std::size_t walk(PayloadWalker walker) {
    std::size_t end = 0;
    while (const auto payload = checked(walker.next())) {
      if (end != 0 && payload->offset != end) std::abort();
      end = payload->offset + payload->bytes.size();
      if (payload->type != type_of(payload->value)) std::abort();
      std::visit(*this, payload->value);
    }
    return end;
  }

  void operator()(const SecurityPolicyView& policy) { walk_items(policy.walk(message_.name())); }
  void operator()(const ExtensionView& ext) { walk_items(ext.key_ids(message_.name())); }
  void operator()(const KemacView& kemac) {
    const KemacLayout layout =
        depth_ == 0 ? kemac_layout(message_.header.data_type) : KemacLayout::keys;
    walk_items(kemac.plain_keys(message_.name(), layout));
  }
  void operator()(const TicketPolicyView& policy) {
    if (depth_ != 0) return;  // not expected inside another, so not looked into
    ++depth_;
    walk(policy.payloads(message_.name()));
    --depth_;
  }
  void operator()(const TicketView& ticket) {
    (*this)(ticket.policy);
    if (depth_ != 0 || ticket.initiator_data.empty()) return;
    ++depth_;
    walk(ticket.initiator_payloads(message_.name()));
    --depth_;
  }
  template <class Other>
  void operator()(const Other&) {}

 private:
  const Message& message_;
  int depth_ = 0;
};

// Building a message from what was read gives the same octets.
void check_round_trip(const Message& message) {
  MessageBuilder builder(message.header);
  PayloadWalker walker = message.payloads();
  while (const auto payload = checked(walker.next())) builder.payload(payload->value);
  if (!equal(checked(std::move(builder).end_without_v()), message.bytes)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes octets(data, size);
  const auto message = Message::parse(octets);
  if (!message) {
    if (message.error().place()->offset > size) std::abort();
    return 0;
  }
  walk_items(message->header.srtp_ids(message->name()));
  walk_items(message->header.crypto_session_views(message->name()));
  if (Visitor(*message).walk(message->payloads()) != size) std::abort();
  check_round_trip(*message);
  (void)message->sdp_ids();
  (void)check_sdp_ids(*message, "mikey");
  if (message->ticket) {
    // A policy that was read is encoded to something that is read as the same policy.
    const auto policy = message->ticket->policy.read(message->name());
    if (policy && message->ticket->policy.reserved == 0) {
      ByteWriter writer;
      policy->encode(writer);
      ByteReader reader("again", writer.view());
      const TicketPolicyView again = decode_tp(reader);
      if (!reader.finish() || again.read("again").value() != *policy) std::abort();
    }
    (void)parse_ticket_data(*message->ticket, message->name());
  }
  (void)ReceivedRequest::parse(octets);
  (void)ReceivedResolve::parse(octets);
  if (const auto transfer = ReceivedTransfer::parse(octets)) {
    ResponderProfile profile;
    profile.own_identities = {Identity::uri("sip:user1@example.com")};
    (void)transfer->check_early(profile, transfer->t().to_wall_time());
  }
  return 0;
}
