#include "base/byte_reader.h"

namespace keystub {

std::unexpected<Error> ByteReader::cut_short(std::size_t needed, std::string_view field) const {
  std::string text = "cut short: ";
  text.append(field).append(" needs ").append(std::to_string(needed));
  text.append(" octets, ").append(std::to_string(remaining())).append(" are left");
  return malformed(std::move(text));
}

Result<Bytes> ByteReader::bytes(std::size_t count, std::string_view field) {
  if (remaining() < count) [[unlikely]]
    return cut_short(count, field);
  const Bytes out = data_.subspan(position_, count);
  position_ += count;
  return out;
}

Result<ByteReader> ByteReader::sub_reader(std::size_t count, std::string_view field) {
  const std::size_t start = offset();
  const Bytes inner = TRY(bytes(count, field));
  ByteReader reader(place_.message, inner, start);
  reader.enter(place_.payload, place_.clause);
  return reader;
}

Result<void> ByteReader::finish() const {
  if (!at_end()) {
    return malformed(std::to_string(remaining()) + " octets are left over after the last field");
  }
  return {};
}

}  // namespace keystub
