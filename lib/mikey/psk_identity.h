// The PSK identity that names the key of a crypto session in the TLS handshake (RFC 4279 section
// 5): both ends make it from what the Ticket Transfer gave them, so nothing has to be sent. It
// shows no secret. TS 33.328 leaves its form open, hence the pattern.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::mikey {

// CSB ID and CS ID alone are the same for every answer of a forked INVITE; the MAC of TRANSFER_RESP
// tells the answers apart.
inline constexpr std::string_view kDefaultPskIdentityPattern =
    "mikey-ticket;{csb_id};{cs_id};{mac}";

// RFC 4279 5.3 obliges a peer to support 128 octets; the MRFP takes fewer than that.
inline constexpr std::size_t kMaxPskIdentitySize = 127;

// Immutable; thread-safe.
class PskIdentityPattern {
 public:
  PskIdentityPattern() : text_(kDefaultPskIdentityPattern) {}

  // {csb_id}: 8 hex digits; {cs_id}: 2; {mac}: the first 8 octets of the MAC, 16. Malformed for
  // another word in braces, a character that is not printable ASCII, a missing {csb_id} or {mac}
  // (identities would not be unique), or a result that is too long.
  static Result<PskIdentityPattern> parse(std::string_view text);

  // `mac` has 8 octets or more.
  std::string format(std::uint32_t csb_id, std::uint8_t cs_id, Bytes mac) const;

  const std::string& text() const noexcept { return text_; }

 private:
  explicit PskIdentityPattern(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace keystub::mikey
