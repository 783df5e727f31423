// Views and owners of octets that are not secret (secrets live in base/secret.h), and hex.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;
using ByteVector = std::vector<std::uint8_t>;

inline Bytes as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteVector to_vector(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
inline std::string to_string(Bytes bytes) { return std::string(as_text(bytes)); }

bool equal(Bytes a, Bytes b) noexcept;

// For MACs and keys: takes the same time wherever the first difference is. Lengths are public.
bool equal_constant_time(Bytes a, Bytes b) noexcept;

std::string to_hex(Bytes bytes);
// Accepts an even number of hex digits of either case and nothing else.
Result<ByteVector> from_hex(std::string_view text);

}  // namespace keystub
