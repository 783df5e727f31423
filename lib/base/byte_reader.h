// ByteReader: walks a message front to back. Made with the name of the message and told which
// payload it is in, so that each error says where it happened. Reads nothing past the end.
//
// A field that the octets do not suffice for reads as 0 or as nothing, and the reader then stands
// at the end. So a decoder reads field after field, and whoever called it asks once, with check()
// or finish(), whether all were there. The first fault is the one that is told.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub {

class ByteReader {
 public:
  // `message` must be a string literal. `base_offset` is where `data` starts in the message.
  explicit ByteReader(std::string_view message, Bytes data, std::size_t base_offset = 0) noexcept
      : begin_(data.data()),
        at_(data.data()),
        end_(data.data() + data.size()),
        base_(base_offset),
        message_(message) {}

  // Names the payload and its clause (string literals) for the errors that follow.
  void enter(std::string_view payload, std::string_view clause) noexcept {
    if (failed()) return;
    payload_ = payload;
    clause_ = clause;
  }
  void rename_message(std::string_view message) noexcept { message_ = message; }

  std::size_t offset() const noexcept { return base_ + static_cast<std::size_t>(at_ - begin_); }
  std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  bool at_end() const noexcept { return at_ == end_; }

  // Integers are in network byte order. `field`, a string literal, names what is missing when the
  // data ends.
  std::uint8_t u8(std::string_view field) noexcept { return integer<std::uint8_t>(field); }
  std::uint16_t u16(std::string_view field) noexcept { return integer<std::uint16_t>(field); }
  std::uint32_t u32(std::string_view field) noexcept { return integer<std::uint32_t>(field); }
  std::uint64_t u64(std::string_view field) noexcept { return integer<std::uint64_t>(field); }
  Bytes bytes(std::size_t count, std::string_view field) noexcept {
    if (remaining() < count) [[unlikely]] {
      cut_short(field, count);
      return {};
    }
    const Bytes out(at_, count);
    at_ += count;
    return out;
  }

  // A reader over the next `count` octets, which this reader skips.
  ByteReader sub_reader(std::size_t count, std::string_view field) noexcept {
    const std::size_t start = offset();
    ByteReader inner(message_, bytes(count, field), start);
    inner.enter(payload_, clause_);
    return inner;
  }

  // Faults that a decoder finds. `field` has just been read as `value`, which is unassigned and
  // decides the length of what follows.
  void unassigned(std::string_view field, std::uint64_t value) noexcept {
    fail({Fault::Kind::unassigned, field, value, offset(), {}, {}});
  }
  // Any other: `text`, a string literal, says what is wrong at `offset` of the message.
  void refuse(std::size_t offset, std::string_view text,
              std::optional<std::uint8_t> mikey_error_no = {}) noexcept {
    fail({Fault::Kind::refused, text, {}, offset, {}, mikey_error_no});
  }
  // A fault of `inner` is one of this reader.
  void fail_as(const ByteReader& inner) noexcept {
    if (inner.failed()) fail(inner.fault_);
  }

  bool failed() const noexcept { return fault_.kind != Fault::Kind::none; }
  // The first fault, if there was one.
  Result<void> check() const {
    if (failed()) [[unlikely]]
      return error();
    return {};
  }
  // The last step: there was no fault, and nothing is left.
  Result<void> finish() const {
    if (failed() || !at_end()) [[unlikely]]
      return left_over();
    return {};
  }

  // Everything from here on, without moving.
  Bytes rest() const noexcept { return {at_, end_}; }

  // The place of the octet that is read next.
  Place here() const noexcept { return {message_, payload_, clause_, offset()}; }
  // A malformed error at this place (or at `offset` of the message).
  std::unexpected<Error> malformed(std::string text) const {
    return malformed_at(offset(), std::move(text));
  }
  std::unexpected<Error> malformed_at(std::size_t offset, std::string text) const {
    return keystub::fail(Category::malformed, std::move(text),
                         {message_, payload_, clause_, offset});
  }

 private:
  struct Fault {
    enum class Kind : std::uint8_t { none, cut_short, unassigned, refused };
    Kind kind = Kind::none;
    std::string_view text;    // the field, or what is wrong
    std::uint64_t value = 0;  // of the field, or how many octets it needs
    std::size_t offset = 0;   // in the message
    std::size_t remaining = 0;
    std::optional<std::uint8_t> mikey_error_no;
  };

  template <class Int>
  Int integer(std::string_view field) noexcept {
    if (remaining() < sizeof(Int)) [[unlikely]] {
      cut_short(field, sizeof(Int));
      return 0;
    }
    Int value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return std::endian::native == std::endian::little ? std::byteswap(value) : value;
  }
  void cut_short(std::string_view field, std::size_t needed) noexcept {
    fail({Fault::Kind::cut_short, field, needed, offset(), remaining(), {}});
  }
  void fail(const Fault& fault) noexcept;
  std::unexpected<Error> error() const;
  std::unexpected<Error> left_over() const;

  const std::uint8_t* begin_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::size_t base_;
  std::string_view message_;
  std::string_view payload_;
  std::string_view clause_;
  Fault fault_;
};

}  // namespace keystub
