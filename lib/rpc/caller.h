// Who calls: what the transport proved about the other side of an RPC. Free of gRPC, and
// header-only, so that the heart of a server can take it in every preset.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keystub::rpc {

enum class CallerKind : std::uint8_t {
  plaintext = 1,      // nothing is known (only behind the flag that allows a plaintext listener)
  anonymous_tls = 2,  // TLS without a client certificate
  certificate = 4,    // a verified client certificate
  unix_peer = 8,      // a process on this machine, by SO_PEERCRED
};
constexpr std::string_view caller_kind_name(CallerKind kind) noexcept {
  switch (kind) {
    case CallerKind::plaintext: return "plaintext";
    case CallerKind::anonymous_tls: return "anonymous_tls";
    case CallerKind::certificate: return "certificate";
    case CallerKind::unix_peer: return "unix_peer";
  }
  return "unknown";
}

// A set of kinds.
class CallerKinds {
 public:
  constexpr CallerKinds() = default;
  // A kind is a set of one.
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr CallerKinds(CallerKind kind) : bits_(static_cast<std::uint8_t>(kind)) {}
  constexpr bool contains(CallerKind kind) const {
    return (bits_ & static_cast<std::uint8_t>(kind)) != 0;
  }
  friend constexpr CallerKinds operator|(CallerKinds a, CallerKinds b) {
    CallerKinds sum;
    sum.bits_ = static_cast<std::uint8_t>(a.bits_ | b.bits_);
    return sum;
  }

 private:
  std::uint8_t bits_ = 0;
};
constexpr CallerKinds operator|(CallerKind a, CallerKind b) {
  return CallerKinds(a) | CallerKinds(b);
}

struct Caller {
  CallerKind kind = CallerKind::plaintext;
  // certificate: its subject alternative names (URI, DNS, e-mail, IP), then its common name.
  // unix_peer: "uid:0". Otherwise empty.
  std::vector<std::string> names;
  // gRPC's text for the transport address: "ipv4:192.0.2.1:40000", "fd:9".
  std::string address;
  // The call's trace id, from metadata; empty when the client sent none.
  std::string trace_id;

  // For logs and audit: the first name, or the kind.
  std::string_view display_name() const noexcept {
    return names.empty() ? caller_kind_name(kind) : std::string_view(names.front());
  }
};

}  // namespace keystub::rpc
