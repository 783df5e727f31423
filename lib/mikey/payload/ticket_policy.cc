#include "mikey/payload/ticket_policy.h"

#include <algorithm>
#include <array>

#include "mikey/payload/bare_ticket.h"
#include "mikey/payload/chain.h"

namespace keystub::mikey {
namespace {

constexpr std::string_view kLetters = "DEFGHIJKLMNO";

constexpr TicketFlag flag_at(std::size_t index) noexcept {
  return static_cast<TicketFlag>(0x800U >> index);
}

// From Ticket Type to Res: PRF func (7 bits), the twelve flags, Res (5 bits) end it.
void encode_policy_fields(ByteWriter& writer, TicketType type, PrfFunc prf, TicketFlags flags,
                          std::uint8_t reserved) {
  writer.u16(type.type);
  writer.u8(type.subtype);
  writer.u8(type.version);
  writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(prf) << 1 | flags.bits() >> 11));
  writer.u16(static_cast<std::uint16_t>(flags.bits() << 5 | reserved));
}

// The plain text of a KEMAC that says how many keys are wished for, and of what kind: all zero.
ByteVector zeroed_keys(const std::vector<KeyWish>& wishes) {
  ByteWriter out;
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const ByteVector key(wishes[i].key_octets, 0);
    const ByteVector salt(wishes[i].salt_octets, 0);
    encode_key_data(out, i + 1 == wishes.size(), wishes[i].type, key, salt, wishes[i].spi);
  }
  return std::move(out).take();
}

}  // namespace

std::string_view KeyWish::fault() const noexcept {
  if (spi.empty()) return "a wished key without an SPI: every key needs one (RFC 6043 6.2.1)";
  if (type == KeyType::mpk) return "MPKs cannot be wished for: the KMS always makes them";
  return {};
}

std::string TicketFlags::letters() const {
  std::string out;
  for (std::size_t i = 0; i < kLetters.size(); ++i) {
    if (has(flag_at(i))) out += kLetters[i];
  }
  return out;
}

Result<TicketFlags> TicketFlags::from_letters(std::string_view letters) {
  TicketFlags flags;
  for (const char letter : letters) {
    const std::size_t index = kLetters.find(letter);
    if (index == std::string_view::npos) {
      return fail(Category::malformed,
                  std::string("'") + letter + "' is not a ticket flag; flags are D to O");
    }
    flags = flags.with(flag_at(index));
  }
  return flags;
}

Result<void> TicketFlags::check(bool tgk_in_ticket) const {
  using enum TicketFlag;
  struct Dependency {
    bool broken;
    std::string_view rule;
  };
  const auto unless = [this](bool premise, TicketFlag conclusion) {
    return premise && !has(conclusion);
  };
  // RFC 6043 6.10: "the flags are not independent". [6043-6.10-42]
  const std::array<Dependency, 8> dependencies{{
      {unless(!has(d_kms_generated), l_initiator_keys), "NOT D implies L"},
      {unless(has(g_randr_r), f_response), "G implies F"},
      {unless(!has(g_randr_r), h_randr_i), "NOT G implies H"},
      {unless(!has(h_randr_i), g_randr_r), "NOT H implies G"},
      {unless(has(i_forking), e_resolve_mandatory), "I implies E"},
      {unless(has(k_changed), d_kms_generated), "K implies D"},
      {unless(has(m_responder_keys), f_response), "M implies F"},
      // The initiator forks the TGK with what TRANSFER_RESP brings. [6043-6.10-01]
      {unless(has(i_forking) && tgk_in_ticket, f_response), "I and a TGK in the ticket imply F"},
  }};
  for (const Dependency& dependency : dependencies) {
    if (dependency.broken) {
      return std::unexpected(
          Error(Category::malformed, "ticket flags " + letters() + " contradict each other: " +
                                         std::string(dependency.rule) + " (RFC 6043 6.10)")
              .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_tppar)));
    }
  }
  return {};
}

