#include "base/base64.h"

#include <array>

#include "base/secret.h"

namespace keystub {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_digit_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kDigitValues = make_digit_values();

}  // namespace

std::string base64_encode(Bytes bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? bytes[i + k] : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

Result<ByteVector> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return fail(Category::malformed,
                "base64 text has " + std::to_string(text.size()) +
                    " characters, which is not a multiple of 4: it is cut or lacks its padding");
  }
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  ByteVector out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t digits = last ? 4 - padding : 4;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value = k < digits ? kDigitValues[static_cast<unsigned char>(text[i + k])] : 0;
      if (value < 0) {
        wipe(out);  // it may be the beginning of a key
        return fail(Category::malformed,
                    "not a base64 character at position " + std::to_string(i + k));
      }
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    const std::uint32_t unused = digits == 4 ? 0 : digits == 3 ? group & 0xFF : group & 0xFFFF;
    if (unused != 0) {
      wipe(out);
      return fail(Category::malformed, "the last base64 digit has bits that encode nothing");
    }
    for (std::size_t k = 0; k + 1 < digits; ++k) {
      out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * k)));
    }
  }
  return out;
}

}  // namespace keystub
