#include "mikey/cli/describe.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "mikey/cli/fields.h"
#include "mikey/ticket.h"

namespace keystub::mikey::cli {
namespace {

std::string octets_note(std::size_t count) {
  return count < 8 ? std::string() : fmt::format("{} octets", count);
}

std::string time_note(const Timestamp& t) {
  if (!t.is_time()) return {};
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(t.to_wall_time());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (ms - seconds).count());
}

// A visitor of fields.h that only reads. The offset moves with the fields, in bits.
class Describer {
 public:
  // Nodes are added to `parent`; the first one lies at `offset`.
  Describer(const Message& message, Node& parent, std::size_t offset) noexcept
      : message_(message), parent_(&parent), bit_(offset * 8) {}

  std::size_t offset() const noexcept { return bit_ / 8; }

  template <class Number>
  void number(std::string_view name, Number& value, std::size_t bits) {
    add(name, Node::Kind::number, std::to_string(static_cast<unsigned>(value)), bits);
  }
  void constant(std::string_view name, std::uint8_t value, std::size_t bits) {
    number(name, value, bits);
  }
  template <class Number>
  void hex_number(std::string_view name, Number& value, std::size_t bits) {
    add(name, Node::Kind::text, fmt::format("0x{:0{}x}", value, bits / 4), bits);
  }
  template <class Enum>
  void choice(std::string_view name, Enum& value, std::size_t bits) {
    add(name, Node::Kind::text,
        fmt::format("{} ({})", name_of(value), static_cast<unsigned>(value)), bits);
  }
  void flags(std::string_view name, const TicketFlags& flags) {
    add(name, Node::Kind::text, flags.letters(), 12);
  }
  void timestamp(std::string_view name, const Timestamp& t) {
    const bool has_32_bits = t.type == TsType::counter || t.type == TsType::ntp_utc_32;
    hex_number(name, t.value, has_32_bits ? 32 : 64);
    note(time_note(t));
  }
  void octets(std::string_view name, Bytes value) {
    add(name, Node::Kind::text, to_hex(value), value.size() * 8);
    note(octets_note(value.size()));
  }
  void octets(std::string_view length_name, std::string_view name, Bytes value,
              std::size_t length_bits) {
    length(length_name, value, length_bits);
    octets(name, value);
  }
  void text(std::string_view length_name, std::string_view name, Bytes value,
            std::size_t length_bits) {
    length(length_name, value, length_bits);
    add(name, Node::Kind::text, quote_or_hex(as_text(value)), value.size() * 8);
  }
  void next_payload(PayloadType type) {
    add("next payload", Node::Kind::derived,
        fmt::format("{} ({})", name_of(type), static_cast<unsigned>(type)), 8);
  }
  void note(std::string_view text) { parent_->children.back().note = text; }

  template <class Inside>
  void part(std::string_view length_name, std::string_view name, Bytes value,
            std::size_t length_bits, bool structured, Inside inside) {
    if (!structured) return octets(length_name, name, value, length_bits);
    length(length_name, value, length_bits);
    group(name, {}, inside);
  }
  template <auto decode, auto encode, class Each>
  void items(std::string_view name, Bytes value, Each each) {
    ItemWalker<decode> walker(ByteReader(message_.name(), value));
    while (const auto* next = *walker.next()) {
      auto item = *next;
      group(name, {}, [&] { each(item); });
    }
  }
  void srtp_session_data(const CryptoSessionView& session) {
    SrtpSessionData data = *decode_srtp_session_data(
        ByteReader(message_.name(), session.session_data), session.s_flag);
    fields(*this, data);
  }
  void key_data(const KemacView& kemac) {
    const KemacLayout layout =
        depth_ == 0 ? kemac_layout(message_.header.data_type) : KemacLayout::keys;
    KeyDataWalker walker = kemac.plain_keys(message_.name(), layout);
    for (bool first = true;; first = false) {
      const KeyDataView* const next = *walker.next();
      if (first && walker.sender()) {
        IdentityView sender = *walker.sender();
        group(name_of(PayloadType::id), "RFC 3830 6.2", [&] {
          next_payload(next == nullptr ? PayloadType::last : PayloadType::key_data);
          fields(*this, sender);
        });
      }
      if (next == nullptr) return;
      KeyDataView data = *next;
      group(name_of(PayloadType::key_data), "RFC 3830 6.13", [&] {
        next_payload(static_cast<PayloadType>(message_.bytes[offset()]));
        fields(*this, data);
      });
    }
  }

