// Walks items that follow each other to the end of a field: crypto sessions of a map, parameters
// of a policy. Views, no allocation.
#pragma once

#include <optional>

#include "base/byte_reader.h"
#include "base/byte_writer.h"

namespace keystub::mikey {

// `decode` reads one item.
template <auto decode>
class ItemWalker {
 public:
  using Item = typename decltype(decode(std::declval<ByteReader&>()))::value_type;

  // `reader` covers exactly the items.
  explicit ItemWalker(ByteReader reader) noexcept : reader_(reader) {}

  // The next item; nothing after the last one.
  Result<std::optional<Item>> next() {
    if (reader_.at_end()) return std::optional<Item>();
    return std::optional<Item>(KEYSTUB_TRY(decode(reader_)));
  }

 private:
  ByteReader reader_;
};

// The type-length-value form that SP parameters (RFC 3830 6.10) and key IDs (RFC 4563 4) share.
struct TypeLengthValue {
  std::uint8_t type = 0;
  Bytes value;  // at most 255 octets
};

inline Result<TypeLengthValue> decode_type_length_value(ByteReader& reader) {
  TypeLengthValue item;
  item.type = KEYSTUB_TRY(reader.u8("Type"));
  const std::uint8_t length = KEYSTUB_TRY(reader.u8("Length"));
  item.value = KEYSTUB_TRY(reader.bytes(length, "Value"));
  return item;
}

inline void encode_type_length_value(ByteWriter& writer, const TypeLengthValue& item) {
  writer.u8(item.type);
  writer.u8_length(item.value.size(), "Length");
  writer.bytes(item.value);
}

}  // namespace keystub::mikey
