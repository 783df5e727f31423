// Any octets as a MIKEY message: parsed, walked, and given to every receiver of an exchange.
#include <cstdint>
#include <cstdlib>

#include "mikey/key_mgmt_attribute.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"

using namespace keystub;
using namespace keystub::mikey;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes octets(data, size);
  const auto message = Message::parse(octets);
  if (!message) {
    if (message.error().place()->offset > size) std::abort();
    return 0;
  }
  // What parse() accepted can be walked, and its payloads cover the message without a gap.
  std::size_t covered = 0;
  PayloadWalker walker = message->payloads();
  for (;;) {
    const auto payload = walker.next();
    if (!payload) std::abort();
    if (!*payload) break;
    if (covered != 0 && (*payload)->offset != covered) std::abort();
    covered = (*payload)->offset + (*payload)->bytes.size();
  }
  if (covered != 0 && covered != size) std::abort();
  if (!message->header.crypto_sessions(message->name())) std::abort();
  (void)message->sdp_ids();
  (void)check_sdp_ids(*message, "mikey");
  if (message->ticket) {
    // A policy that was read is encoded to something that is read as the same policy.
    const auto policy = message->ticket->policy.read(message->name());
    if (policy && message->ticket->policy.reserved == 0) {
      ByteWriter writer;
      policy->encode(writer);
      ByteReader reader("again", writer.view());
      const auto again = decode_tp(reader);
      if (!again || again->read("again").value() != *policy) std::abort();
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
