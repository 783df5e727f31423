// Character classes of the MSRP grammar (RFC 4975 section 9), ASCII whatever the locale.
#pragma once

#include <algorithm>
#include <string_view>

namespace keystub::msrp {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_alphanum(char c) noexcept { return is_alpha(c) || is_digit(c); }
constexpr bool is_hex_digit(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

constexpr bool is_token_char(char c) noexcept {
  return c == '!' || (c >= '#' && c <= '\'') || c == '*' || c == '+' || c == '-' || c == '.' ||
         is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= '^' && c <= '~');
}
constexpr bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}

// ASCII comparison without regard to case.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Text that may stand as transaction id or Message-ID: 4 to 32 characters.
constexpr bool is_ident(std::string_view text) noexcept {
  return text.size() >= 4 && text.size() <= 32 && is_alphanum(text.front()) &&
         std::ranges::all_of(text, [](char c) {
           return is_alphanum(c) || c == '.' || c == '-' || c == '+' || c == '%' || c == '=';
         });
}

// Text without control characters, as comments and header values must be.
constexpr bool is_header_text(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  });
}

}  // namespace keystub::msrp
