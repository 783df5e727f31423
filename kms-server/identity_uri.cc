#include "kms-server/identity_uri.h"

#include <fmt/format.h>

#include <algorithm>

namespace keystub::kms {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), to_lower);
  return out;
}

std::unexpected<Error> bad(std::string_view uri, std::string_view why) {
  return fail(Category::malformed, fmt::format("\"{}\" cannot name an identity: {}", uri, why));
}

// RFC 3261 25.1: unreserved, escaped and user-unreserved, but for "*", which is for patterns.
bool valid_user(std::string_view user) {
  constexpr std::string_view kMarks = "-_.!~'()&=+$,;?/";
  for (std::size_t i = 0; i < user.size(); ++i) {
    const char c = user[i];
    if (c == '%') {
      if (i + 2 >= user.size() || !is_hex(user[i + 1]) || !is_hex(user[i + 2])) return false;
      i += 2;
    } else if (!is_letter(c) && !is_digit(c) && kMarks.find(c) == std::string_view::npos) {
      return false;
    }
  }
  return !user.empty();
}

bool valid_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    return std::all_of(host.begin(), host.end(),
                       [](char c) { return is_hex(c) || c == ':' || c == '.'; });
  }
  return !host.empty() && host.front() != '-' && host.front() != '.' &&
         std::all_of(host.begin(), host.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.'; });
}

Result<std::string> canonical_sip(std::string_view uri, std::string_view scheme,
                                  std::string_view rest) {
  std::string out = lower(scheme) + ":";
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.find(':') != std::string_view::npos) return bad(uri, "it holds a password");
    if (!valid_user(user)) return bad(uri, "its user part is empty or has a forbidden character");
    out.append(user).append("@");
    rest = rest.substr(at + 1);
  }
  if (rest.find_first_of(";?") != std::string_view::npos) {
    return bad(uri, "leave out the URI parameters and headers");
  }
  std::size_t host_end = rest.size();
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host_end = colon;
    const std::string_view port = rest.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit) ||
        std::stoi(std::string(port)) > 65'535) {
      return bad(uri, "its port is no number up to 65535");
    }
  }
  if (!valid_host(rest.substr(0, host_end))) return bad(uri, "its host is not valid");
  return out + lower(rest);
}

Result<std::string> canonical_tel(std::string_view uri, std::string_view number) {
  std::string out = "tel:";
  for (const char c : number) {
    if (is_digit(c) || (c == '+' && out.size() == 4)) {
      out += c;
    } else if (std::string_view("-.()").find(c) == std::string_view::npos) {
      return bad(uri, "a tel URI holds digits only, without parameters");
    }
  }
  if (out.size() < 6 || out[4] != '+') return bad(uri, "a tel URI must be global: tel:+…");
  return out;
}

}  // namespace

Result<std::string> canonical_uri(std::string_view uri) {
  if (uri.size() > kMaxUriSize) {
    return fail(Category::malformed,
                fmt::format("a URI of {} octets cannot name an identity: the limit is {}",
                            uri.size(), kMaxUriSize));
  }
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos) {
    return bad(uri, "it has no scheme (sip:, sips: or tel:)");
  }
  const std::string scheme = lower(uri.substr(0, colon));
  const std::string_view rest = uri.substr(colon + 1);
  if (scheme == "sip" || scheme == "sips") return canonical_sip(uri, scheme, rest);
  if (scheme == "tel") return canonical_tel(uri, rest);
  return bad(uri, "its scheme is not sip, sips or tel");
}

}  // namespace keystub::kms
