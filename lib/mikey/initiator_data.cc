#include "mikey/initiator_data.h"

#include "mikey/exchange_rules.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kLengthOctets = 2;

}  // namespace

CoveredTransferInit covered_by_mac(const Message& transfer_init) noexcept {
  const Bytes without_mac = transfer_init.without_mac();
  if (!transfer_init.ticket) return {without_mac, {}};
  const TicketView& ticket = *transfer_init.ticket;
  return {without_mac.first(ticket.initiator_data_offset - kLengthOctets),
          without_mac.subspan(ticket.initiator_data_offset + ticket.initiator_data.size())};
}

// Vi is V but for its Next Payload: Vr follows it.
Result<ByteVector> make_initiator_data(const Suite& suite, const Mpk& mpkr, const Mac& v) {
  ByteWriter data;
  data.u8(static_cast<std::uint8_t>(PayloadType::last));  // First Payload
  PayloadChain chain(0);
  chain.add(data, VerificationView{suite.mac, v.bytes()});
  chain.add(data, VerificationView{suite.mac, {}});
  const AuthKey key = TRY(derive_initiator_data_key(suite, mpkr));
  const Mac vr = TRY(compute_mac(suite, key, {data.view()}));
  data.bytes(vr.bytes());
  return std::move(data).take();
}

Result<InitiatorData> read_initiator_data(const Suite& suite, const TicketView& ticket,
                                          std::string_view message) {
  const Place place{message, "Initiator Data", "RFC 6043 6.10", ticket.initiator_data_offset};
  PayloadWalker walker = ticket.initiator_payloads(message);
  InitiatorData data;
  std::size_t count = 0;
  while (const Payload* payload = TRY(walker.next())) {
    const auto* v = std::get_if<VerificationView>(&payload->value);
    if (v == nullptr) continue;
    (count == 0 ? data.vi : data.vr) = *v;
    ++count;
  }
  if (count != 2) {
    return fail(Category::malformed,
                "the Initiator Data holds " + std::to_string(count) +
                    " V payloads; they are two, Vi and Vr",
                place);
  }
  if (data.vi.alg != suite.mac || data.vr.alg != suite.mac) {  // [6043-6.10-40] [6043-12.1-11]
    return refuse(Category::malformed, ErrorNo::invalid_mac,
                  "the MAC algorithms of Vi and Vr do not go with the PRF (RFC 6043 12.1)", place);
  }
  return data;
}

Result<void> check_vi(const Message& transfer_init) {
  const TicketView& ticket = *transfer_init.ticket;
  const InitiatorData data =
      TRY(read_initiator_data(suite_of(transfer_init.header.prf), ticket, transfer_init.name()));
  if (!equal(data.vi.mac, transfer_init.v->mac)) {
    return refuse(Category::unauthenticated, ErrorNo::auth_failure,
                  "the MAC in Vi is not the one in V: the ticket was put into another message",
                  Place{transfer_init.name(), "Initiator Data", "RFC 6043 4.2.3.6",
                        ticket.initiator_data_offset});
  }
  return {};
}

Result<void> verify_initiator_data(const Suite& suite, const TicketView& ticket, const Mpk& mpkr,
                                   const Message& message) {
  const InitiatorData data = TRY(read_initiator_data(suite, ticket, message.name()));
  const Place place{message.name(), "Initiator Data", "RFC 6043 6.10",
                    ticket.initiator_data_offset};
  const AuthKey key = TRY(derive_initiator_data_key(suite, mpkr));
  const Bytes covered =
      ticket.initiator_data.first(ticket.initiator_data.size() - data.vr.mac.size());
  return verify_mac(suite, key, {covered}, data.vr.mac, place);
}

}  // namespace keystub::mikey
