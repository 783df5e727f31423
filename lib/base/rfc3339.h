// Times as text (RFC 3339 5.6), in UTC.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/clock.h"

namespace keystub {

// "2026-11-27T15:04:05.123456Z", without an allocation: in every line of a log or an audit.
class Rfc3339 {
 public:
  explicit Rfc3339(WallTime time) noexcept;
  std::string_view text() const noexcept { return {text_.data(), text_.size()}; }

 private:
  static constexpr std::size_t kOctets = 27;
  std::array<char, kOctets> text_;
};

}  // namespace keystub
