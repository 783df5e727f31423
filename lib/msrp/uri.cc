#include "msrp/uri.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>

#include "msrp/text.h"

namespace keystub::msrp {
namespace {

constexpr std::size_t kMaxUriOctets = 1024;

std::unexpected<Error> bad_uri(std::string text, std::string_view part, std::size_t offset) {
  return fail(Category::malformed, std::move(text), Place{"MSRP URI", part, "RFC 4975 9", offset});
}

bool is_unreserved(char c) {
  return is_alphanum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
bool is_sub_delim(char c) { return std::string_view("!$&'()*+,;=").contains(c); }

// Unreserved, sub-delims and percent-encodings: what userinfo and a host name are made of.
bool is_authority_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || !is_hex_digit(text[i + 1]) || !is_hex_digit(text[i + 2])) {
        return false;
      }
      i += 2;
    } else if (!is_unreserved(text[i]) && !is_sub_delim(text[i])) {
      return false;
    }
  }
  return true;
}

// An address in network order; 4 or 16 octets, 0 where the host is a name.
struct Address {
  std::array<unsigned char, 16> octets{};
  std::size_t size = 0;
};

Address numeric_address(const std::string& host) {
  Address address;
  if (host.find('\0') != std::string::npos) return address;
  if (inet_pton(AF_INET, host.c_str(), address.octets.data()) == 1) {
    address.size = 4;
  } else if (inet_pton(AF_INET6, host.c_str(), address.octets.data()) == 1) {
    address.size = 16;
  }
  return address;
}

// Lower case, with percent-encodings of unreserved characters undone (RFC 3986 6.2.2).
std::string normalised_name(std::string_view host) {
  std::string out;
  out.reserve(host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (host[i] == '%' && i + 2 < host.size()) {
      unsigned code = 0;
      const auto [end, error] = std::from_chars(host.data() + i + 1, host.data() + i + 3, code, 16);
      const char decoded = static_cast<char>(code);
      if (error == std::errc() && end == host.data() + i + 3 && is_unreserved(decoded)) {
        out += lower(decoded);
        i += 2;
        continue;
      }
    }
    out += lower(host[i]);
  }
  return out;
}

bool same_host(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const Address first = numeric_address(a);
  const Address second = numeric_address(b);
  if (first.size != second.size) return false;
  if (first.size != 0) return first.octets == second.octets;
  return normalised_name(a) == normalised_name(b);
}

}  // namespace

