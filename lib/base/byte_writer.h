// ByteWriter: appends to one growing buffer, in network byte order, and patches lengths that are
// known only later. A length that does not fit its field is remembered and makes finish() fail.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub {

class ByteWriter {
 public:
  ByteWriter() = default;
  explicit ByteWriter(std::size_t expected_size) { out_.reserve(expected_size); }

  void u8(std::uint8_t value) { out_.push_back(value); }
  void u16(std::uint16_t value) { integer(value, 2); }
  void u32(std::uint32_t value) { integer(value, 4); }
  void u64(std::uint64_t value) { integer(value, 8); }
  // Lengths of the data that follow; `field` is a string literal.
  void u8_length(std::size_t length, std::string_view field) {
    limit(length, 0xFF, field);
    u8(static_cast<std::uint8_t>(length));
  }
  void u16_length(std::size_t length, std::string_view field) {
    limit(length, 0xFFFF, field);
    u16(static_cast<std::uint16_t>(length));
  }
  void bytes(Bytes value) { out_.insert(out_.end(), value.begin(), value.end()); }
  // Appends `count` zero octets and returns them for filling; valid until the next append.
  MutableBytes room(std::size_t count) {
    out_.resize(out_.size() + count);
    return MutableBytes(out_).last(count);
  }

  std::size_t size() const noexcept { return out_.size(); }
  Bytes view() const noexcept { return out_; }
  Bytes view_from(std::size_t offset) const noexcept { return Bytes(out_).subspan(offset); }

  void patch_u8(std::size_t offset, std::uint8_t value) { out_[offset] = value; }
  void patch_u16(std::size_t offset, std::uint16_t value) {
    out_[offset] = static_cast<std::uint8_t>(value >> 8);
    out_[offset + 1] = static_cast<std::uint8_t>(value);
  }

  void patch_u16_length(std::size_t offset, std::size_t length, std::string_view field) {
    limit(length, 0xFFFF, field);
    patch_u16(offset, static_cast<std::uint16_t>(length));
  }

  // A value that `field` cannot hold makes finish() fail.
  void limit(std::size_t value, std::size_t maximum, std::string_view field) {
    if (value > maximum && too_long_.empty()) too_long_ = field;
  }
  // The octets, unless a value did not fit its field.
  Result<ByteVector> finish() && {
    if (!too_long_.empty()) {
      return fail(Category::malformed, "a value is too long for its field " +
                                           std::string(too_long_) + "; shorten what it counts");
    }
    return std::move(out_);
  }
  ByteVector take() && { return std::move(out_); }

 private:
  void integer(std::uint64_t value, int octets) {
    for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) {
      out_.push_back(static_cast<std::uint8_t>(value >> shift));
    }
  }

  ByteVector out_;
  std::string_view too_long_;
};

}  // namespace keystub
