#include "mikey/payload/chain.h"

#include <array>
#include <utility>

namespace keystub::mikey {
namespace {

struct PayloadRow {
  PayloadType type;
  std::string_view clause;
  void (*decode)(ByteReader&, PayloadValue&);
  void (*encode)(ByteWriter&, const PayloadValue&);
};

// A row from the two functions of a payload. Its place in the table is that of its view in
// PayloadValue.
template <auto decode, auto encode>
constexpr PayloadRow row(PayloadType type, std::string_view clause) noexcept {
  using View = decltype(decode(std::declval<ByteReader&>()));
  return {
      type, clause,
      [](ByteReader& reader, PayloadValue& value) { value.emplace<View>(decode(reader)); },
      [](ByteWriter& writer, const PayloadValue& value) { encode(writer, std::get<View>(value)); }};
}

// Every payload that can stand in a chain. Key data stand in a KEMAC only, THDR in Ticket Data.
constexpr PayloadRow kPayloads[] = {
    row<decode_kemac, encode_kemac>(PayloadType::kemac, "RFC 3830 6.2"),
    row<decode_pke, encode_pke>(PayloadType::pke, "RFC 3830 6.3"),
    row<decode_dh, encode_dh>(PayloadType::dh, "RFC 3830 6.4"),
    row<decode_sign, encode_sign>(PayloadType::sign, "RFC 3830 6.5"),
    row<decode_t, encode_t>(PayloadType::t, "RFC 3830 6.6"),
    row<decode_id, encode_id>(PayloadType::id, "RFC 3830 6.7"),
    row<decode_cert, encode_cert>(PayloadType::cert, "RFC 3830 6.7"),
    row<decode_chash, encode_chash>(PayloadType::chash, "RFC 3830 6.8"),
    row<decode_v, encode_v>(PayloadType::v, "RFC 3830 6.9"),
    row<decode_sp, encode_sp>(PayloadType::sp, "RFC 3830 6.10"),
    row<decode_rand, encode_rand>(PayloadType::rand, "RFC 3830 6.11"),
    row<decode_err, encode_err>(PayloadType::err, "RFC 3830 6.12"),
    row<decode_tr, encode_tr>(PayloadType::tr, "RFC 6043 6.4"),
    row<decode_idr, encode_idr>(PayloadType::idr, "RFC 6043 6.6"),
    row<decode_randr, encode_randr>(PayloadType::randr, "RFC 6043 6.8"),
    row<decode_tp, encode_tp>(PayloadType::tp, "RFC 6043 6.10"),
    row<decode_ticket, encode_ticket>(PayloadType::ticket, "RFC 6043 6.10"),
    row<decode_ext, encode_ext>(PayloadType::ext, "RFC 3830 6.15"),
};
static_assert(std::size(kPayloads) == std::variant_size_v<PayloadValue>);

// The rows by the number of the type; null where there is none.
constexpr auto kRowOfType = [] {
  std::array<const PayloadRow*, static_cast<std::size_t>(PayloadType::ext) + 1> rows{};
  for (const PayloadRow& row : kPayloads) rows[static_cast<std::size_t>(row.type)] = &row;
  return rows;
}();

constexpr const PayloadRow* row_of(PayloadType type) noexcept {
  const auto number = static_cast<std::size_t>(type);
  return number < kRowOfType.size() ? kRowOfType[number] : nullptr;
}

}  // namespace

PayloadType type_of(const PayloadValue& value) noexcept { return kPayloads[value.index()].type; }

std::string_view clause_of(PayloadType type) noexcept {
  const PayloadRow* row = row_of(type);
  return row == nullptr ? std::string_view() : row->clause;
}

PayloadWalker PayloadWalker::after_first_payload(ByteReader reader) noexcept {
  const auto first = static_cast<PayloadType>(reader.u8("First Payload"));
  return {reader, first};
}

Result<const Payload*> PayloadWalker::next() {
  if (next_ == PayloadType::last) {
    TRY(reader_.finish());
    return nullptr;
  }
  const PayloadRow* row = row_of(next_);
  if (row == nullptr) {
    reader_.enter(name_of(next_), "RFC 6043 6.1");
    return reader_.malformed("a payload of type " + std::to_string(static_cast<int>(next_)) + " (" +
                             std::string(name_of(next_)) + ") has no meaning here");
  }
  payload_.type = next_;
  payload_.offset = reader_.offset();
  const Bytes from_here = reader_.rest();
  reader_.enter(name_of(next_), row->clause);
  next_ = next_ == PayloadType::sign ? PayloadType::last
                                     : static_cast<PayloadType>(reader_.u8("Next payload"));
  row->decode(reader_, payload_.value);
  TRY(reader_.check());
  payload_.bytes = from_here.first(from_here.size() - reader_.remaining());
  return &payload_;
}

void PayloadChain::begin(ByteWriter& out, PayloadType type) {
  out.patch_u8(next_payload_at_, static_cast<std::uint8_t>(type));
  if (type == PayloadType::sign) return;
  next_payload_at_ = out.size();
  out.u8(static_cast<std::uint8_t>(PayloadType::last));
}

void PayloadChain::add(ByteWriter& out, const PayloadValue& value) {
  const PayloadRow& row = kPayloads[value.index()];
  begin(out, row.type);
  row.encode(out, value);
}

}  // namespace keystub::mikey