Result<Uri> Uri::parse(std::string_view text) {
  if (text.size() > kMaxUriOctets) {
    return bad_uri("an MSRP URI of " + std::to_string(text.size()) + " octets is longer than " +
                       std::to_string(kMaxUriOctets),
                   "scheme", 0);
  }
  Uri uri;
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end);
  uri.secure = equal_ignoring_case(scheme, "msrps");
  if (scheme_end == std::string_view::npos ||
      (!uri.secure && !equal_ignoring_case(scheme, "msrp"))) {
    return bad_uri("an MSRP URI starts with msrp:// or msrps://", "scheme", 0);
  }
  std::size_t at = scheme_end + 3;

  // "@" stands nowhere but behind the userinfo; ";" may be part of that.
  if (const std::size_t sign = text.find('@', at); sign != std::string_view::npos) {
    uri.userinfo = text.substr(at, sign - at);
    if (uri.userinfo.find(':') != std::string::npos) {
      return bad_uri("the userinfo of an MSRP URI must not hold a password", "userinfo", at);
    }
    if (uri.userinfo.empty() || !is_authority_text(uri.userinfo)) {
      return bad_uri("the userinfo has a character that a URI cannot hold", "userinfo", at);
    }
    at = sign + 1;
  }

  const std::size_t host_start = at;
  if (at < text.size() && text[at] == '[') {
    const std::size_t close = text.find(']', at);
    if (close == std::string_view::npos) {
      return bad_uri("the IPv6 address lacks its closing bracket", "host", at);
    }
    uri.host = text.substr(at + 1, close - at - 1);
    if (numeric_address(uri.host).size != 16) {
      return bad_uri("no IPv6 address stands between the brackets", "host", at + 1);
    }
    at = close + 1;
  } else {
    const std::size_t end = std::min(text.find_first_of(":/;", at), text.size());
    uri.host = text.substr(at, end - at);
    if (uri.host.empty() || !is_authority_text(uri.host)) {
      return bad_uri("the host is empty or has a character that a URI cannot hold", "host", at);
    }
    at = end;
  }

  if (at < text.size() && text[at] == ':') {
    std::uint16_t port = 0;
    const char* const first = text.data() + at + 1;
    const auto [end, error] = std::from_chars(first, text.data() + text.size(), port);
    if (error != std::errc())
      return bad_uri("the port is not a number up to 65535", "port", at + 1);
    uri.port = port;
    at += 1 + static_cast<std::size_t>(end - first);
  } else if (numeric_address(uri.host).size != 0) {
    return bad_uri("a numeric address needs a port beside it (RFC 4975 6)", "host", host_start);
  }

  if (at < text.size() && text[at] == '/') {
    const std::size_t end = std::min(text.find(';', at), text.size());
    uri.session_id = text.substr(at + 1, end - at - 1);
    for (const char c : uri.session_id) {
      if (!is_unreserved(c) && c != '+' && c != '=' && c != '/') {
        return bad_uri("the session-id has a character that it cannot hold", "session-id", at + 1);
      }
    }
    if (uri.session_id.empty()) return bad_uri("the session-id is empty", "session-id", at + 1);
    at = end;
  }

  if (at >= text.size() || text[at] != ';') {
    return bad_uri("the transport (\";tcp\") is expected here", "transport", at);
  }
  const std::size_t transport_end = std::min(text.find(';', at + 1), text.size());
  uri.transport = text.substr(at + 1, transport_end - at - 1);
  if (uri.transport.empty()) return bad_uri("the transport is empty", "transport", at + 1);
  for (const char c : uri.transport) {
    if (!is_alphanum(c)) return bad_uri("the transport is letters and digits", "transport", at + 1);
  }
  at = transport_end;

  uri.parameters = text.substr(at);
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(';', at + 1), text.size());
    const std::string_view parameter = text.substr(at + 1, end - at - 1);
    const std::size_t equals = parameter.find('=');
    if (!is_token(parameter.substr(0, equals)) ||
        (equals != std::string_view::npos && !is_token(parameter.substr(equals + 1)))) {
      return bad_uri("a URI parameter is name or name=value", "parameters", at + 1);
    }
    at = end;
  }
  return uri;
}

std::string Uri::to_string() const {
  std::string out = secure ? "msrps://" : "msrp://";
  if (!userinfo.empty()) out.append(userinfo).append("@");
  if (is_ipv6()) {
    out.append("[").append(host).append("]");
  } else {
    out += host;
  }
  if (port) out.append(":").append(std::to_string(*port));
  if (!session_id.empty()) out.append("/").append(session_id);
  return out.append(";").append(transport).append(parameters);
}

bool equivalent(const Uri& a, const Uri& b) {
  return a.secure == b.secure && a.session_id == b.session_id && a.port == b.port &&
         equal_ignoring_case(a.transport, b.transport) && same_host(a.host, b.host);
}

Result<Path> parse_path(std::string_view text) {
  Path path;
  std::size_t at = 0;
  while (true) {
    if (path.size() == kMaxPathUris) {
      return bad_uri("a path of more than " + std::to_string(kMaxPathUris) + " URIs is not taken",
                     "path", at);
    }
    const std::size_t end = std::min(text.find(' ', at), text.size());
    path.push_back(TRY(Uri::parse(text.substr(at, end - at))));
    if (end == text.size()) return path;
    at = end + 1;
  }
}

std::string format_path(const Path& path) {
  std::string out;
  for (const Uri& uri : path) {
    if (!out.empty()) out += ' ';
    out += uri.to_string();
  }
  return out;
}

bool equivalent(const Path& a, const Path& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equivalent(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace keystub::msrp
