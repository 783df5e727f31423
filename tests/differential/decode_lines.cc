// mikey-decode-lines: what lib/mikey makes of messages, to be compared with the decoder in Python
// beside this file. A line of hex on standard input is answered by a line:
//   refuse OFFSET PAYLOAD CLAUSE: TEXT
//   accept HDR PAYLOAD… policy=OUTCOME… ticket-data=OUTCOME
// A payload is TYPE@OFFSET+LENGTH(FIELDS)[PAYLOADS INSIDE]…; its fields are those of the clause, in
// its order: numbers in decimal, octets as OFFSET+LENGTH or, if there are none, `-`.
#include <iostream>
#include <string>
#include <type_traits>

#include "mikey/message.h"
#include "mikey/ticket.h"

namespace {

using namespace keystub;
using namespace keystub::mikey;

// Describes one message that Message::parse has accepted, as far as the library's walkers lead.
class Description {
 public:
  explicit Description(const Message& message) : message_(message) {}

  Result<std::string> line() const {
    const std::string hdr = TRY(header());
    const std::string payloads = TRY(chain(message_.payloads(), true));
    std::string line = "accept " + hdr + ' ' + payloads;
    if (message_.tp) line += policy(*message_.tp);
    if (message_.ticket) line += policy(message_.ticket->policy) + ticket_data(*message_.ticket);
    return line;
  }

 private:
  // ---- fields

  std::string position(std::size_t offset, std::size_t length) const {
    return std::to_string(offset) + '+' + std::to_string(length);
  }
  std::size_t offset_of(Bytes octets) const {
    return static_cast<std::size_t>(octets.data() - message_.bytes.data());
  }
  std::string text(Bytes octets) const {
    return octets.empty() ? "-" : position(offset_of(octets), octets.size());
  }
  std::string text(const std::string& group) const { return group; }
  template <class Number>
    requires std::is_enum_v<Number> || std::is_integral_v<Number>
  std::string text(Number number) const {
    return std::to_string(static_cast<std::uint64_t>(number));
  }

  template <class... Fields>
  std::string group(const Fields&... fields) const {
    std::string list;
    ((list += (list.empty() ? "" : ",") + text(fields)), ...);
    return '(' + list + ')';
  }
  // What a walker finds, each item by `describe`.
  template <class Walker, class Describe>
  Result<std::string> items(Walker&& walker, Describe describe) const {
    std::string list;
    for (;;) {
      const auto item = TRY(walker.next());
      if (!item) return '(' + list + ')';
      list += (list.empty() ? "" : ",") + describe(*item);
    }
  }
  auto type_and_value() const {
    return [this](const TypeLengthValue& item) { return group(item.type, item.value); };
  }

  // ---- HDR

  Result<std::string> header() const {
    const Header& header = message_.header;
    const std::string sessions = TRY(crypto_sessions());
    return position(0, header.map_info_offset + header.map_info.size()) +
           group(header.data_type, header.v_flag, header.prf, header.csb_id, header.cs_count,
                 header.map_type, sessions);
  }
  Result<std::string> crypto_sessions() const {
    const Header& header = message_.header;
    if (header.map_type == CsIdMapType::srtp_id) {
      return items(header.srtp_ids(message_.name()),
                   [this](const SrtpId& id) { return group(id.policy_no, id.ssrc, id.roc); });
    }
    return items(header.crypto_session_views(message_.name()), [this](const CryptoSessionView& cs) {
      return group(cs.cs_id, cs.prot_type, cs.s_flag, cs.policies, cs.session_data, cs.spi);
    });
  }

  // ---- payloads: fields, and the chains inside

  Result<std::string> chain(PayloadWalker walker, bool outermost) const {
    std::string list;
    for (;;) {
      const auto payload = TRY(walker.next());
      if (!payload) return list;
      const std::string value = TRY(
          std::visit([&](const auto& view) { return fields(view, outermost); }, payload->value));
      list += (list.empty() ? "" : " ") + text(payload->type) + '@' +
              position(payload->offset, payload->bytes.size()) + value;
    }
  }