bool TicketPolicy::names_responder(std::string_view uri) const noexcept {
  return std::ranges::any_of(idr_r, [uri](const Identity& identity) {
    return identity.type != IdType::byte_string && names(identity.data, uri);
  });
}

Result<void> TicketPolicy::check_valid_at(WallTime now) const {
  if (trs && trs->is_time() && now < trs->to_wall_time()) {
    return fail(Category::expired, "the ticket is not valid yet: its validity starts later (TRs)");
  }
  if (tre && tre->is_time() && now > tre->to_wall_time()) {
    return fail(Category::expired, "the ticket has expired (TRe); request a new one");
  }
  return {};
}

void TicketPolicy::encode(ByteWriter& writer) const {
  encode_policy_fields(writer, type, prf, flags, 0);
  const std::size_t length_at = writer.size();
  writer.u16(0);

  PayloadChain chain(writer.size());
  writer.u8(static_cast<std::uint8_t>(PayloadType::last));  // First Payload
  const auto add_identity = [&](IdRole role, const Identity& identity) {
    chain.add(writer, RoleIdentity{role, identity.view()});
  };
  const auto add_time = [&](TsRole role, const std::optional<Timestamp>& time) {
    if (time) chain.add(writer, RoleTimestamp{role, *time});
  };
  if (idr_kms) add_identity(IdRole::kms, *idr_kms);
  if (idr_i) add_identity(IdRole::initiator, *idr_i);
  add_time(TsRole::start, trs);
  add_time(TsRole::end, tre);
  add_time(TsRole::rekeying, trr);
  if (!keys.empty()) {
    const ByteVector zeros = zeroed_keys(keys);
    chain.add(writer, KemacView{EncrAlg::null, zeros, MacAlg::null, {}});
  }
  for (const Identity& identity : idr_app) add_identity(IdRole::application, identity);
  for (const Identity& identity : idr_r) add_identity(IdRole::responder, identity);

  writer.patch_u16_length(length_at, writer.size() - length_at - 2, "TP Data length");
}

TicketPolicyView decode_tp(ByteReader& reader) {
  TicketPolicyView view;
  view.type.type = reader.u16("Ticket Type");
  view.type.subtype = reader.u8("Subtype");
  view.type.version = reader.u8("Version");
  const std::uint8_t prf_and_d = reader.u8("PRF func and D");
  const std::uint16_t flags_and_res = reader.u16("flags and Res");
  view.prf = static_cast<PrfFunc>(prf_and_d >> 1);
  view.flags = TicketFlags(static_cast<std::uint16_t>((prf_and_d & 1U) << 11 |
                                                      static_cast<unsigned>(flags_and_res >> 5)));
  view.reserved = flags_and_res & 0x1F;
  const std::uint16_t length = reader.u16("TP Data length");
  view.tp_data_offset = reader.offset();
  view.tp_data = reader.bytes(length, "TP Data");
  return view;
}

void encode_tp(ByteWriter& writer, const TicketPolicyView& policy) {
  encode_policy_fields(writer, policy.type, policy.prf, policy.flags, policy.reserved);
  writer.u16_length(policy.tp_data.size(), "TP Data length");
  writer.bytes(policy.tp_data);
}

TicketView decode_ticket(ByteReader& reader) {
  TicketView view = decode_bare_ticket(reader);
  const std::uint16_t initiator_length = reader.u16("Initiator Data length");
  view.initiator_data_offset = reader.offset();
  view.initiator_data = reader.bytes(initiator_length, "Initiator Data");
  return view;
}

void encode_ticket(ByteWriter& writer, const TicketView& ticket) {
  encode_tp(writer, ticket.policy);
  writer.u16_length(ticket.ticket_data.size(), "Ticket Data length");
  writer.bytes(ticket.ticket_data);
  writer.u16_length(ticket.initiator_data.size(), "Initiator Data length");
  writer.bytes(ticket.initiator_data);
}

