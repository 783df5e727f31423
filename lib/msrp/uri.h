// MSRP URIs and paths: RFC 4975 section 6 and its grammar in section 9.
// Plain values: copy them freely, use them from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub::msrp {

struct Uri {
  bool secure = false;                // "msrps": the connection is protected with TLS
  std::string userinfo;               // without the "@"; empty where there is none
  std::string host;                   // a name or an address; an IPv6 literal without its brackets
  std::optional<std::uint16_t> port;  // always there when the host is a numeric address
  std::string session_id;             // empty: the device, not a session on it
  std::string transport = "tcp";
  std::string parameters;  // what follows the transport, each with its ";" in front

  // Fails (malformed) on anything outside the grammar, on a password in the userinfo, and on a
  // numeric address without a port. `text` may be hostile and of any length.
  static Result<Uri> parse(std::string_view text);

  std::string to_string() const;

  // True for "[2001:db8::1]" and the like.
  bool is_ipv6() const noexcept { return host.find(':') != std::string::npos; }
};

// Whether two URIs name the same session (RFC 4975 6.1): scheme, host and transport without
// regard to case, addresses by value, port and session-id exactly; userinfo and further
// parameters do not count.
bool equivalent(const Uri& a, const Uri& b);

// A To-Path, From-Path or SDP "a=path" value: URIs in the order of travel, the last one names the
// session itself.
using Path = std::vector<Uri>;

inline constexpr std::size_t kMaxPathUris = 16;

// One to kMaxPathUris URIs separated by single spaces, else malformed.
Result<Path> parse_path(std::string_view text);
std::string format_path(const Path& path);
bool equivalent(const Path& a, const Path& b);

}  // namespace keystub::msrp