  Result<std::string> fields(const KemacView& kemac, bool outermost) const {
    const std::string list = group(kemac.encr_alg, kemac.encr_data, kemac.mac_alg, kemac.mac);
    if (kemac.encr_alg != EncrAlg::null) return list;
    const KemacLayout layout =
        outermost ? kemac_layout(message_.header.data_type) : KemacLayout::keys;
    const std::string inside = TRY(plain_text(kemac, layout));
    return list + inside;
  }
  Result<std::string> fields(const EnvelopeView& pke, bool) const {
    return group(pke.cache, pke.data);
  }
  Result<std::string> fields(const DhView& dh, bool) const {
    return group(dh.group, dh.value, dh.reserved, dh.validity.kind, key_validity(dh.validity));
  }
  Result<std::string> fields(const SignatureView& sign, bool) const {
    return group(sign.type, sign.data);
  }
  Result<std::string> fields(const Timestamp& t, bool) const { return group(t.type, t.value); }
  Result<std::string> fields(const RoleTimestamp& tr, bool) const {
    return group(tr.role, tr.timestamp.type, tr.timestamp.value);
  }
  Result<std::string> fields(const IdentityView& id, bool) const { return group(id.type, id.data); }
  Result<std::string> fields(const RoleIdentity& idr, bool) const {
    return group(idr.role, idr.identity.type, idr.identity.data);
  }
  Result<std::string> fields(const CertificateView& cert, bool) const {
    return group(cert.type, cert.data);
  }
  Result<std::string> fields(const CertificateHashView& chash, bool) const {
    return group(chash.hash, chash.value);
  }
  Result<std::string> fields(const VerificationView& v, bool) const { return group(v.alg, v.mac); }
  Result<std::string> fields(const SecurityPolicyView& sp, bool) const {
    const std::string parameters = TRY(items(sp.walk(message_.name()), type_and_value()));
    return group(sp.policy_no, sp.prot_type, parameters);
  }
  Result<std::string> fields(const RandView& rand, bool) const { return group(rand.value); }
  Result<std::string> fields(const RoleRandView& randr, bool) const {
    return group(randr.role, randr.value);
  }
  Result<std::string> fields(const ErrorView& err, bool) const {
    return group(err.number, err.reserved);
  }
  Result<std::string> fields(const ExtensionView& ext, bool) const {
    if (ext.type != ExtType::key_id) return group(ext.type, ext.data);
    const std::string key_ids = TRY(items(ext.key_ids(message_.name()), type_and_value()));
    return group(ext.type, ext.data, key_ids);
  }
  // A TP or TICKET inside TP Data or Initiator Data is not expected, and not looked into.
  Result<std::string> fields(const TicketPolicyView& tp, bool outermost) const {
    if (!outermost) return group(tp.tp_data);
    const std::string policies = TRY(nested(tp.payloads(message_.name())));
    return policy_fields(tp, tp.tp_data) + policies;
  }
  Result<std::string> fields(const TicketView& ticket, bool outermost) const {
    const Bytes tp_data = ticket.policy.tp_data;
    if (!outermost) return group(tp_data, ticket.ticket_data, ticket.initiator_data);
    std::string list =
        policy_fields(ticket.policy, tp_data, ticket.ticket_data, ticket.initiator_data);
    list += TRY(nested(ticket.policy.payloads(message_.name())));
    if (ticket.initiator_data.empty()) return list + "[]";
    list += TRY(nested(ticket.initiator_payloads(message_.name())));
    return list;
  }
  template <class... Data>
  std::string policy_fields(const TicketPolicyView& tp, const Data&... data) const {
    return group(tp.type.type, tp.type.subtype, tp.type.version, tp.prf, tp.flags.bits(),
                 tp.reserved, data...);
  }
  Result<std::string> nested(const PayloadWalker& payloads) const {
    const std::string list = TRY(chain(payloads, false));
    return '[' + list + ']';
  }

  // ---- inside a KEMAC

  // The sender, in the messages where it is there, and the key data.
  Result<std::string> plain_text(const KemacView& kemac, KemacLayout layout) const {
    KeyDataWalker walker = kemac.plain_keys(message_.name(), layout);
    const std::string keys = TRY(items(walker, [this](const KeyDataView& key) {
      return group(key.type, key.validity.kind, key.key, key.salt, key_validity(key.validity));
    }));
    const auto& sender = walker.sender();
    return '[' + (sender ? group(sender->type, sender->data) : "") + keys + ']';
  }
  std::string key_validity(const KeyValidityView& validity) const {
    switch (validity.kind) {
      case KeyValidity::null: return "()";
      case KeyValidity::spi: return group(validity.spi);
      case KeyValidity::interval: return group(validity.valid_from, validity.valid_to);
    }
    return "?";
  }

  // ---- what the library offers for the data inside a ticket

  std::string policy(const TicketPolicyView& tp) const {
    return tp.read(message_.name()) ? " policy=accept" : " policy=refuse";
  }
  std::string ticket_data(const TicketView& ticket) const {
    const auto data = parse_ticket_data(ticket, message_.name());
    if (!data) return " ticket-data=refuse";
    const auto kemac = fields(data->kemac, false);
    if (!kemac) return " ticket-data=refuse";
    const IdentityView id_psk = data->idr_psk.value_or(IdentityView{});
    return " ticket-data=" + group(data->thdr) + group(data->t.type, data->t.value) +
           group(data->rand) + *kemac + group(data->idr_psk.has_value(), id_psk.data) +
           group(data->mac_alg, data->mac);
  }

  const Message& message_;
};

Result<std::string> describe(Bytes octets) {
  const Message message = TRY(Message::parse(octets));
  return Description(message).line();
}

}  // namespace

int main() {
  for (std::string hex; std::getline(std::cin, hex);) {
    const auto octets = from_hex(hex);
    if (!octets) {
      std::cerr << "mikey-decode-lines: a line that is not hex\n";
      return 1;
    }
    const auto line = describe(*octets);
    if (line) {
      std::cout << *line << '\n';
    } else {
      const Place place = line.error().place().value_or(Place{});
      std::cout << "refuse " << place.offset << ' ' << place.payload << ' ' << place.clause << ": "
                << line.error().text() << '\n';
    }
  }
}
