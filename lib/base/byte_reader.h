// ByteReader: walks a message front to back. Made with the name of the message and told which
// payload it is in, so that each error says where it happened. Reads nothing past the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub {

class ByteReader {
 public:
  // `message` must be a string literal. `base_offset` is where `data` starts in the message.
  explicit ByteReader(std::string_view message, Bytes data, std::size_t base_offset = 0) noexcept
      : data_(data), place_{message, {}, {}, base_offset}, base_(base_offset) {}

  // Names the payload and its clause (string literals) for the errors that follow.
  void enter(std::string_view payload, std::string_view clause) noexcept {
    place_.payload = payload;
    place_.clause = clause;
  }
  void rename_message(std::string_view message) noexcept { place_.message = message; }

  std::size_t offset() const noexcept { return base_ + position_; }
  std::size_t remaining() const noexcept { return data_.size() - position_; }
  bool at_end() const noexcept { return remaining() == 0; }

  // Integers are in network byte order. `field` names what is missing when the data ends.
  Result<std::uint8_t> u8(std::string_view field) { return integer<std::uint8_t>(field); }
  Result<std::uint16_t> u16(std::string_view field) { return integer<std::uint16_t>(field); }
  Result<std::uint32_t> u32(std::string_view field) { return integer<std::uint32_t>(field); }
  Result<std::uint64_t> u64(std::string_view field) { return integer<std::uint64_t>(field); }
  Result<Bytes> bytes(std::size_t count, std::string_view field);

  // A reader over the next `count` octets, which this reader skips.
  Result<ByteReader> sub_reader(std::size_t count, std::string_view field);

  // Everything from here on, without moving.
  Bytes rest() const noexcept { return data_.subspan(position_); }

  // The mandatory last step: nothing may be left.
  Result<void> finish() const;

  // The place of the octet that is read next.
  Place here() const noexcept {
    Place place = place_;
    place.offset = offset();
    return place;
  }
  // A malformed error at this place (or at `offset` of the message).
  std::unexpected<Error> malformed(std::string text) const {
    return fail(Category::malformed, std::move(text), here());
  }
  std::unexpected<Error> malformed_at(std::size_t offset, std::string text) const {
    Place place = place_;
    place.offset = offset;
    return fail(Category::malformed, std::move(text), place);
  }

 private:
  template <class Int>
  Result<Int> integer(std::string_view field) {
    if (remaining() < sizeof(Int)) [[unlikely]]
      return cut_short(sizeof(Int), field);
    Int value = 0;
    for (std::size_t i = 0; i < sizeof(Int); ++i) {
      value = static_cast<Int>(static_cast<std::uint64_t>(value) << 8 | data_[position_ + i]);
    }
    position_ += sizeof(Int);
    return value;
  }
  std::unexpected<Error> cut_short(std::size_t needed, std::string_view field) const;

  Bytes data_;
  Place place_;
  std::size_t base_;
  std::size_t position_ = 0;
};

}  // namespace keystub