PayloadWalker TicketPolicyView::payloads(std::string_view message) const noexcept {
  ByteReader reader(message, tp_data, tp_data_offset);
  reader.enter("TP Data", "RFC 6043 6.10");
  return PayloadWalker::after_first_payload(reader);
}

PayloadWalker TicketView::initiator_payloads(std::string_view message) const noexcept {
  ByteReader reader(message, initiator_data, initiator_data_offset);
  reader.enter("Initiator Data", "RFC 6043 6.10");
  return PayloadWalker::after_first_payload(reader);
}

namespace {

// The zeroed KEMAC of a wished policy: what keys are asked for (RFC 6043 6.10).
Result<std::vector<KeyWish>> read_wishes(const KemacView& kemac, std::string_view message) {
  KeyDataWalker walker = kemac.plain_keys(message);
  if (kemac.encr_alg != EncrAlg::null || kemac.mac_alg != MacAlg::null) {
    return walker.malformed("the KEMAC of a Ticket Policy uses NULL encryption and a NULL MAC");
  }
  std::vector<KeyWish> wishes;
  for (;;) {
    const KeyDataView* data = TRY(walker.next());
    if (!data) return wishes;
    const KeyWish& wish = wishes.emplace_back(
        data->type, static_cast<std::uint16_t>(data->key.size()),
        static_cast<std::uint16_t>(data->salt.size()), to_vector(data->validity.spi));
    if (!wish.fault().empty()) return walker.malformed(std::string(wish.fault()));
  }
}

template <class T>
Result<void> set_once(std::optional<T>& field, T value, const ByteReader& reader,
                      std::size_t offset, std::string_view what) {
  if (field) return reader.malformed_at(offset, "a second " + std::string(what) + " in TP Data");
  field = std::move(value);
  return {};
}

}  // namespace

Result<TicketPolicy> TicketPolicyView::read(std::string_view message) const {
  TicketPolicy policy;
  policy.type = type;
  policy.prf = prf;
  policy.flags = flags;
  ByteReader reader(message, tp_data, tp_data_offset);
  reader.enter("TP Data", "RFC 6043 6.10");
  PayloadWalker walker = payloads(message);
  bool has_kemac = false;
  for (;;) {
    const Payload* payload = TRY(walker.next());
    if (!payload) break;
    const std::size_t at = payload->offset;
    if (const auto* id = std::get_if<RoleIdentity>(&payload->value)) {
      Identity identity(id->identity);
      switch (id->role) {
        case IdRole::kms:
          TRY(set_once(policy.idr_kms, std::move(identity), reader, at, "IDRkms"));
          break;
        case IdRole::initiator:
          TRY(set_once(policy.idr_i, std::move(identity), reader, at, "IDRi"));
          break;
        case IdRole::application: policy.idr_app.push_back(std::move(identity)); break;
        case IdRole::responder: policy.idr_r.push_back(std::move(identity)); break;
        case IdRole::psk: break;
      }
    } else if (const auto* time = std::get_if<RoleTimestamp>(&payload->value)) {
      switch (time->role) {
        case TsRole::start: TRY(set_once(policy.trs, time->timestamp, reader, at, "TRs")); break;
        case TsRole::end: TRY(set_once(policy.tre, time->timestamp, reader, at, "TRe")); break;
        case TsRole::rekeying:
          TRY(set_once(policy.trr, time->timestamp, reader, at, "TRr"));
          if (time->timestamp.type != TsType::ntp_utc_32) {
            return reader.malformed_at(at, "TRr must be of type NTP-UTC-32");
          }
          break;
        case TsRole::issue: break;
      }
    } else if (const auto* kemac = std::get_if<KemacView>(&payload->value)) {
      if (has_kemac) return reader.malformed_at(at, "a second KEMAC in TP Data");
      has_kemac = true;
      policy.keys = TRY(read_wishes(*kemac, message));
    }
  }
  if (policy.idr_r.empty()) {
    return reader.malformed("TP Data names no responder: at least one IDRr is needed");
  }
  return policy;
}

}  // namespace keystub::mikey
