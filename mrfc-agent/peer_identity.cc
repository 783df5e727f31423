#include "mrfc-agent/peer_identity.h"

#include <algorithm>

#include <fmt/format.h>

namespace keystub::mrfc {
namespace {

constexpr std::size_t kMaxSize = 256;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(Category::malformed,
              fmt::format("\"{}\" does not name a user: {}", text.substr(0, kMaxSize), why));
}

// The URI of a header value. A quoted display name may hold anything, "<" too.
std::string_view addr_spec(std::string_view text) {
  text = trim(text);
  std::size_t from = 0;
  if (text.starts_with('"')) {
    for (from = 1; from < text.size() && text[from] != '"'; ++from) {
      if (text[from] == '\\') ++from;
    }
  }
  const std::size_t open = text.find('<', std::min(from, text.size()));
  if (open == std::string_view::npos) return text;
  const std::size_t close = text.find('>', open);
  return text.substr(open + 1, close == std::string_view::npos ? 0 : close - open - 1);
}

}  // namespace

Result<std::string> user_identity(std::string_view uri_or_header) {
  const std::string_view uri = addr_spec(uri_or_header);
  if (uri.size() > kMaxSize) return bad(uri, fmt::format("it is longer than {} octets", kMaxSize));
  if (std::ranges::any_of(uri, [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return bad(uri, "it holds a space or a character that is not ASCII");
  }
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos) return bad(uri, "it has no scheme (sip:, sips: or tel:)");
  const std::string scheme = lower(uri.substr(0, colon));
  std::string_view rest = uri.substr(colon + 1);

  if (scheme == "tel") {
    std::string number;
    for (const char c : rest.substr(0, rest.find(';'))) {
      const bool digit = c >= '0' && c <= '9';
      if (digit || (c == '+' && number.empty())) {
        number += c;
      } else if (std::string_view("-.()").find(c) == std::string_view::npos) {
        return bad(uri, "a tel URI holds a number");
      }
    }
    if (number.size() < 2) return bad(uri, "a tel URI holds a number");
    return "tel:" + number;
  }
  if (scheme != "sip" && scheme != "sips") return bad(uri, "its scheme is not sip, sips or tel");

  // A user part may hold ";" and "?", so the parameters begin after the "@".
  std::string user;
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    user = rest.substr(0, at);
    if (user.empty()) return bad(uri, "its user part is empty");
    if (user.find(':') != std::string::npos) return bad(uri, "it holds a password");
    user += '@';
    rest.remove_prefix(at + 1);
  }
  rest = rest.substr(0, rest.find_first_of(";?"));
  if (rest.empty()) return bad(uri, "it has no host");
  return fmt::format("{}:{}{}", scheme, user, lower(rest));
}

}  // namespace keystub::mrfc
