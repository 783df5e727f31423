// Walks items that follow each other to the end of a field: crypto sessions of a map, parameters
// of a policy. Views, no allocation.
#pragma once

#include <utility>

#include "base/byte_reader.h"
#include "base/byte_writer.h"

namespace keystub::mikey {

// `decode` reads one item.
template <auto decode>
class ItemWalker {
 public:
  using Item = decltype(decode(std::declval<ByteReader&>()));

  // `reader` covers exactly the items.
  explicit ItemWalker(ByteReader reader) noexcept : reader_(reader) {}

  // The next item, in this walker until it goes on; null after the last one.
  Result<const Item*> next() {
    KEYSTUB_TRY(reader_.check());
    if (reader_.at_end()) return nullptr;
    item_ = decode(reader_);
    KEYSTUB_TRY(reader_.check());
    return &item_;
  }

 private:
  ByteReader reader_;
  Item item_;
};

// The type-length-value form that SP parameters (RFC 3830 6.10) and key IDs (RFC 4563 4) share.
struct TypeLengthValue {
  std::uint8_t type = 0;
  Bytes value;  // at most 255 octets
};

inline TypeLengthValue decode_type_length_value(ByteReader& reader) {
  TypeLengthValue item;
  item.type = reader.u8("Type");
  const std::uint8_t length = reader.u8("Length");
  item.value = reader.bytes(length, "Value");
  return item;
}

inline void encode_type_length_value(ByteWriter& writer, const TypeLengthValue& item) {
  writer.u8(item.type);
  writer.u8_length(item.value.size(), "Length");
  writer.bytes(item.value);
}

}  // namespace keystub::mikey
