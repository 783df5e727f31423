#include "mikey/ticket.h"

#include <algorithm>

#include "base/sha256.h"
#include "mikey/payload/chain.h"
#include "mikey/payload/ticket_header.h"
#include "mikey/protection.h"

namespace keystub::mikey {
namespace {

// In a ticket there is no CSB: the IV is made with this (RFC 6043 A.1). [6043-A.1-05]
constexpr std::uint32_t kTicketCsbId = 0xFFFFFFFF;

// Of an MPK's SPI. AES-KW takes key data in blocks of 64 bits (RFC 3830 4.2.3): 5 octets of
// lengths, 16 of key and 3 of SPI make three.
constexpr std::size_t mpk_spi_octets(EncrAlg encr) noexcept {
  return encr == EncrAlg::aes_kw_128 ? 3 : 4;
}

std::unexpected<Error> invalid_ticket(std::string text, Place place) {
  return std::unexpected(
      Error(Category::malformed, std::move(text), place)
          .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_ticket)));
}

}  // namespace

Result<TicketKeys> make_ticket_keys(RandomSource& random, const Suite& suite,
                                    const std::vector<KeyWish>& wishes, std::size_t tpk_octets) {
  Result<TicketKeys> made(std::in_place);
  TicketKeys& keys = *made;
  keys.mpk_spi.resize(mpk_spi_octets(suite.encr));
  keys.mpk = Mpk(suite.key_octets);
  keys.session_keys.reserve(wishes.size());
  keys.rand.resize(std::max(tpk_octets, keys.mpk.size()));  // [6043-12.1-07]
  std::vector<MutableBytes> draws;
  draws.reserve(2 * wishes.size() + 3);
  draws.emplace_back(keys.mpk_spi);
  draws.emplace_back(keys.mpk.reveal_mutable());
  for (const KeyWish& wish : wishes) {
    SessionKey& key = keys.session_keys.emplace_back(wish.type, CarriedKey(wish.key_octets),
                                                     SaltKey(wish.salt_octets), wish.spi);
    draws.emplace_back(key.key.reveal_mutable());
    if (has_salt(wish.type)) draws.emplace_back(key.salt.reveal_mutable());
  }
  draws.emplace_back(keys.rand);
  TRY(random.fill_each(draws));
  return made;
}

Result<SealedTicket> seal_ticket(const Suite& suite, const TicketPolicy& policy,
                                 const TicketKeys& keys, const TicketProtection& protection,
                                 const Timestamp& issued_at) {
  TRY(policy.flags.check(has_tgk(keys.session_keys)));
  if (!policy.keys.empty()) {  // [6043-6.10-32]
    return fail(Category::internal,
                "a granted Ticket Policy must not carry a KEMAC (RFC 6043 6.10)");
  }
  if (policy.idr_r.empty()) {
    return fail(Category::internal, "a Ticket Policy must name a responder (RFC 6043 6.10)");
  }
  const Bytes rand = keys.rand;
  if (rand.size() < std::max(protection.key.size(), keys.mpk.size()) || rand.size() > 255) {
    return fail(Category::internal,
                "the ticket's RAND must be as long as the longest of TPK and MPK (RFC 6043 12.1)");
  }
  const MessageKeys ticket_keys = TRY(derive_ticket_keys(suite, protection.key, rand));

  ByteWriter body(512);
  policy.encode(body);
  const std::size_t length_at = body.size();
  body.u16(0);
  encode_thdr(body, {PayloadType::t, as_bytes(protection.thdr)});
  body.u8(static_cast<std::uint8_t>(PayloadType::rand));
  encode_t(body, issued_at);
  body.u8(static_cast<std::uint8_t>(PayloadType::kemac));
  body.u8(static_cast<std::uint8_t>(rand.size()));
  body.bytes(rand);
  body.u8(static_cast<std::uint8_t>(protection.id.empty() ? PayloadType::v : PayloadType::idr));
  body.u8(static_cast<std::uint8_t>(suite.encr));
  const PlainKeyData plain = encode_kemac_keys({&keys.mpk}, keys.mpk_spi, keys.session_keys);
  const ByteVector encrypted = TRY(seal_kemac(suite, ticket_keys, kTicketCsbId, issued_at, plain));
  body.u16_length(encrypted.size(), "Encr data len");  // [3830-6.13-01]
  body.bytes(encrypted);
  body.u8(static_cast<std::uint8_t>(MacAlg::null));
  if (!protection.id.empty()) {
    body.u8(static_cast<std::uint8_t>(PayloadType::v));
    encode_idr(body, {IdRole::psk, {IdType::byte_string, as_bytes(protection.id)}});
  }
  body.u8(static_cast<std::uint8_t>(PayloadType::last));
  body.u8(static_cast<std::uint8_t>(suite.mac));
  body.patch_u16_length(length_at, body.size() + suite.auth_octets - length_at - 2,
                        "Ticket Data length");
  // [6043-A.1-08] [6043-A-03]
  const Mac mac = TRY(compute_mac(suite, ticket_keys.auth, {body.view()}));
  body.bytes(mac.bytes());

  MpkPair pair = TRY(derive_mpk_pair(policy.prf, keys.mpk, rand));
  ByteVector octets = TRY(std::move(body).finish());
  return SealedTicket{std::move(octets), std::move(pair.mpki), std::move(pair.mpkr)};
}

