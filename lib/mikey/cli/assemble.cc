#include "mikey/cli/assemble.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>

#include "mikey/cli/fields.h"
#include "mikey/message_builder.h"

namespace keystub::mikey::cli {
namespace {

std::unexpected<Error> fail_at(const Node& node, const std::string& text) {
  return fail(Category::malformed,
              node.line == 0 ? text : fmt::format("line {}: {}", node.line, text));
}

// "42", "0x2a", or what stands in the parentheses of "NAME (42)". No value where it is no number.
std::optional<std::uint64_t> read_number(std::string_view text) {
  if (text.ends_with(')')) {
    const std::size_t open = text.rfind('(');
    if (open == std::string_view::npos) return std::nullopt;
    text = text.substr(open + 1, text.size() - open - 2);
  }
  const bool is_hex = text.starts_with("0x");
  if (is_hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

// The number that `name_of` calls `name`.
template <class Enum>
std::optional<std::uint64_t> number_of(std::string_view name) {
  for (unsigned value = 0; value < 256; ++value) {
    if (name_of(static_cast<Enum>(value)) == name && name != "unassigned") return value;
  }
  return std::nullopt;
}

// An empty payload of a type; no value for a type that stands in no chain.
template <std::size_t index = 0>
std::optional<PayloadValue> empty_payload(PayloadType type) {
  if constexpr (index == std::variant_size_v<PayloadValue>) {
    return std::nullopt;
  } else {
    PayloadValue value(std::in_place_index<index>);
    if (type_of(value) == type) return value;
    return empty_payload<index + 1>(type);
  }
}

// A visitor of fields.h that fills views from a tree and keeps their octets. After the first error
// it leaves everything as it is.
class Assembler {
 public:
  explicit Assembler(const std::vector<Node>& nodes) : level_{&nodes, 0} {}

  const std::optional<Error>& error() const noexcept { return error_; }

  template <class Number>
  void number(std::string_view name, Number& value, std::size_t bits) {
    const Node* node = take(name);
    if (node == nullptr) return;
    const auto number = read_number(node->value);
    if (!number || (bits < 64 && *number >> bits != 0)) {
      return refuse(*node,
                    fmt::format("{} is a number of {} bits, not '{}'", name, bits, node->value));
    }
    value = static_cast<Number>(*number);
  }
  void constant(std::string_view name, std::uint8_t value, std::size_t bits) {
    const Node* node = peek();
    std::uint8_t given = value;
    number(name, given, bits);
    if (given != value) refuse(*node, fmt::format("{} can only be {}", name, value));
  }
  template <class Number>
  void hex_number(std::string_view name, Number& value, std::size_t bits) {
    number(name, value, bits);
  }
  template <class Enum>
  void choice(std::string_view name, Enum& value, std::size_t bits) {
    const Node* node = take(name);
    if (node == nullptr) return;
    auto number = read_number(node->value);
    if (!number) number = number_of<Enum>(node->value);
    if (!number || *number >> bits != 0) {
      return refuse(*node, fmt::format("'{}' is no {}; give a name of the RFC or a number of {} "
                                       "bits",
                                       node->value, name, bits));
    }
    value = static_cast<Enum>(*number);
  }
  void flags(std::string_view name, TicketFlags& flags) {
    const Node* node = take(name);
    if (node == nullptr) return;
    const auto read = TicketFlags::from_letters(node->value);
    if (!read) return refuse(*node, read.error().text());
    flags = *read;
  }
  void timestamp(std::string_view name, Timestamp& t) {
    const bool has_32_bits = t.type == TsType::counter || t.type == TsType::ntp_utc_32;
    number(name, t.value, has_32_bits ? 32 : 64);
  }
  void octets(std::string_view name, Bytes& value) {
    if (const Node* node = take(name)) read_octets(*node, value);
  }
  void octets(std::string_view, std::string_view name, Bytes& value, std::size_t length_bits) {
    const Node* node = take(name);
    if (node == nullptr) return;
    read_octets(*node, value);
    if (value.size() >> length_bits != 0) {
      refuse(*node, fmt::format("{} has at most {} octets, not {}", name,
                                (std::size_t{1} << length_bits) - 1, value.size()));
    }
  }
  void text(std::string_view length_name, std::string_view name, Bytes& value,
            std::size_t length_bits) {
    octets(length_name, name, value, length_bits);
  }
  void next_payload(PayloadType) {}
  void note(std::string_view) {}

  template <class Inside>
  void part(std::string_view length_name, std::string_view name, Bytes& value,
            std::size_t length_bits, bool, Inside inside) {
    const Node* node = peek();
    if (node == nullptr || !node->is_group()) return octets(length_name, name, value, length_bits);
    if (take(name) != nullptr) enter(*node, inside);
  }
  template <auto decode, auto encode, class Each>
  void items(std::string_view name, Bytes& value, Each each) {
    using Item = typename ItemWalker<decode>::Item;
    ByteWriter out;
    while (const Node* node = peek()) {
      if (take(name) == nullptr) return;
      Item item;
      enter(*node, [&] { each(item); });
      encode(out, item);
    }
    value = keep(std::move(out));
  }
  void srtp_session_data(CryptoSessionView& session) {
    SrtpSessionData data;
    if (session.s_flag) data.position = SrtpSessionData::Position{};
    fields(*this, data);
    ByteWriter out;
    encode_srtp_session_data(out, data);
    session.session_data = keep(std::move(out));
  }
  void key_data(KemacView& kemac) {
    ByteWriter out;
    if (const Node* node = peek(); node != nullptr && node->name == name_of(PayloadType::id)) {
      take(node->name);
      IdentityView sender;
      enter(*node, [&] { fields(*this, sender); });
      const bool alone = peek() == nullptr;
      out.u8(static_cast<std::uint8_t>(alone ? PayloadType::last : PayloadType::key_data));
      encode_id(out, sender);
    }
    while (const Node* node = peek()) {
      if (take(name_of(PayloadType::key_data)) == nullptr) return;
      KeyDataView data;
      enter(*node, [&] { fields(*this, data); });
      encode_key_data(out, peek() == nullptr, data);
    }
    kemac.encr_data = keep(std::move(out));
  }

  bool is_chain(Bytes) const noexcept { return true; }
  bool is_base_ticket(const TicketView&) const noexcept { return true; }
  void chain(Bytes& value) {
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(PayloadType::last));
    payloads(out, 0);
    value = keep(std::move(out));
  }
  void ticket_data(TicketView& ticket) {
    const Node* node = take("THDR");
    if (node == nullptr) return;
    TicketHeaderView header;
    enter(*node, [&] { fields(*this, header); });
    ByteWriter out;
    encode_thdr(out, header);
    payloads(out, 0);
    ticket.ticket_data = keep(std::move(out));
  }

  Header header() {
    Header header;
    const Node* node = take("HDR");
    if (node == nullptr) return header;
    enter(*node, [&] { fields(*this, header); });
    const auto sessions = std::ranges::count(node->children, "crypto session", &Node::name);
    if (header.map_type != CsIdMapType::empty && sessions != header.cs_count) {
      refuse(*node,
             fmt::format("#CS is {}, and {} crypto sessions follow", header.cs_count, sessions));
    }
    return header;
  }
  // Everything that is left here, as payloads behind what is in `out`.
  void payloads(ByteWriter& out, std::size_t first_at) {
    PayloadChain chain(first_at);
    while (const Node* node = peek()) {
      const auto type = number_of<PayloadType>(node->name);
      auto value = type ? empty_payload(static_cast<PayloadType>(*type)) : std::nullopt;
      if (!value || !node->is_group()) {
        return refuse(*node, fmt::format("'{}' is no payload", node->name));
      }
      ++level_.next;
      enter(*node, [&] { std::visit([this](auto& view) { fields(*this, view); }, *value); });
      chain.add(out, *value);
    }
  }

 private:
  // Where we are: the next of the nodes on one level.
  struct Level {
    const std::vector<Node>* nodes;
    std::size_t next;
    const Node* parent = nullptr;
  };

  // The next node; nullptr at the end, and after an error. None is derived: neither of the forms
  // that are read (forms.h) yields such a node.
  const Node* peek() const {
    if (error_ || level_.next == level_.nodes->size()) return nullptr;
    return &(*level_.nodes)[level_.next];
  }
  // The next node, which must have this name.
  const Node* take(std::string_view name) {
    if (error_) return nullptr;
    const Node* node = peek();
    if (node != nullptr && node->name == name) {
      ++level_.next;
      return node;
    }
    if (node != nullptr) {
      refuse(*node, fmt::format("'{}' is expected here, not '{}'", name, node->name));
    } else if (level_.parent != nullptr) {
      refuse(*level_.parent, fmt::format("{} ends without '{}'", level_.parent->name, name));
    } else {
      error_.emplace(Category::malformed, fmt::format("'{}' is missing", name));
    }
    return nullptr;
  }
  template <class Inside>
  void enter(const Node& node, Inside inside) {
    const Level outer = std::exchange(level_, Level{&node.children, 0, &node});
    inside();
    if (const Node* rest = peek()) {
      refuse(*rest, fmt::format("{} has no '{}' here", node.name, rest->name));
    }
    level_ = outer;
  }
  void read_octets(const Node& node, Bytes& value) {
    const std::string_view text = node.value;
    if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) {
      value = as_bytes(text.substr(1, text.size() - 2));
      return;
    }
    auto octets = from_hex(text);
    if (!octets || node.is_group()) {
      return refuse(node, fmt::format("{} is given in hex or in quotes", node.name));
    }
    value = kept_.emplace_back(std::move(*octets));
  }
  Bytes keep(ByteWriter&& out) {
    auto octets = std::move(out).finish();
    if (!octets) {
      if (!error_) error_ = std::move(octets).error();
      return {};
    }
    return kept_.emplace_back(std::move(*octets));
  }
  void refuse(const Node& node, const std::string& text) {
    if (!error_) error_ = fail_at(node, text).error();
  }

  Level level_;
  std::deque<ByteVector> kept_;
  std::optional<Error> error_;
};

}  // namespace

Result<ByteVector> assemble(const std::vector<Node>& nodes) {
  Assembler assembler(nodes);
  ByteWriter out(512);
  encode_header(out, assembler.header());
  constexpr std::size_t kNextPayloadInHeader = 2;
  assembler.payloads(out, kNextPayloadInHeader);
  if (assembler.error()) return std::unexpected(*assembler.error());
  ByteVector octets = TRY(std::move(out).finish());
  // What does not fit together (a MAC of another length than its algorithm's) shows here.
  const auto message = Message::parse(octets);
  if (!message) {
    Error error = message.error();
    return std::unexpected(std::move(error).with_context("what was built is no message"));
  }
  return octets;
}

}  // namespace keystub::mikey::cli