  // Whether `value` can be taken apart as a chain with a First Payload octet. A TP or TICKET inside
  // another is not looked into.
  bool is_chain(Bytes value) const { return depth_ == 0 && !value.empty(); }
  void chain(Bytes value) {
    ByteReader reader(message_.name(), value, offset());
    const auto first = static_cast<PayloadType>(reader.u8("First Payload"));
    add("First Payload", Node::Kind::derived,
        fmt::format("{} ({})", name_of(first), static_cast<unsigned>(first)), 8);
    payloads(PayloadWalker(reader, first));
  }
  bool is_base_ticket(const TicketView& ticket) const {
    return depth_ == 0 && parse_ticket_data(ticket, message_.name()).has_value();
  }
  void ticket_data(const TicketView& ticket) {
    ByteReader reader(message_.name(), ticket.ticket_data, ticket.ticket_data_offset);
    TicketHeaderView header = decode_thdr(reader);
    group("THDR", "RFC 6043 A.3", [&] { fields(*this, header); });
    payloads(PayloadWalker(reader, header.next_payload));
  }
  void payloads(PayloadWalker walker) {
    ++depth_;
    while (const Payload* payload = *walker.next()) add_payload(*payload);
    --depth_;
  }

  void add_header() {
    Header header = message_.header;
    group("HDR", "RFC 6043 6.1", [&] { fields(*this, header); });
  }
  void add_payload(const Payload& payload) {
    PayloadValue value = payload.value;
    group(name_of(payload.type), clause_of(payload.type), [&] {
      if (payload.type != PayloadType::sign) {
        next_payload(static_cast<PayloadType>(payload.bytes[0]));
      }
      std::visit([this](auto& view) { fields(*this, view); }, value);
    });
  }

 private:
  void add(std::string_view name, Node::Kind kind, std::string value, std::size_t bits) {
    Node node;
    node.name = name;
    node.kind = kind;
    node.value = std::move(value);
    node.offset = offset();
    bit_ += bits;
    node.length = (bit_ + 7) / 8 - node.offset;
    parent_->children.push_back(std::move(node));
  }
  void length(std::string_view name, Bytes value, std::size_t bits) {
    add(name, Node::Kind::derived, std::to_string(value.size()), bits);
  }
  template <class Inside>
  void group(std::string_view name, std::string_view clause, Inside inside) {
    Node node;
    node.name = name;
    node.clause = clause;
    node.offset = offset();
    Node* const outer = std::exchange(parent_, &node);
    inside();
    parent_ = outer;
    node.length = offset() - node.offset;
    parent_->children.push_back(std::move(node));
  }

  const Message& message_;
  Node* parent_;
  std::size_t bit_;
  int depth_ = 0;
};

}  // namespace

std::string quote_or_hex(std::string_view octets) {
  const bool printable = !octets.empty() && std::ranges::all_of(octets, [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  return printable ? fmt::format("\"{}\"", octets) : to_hex(as_bytes(octets));
}

std::vector<Node> describe(const Message& message) {
  Node root;
  Describer describer(message, root, 0);
  describer.add_header();
  PayloadWalker walker = message.payloads();
  while (const Payload* payload = *walker.next()) describer.add_payload(*payload);
  return std::move(root.children);
}

Node describe_key(std::string_view name, Bytes key) {
  Node node;
  node.name = name;
  node.kind = Node::Kind::derived;
  node.value = to_hex(key);
  return node;
}

Node describe_key(const SessionKey& key) {
  Node node = describe_key(name_of(key.type), key.key.reveal());
  node.note = "SPI " + to_hex(key.spi);
  if (has_salt(key.type)) node.note += ", salt " + to_hex(key.salt.reveal());
  return node;
}

}  // namespace keystub::mikey::cli