Result<TicketDataView> parse_ticket_data(const TicketView& ticket, std::string_view message) {
  ByteReader reader(message, ticket.ticket_data, ticket.ticket_data_offset);
  reader.enter("Ticket Data", "RFC 6043 A.1");
  if (ticket.policy.type != kMikeyBaseTicket && ticket.policy.type != k3gppBaseTicket) {
    return invalid_ticket("ticket type " + std::to_string(ticket.policy.type.type) + " subtype " +
                              std::to_string(ticket.policy.type.subtype) + " version " +
                              std::to_string(ticket.policy.type.version) +
                              " is not supported; 1/1/1 and 2/1/1 are",
                          reader.here());
  }
  TicketDataView data;
  const TicketHeaderView thdr = decode_thdr(reader);
  data.thdr = thdr.data;
  reader.enter("Ticket Data", "RFC 6043 A.1");

  bool has_t = false;
  bool has_rand = false;
  bool has_kemac = false;
  bool has_v = false;
  const auto once = [&](bool& seen, const Payload& payload) -> Result<void> {
    if (seen) {
      return reader.malformed_at(
          payload.offset, "a second " + std::string(name_of(payload.type)) + " in the Ticket Data");
    }
    seen = true;
    return {};
  };
  PayloadWalker walker(reader, thdr.next_payload);
  for (;;) {
    const Payload* payload = TRY(walker.next());
    if (!payload) break;
    if (has_v) return reader.malformed_at(payload->offset, "V must be the last of the Ticket Data");
    if (const auto* t = std::get_if<Timestamp>(&payload->value)) {
      TRY(once(has_t, *payload));
      data.t = *t;
    } else if (const auto* rand = std::get_if<RandView>(&payload->value)) {
      TRY(once(has_rand, *payload));
      data.rand = rand->value;
    } else if (const auto* kemac = std::get_if<KemacView>(&payload->value)) {
      TRY(once(has_kemac, *payload));
      TRY(kemac->check_plain_keys(message));
      data.kemac = *kemac;
    } else if (const auto* id = std::get_if<RoleIdentity>(&payload->value);
               id != nullptr && id->role == IdRole::psk) {
      bool seen = data.idr_psk.has_value();
      TRY(once(seen, *payload));
      data.idr_psk = id->identity;
    } else if (const auto* v = std::get_if<VerificationView>(&payload->value)) {
      TRY(once(has_v, *payload));
      data.mac_alg = v->alg;
      data.mac = v->mac;
    }
  }
  if (!has_t || !has_rand || !has_kemac || !has_v) {
    return invalid_ticket("the Ticket Data lacks one of T, RAND, KEMAC and V", reader.here());
  }
  return data;
}

Result<OpenedTicket> open_ticket(const TicketView& ticket, const TicketDataView& data,
                                 const Prepared<Tpk>& tpk, std::string_view message) {
  const Place place{message, "TICKET", "RFC 6043 A.1", ticket.ticket_data_offset};
  if (ticket.policy.prf > PrfFunc::hmac_sha_256) {
    return invalid_ticket("the ticket's PRF is unassigned", place);
  }
  const Suite& suite = *TRY(suite_of_kemac(ticket.policy.prf, data.kemac, place));
  if (data.mac_alg != suite.mac) {
    return invalid_ticket("the ticket's MAC algorithm does not go with its PRF (RFC 6043 12.1)",
                          place);
  }
  const MessageKeys keys = TRY(derive_ticket_keys(suite, tpk, data.rand));
  const Bytes covered = ticket.body.first(ticket.body.size() - data.mac.size());  // [6043-A.1-08]
  TRY(verify_mac(suite, keys.auth, {covered}, data.mac, place));
  KemacKeys carried = TRY(open_kemac(suite, keys, kTicketCsbId, data.t, data.kemac, place));
  if (carried.mpks.size() != 1) {
    return invalid_ticket("a base ticket carries exactly one MPK", place);
  }
  TRY(at(place, ticket.policy.flags.check(has_tgk(carried.session_keys))));
  const Mpk& mpk = carried.mpks.front();
  if (data.rand.size() < std::max(tpk.size(), mpk.size())) {  // [6043-12.1-07]
    return invalid_ticket(
        "the ticket's RAND is shorter than the longest of TPK and MPK (RFC 6043 12.1)", place);
  }
  MpkPair pair = TRY(derive_mpk_pair(ticket.policy.prf, mpk, data.rand));
  return OpenedTicket{data.t, std::move(pair.mpki), std::move(pair.mpkr),
                      std::move(carried.mpk_spi), std::move(carried.session_keys)};
}

Result<TicketId> ticket_id(const TicketView& ticket) {
  return ticket_id_of_mac(TRY(parse_ticket_data(ticket, "ticket")).mac);
}

Result<TicketId> ticket_id_of_mac(Bytes mac) {
  const Sha256Digest digest = TRY(sha256({mac}));
  TicketId id;
  std::ranges::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

}  // namespace keystub::mikey
