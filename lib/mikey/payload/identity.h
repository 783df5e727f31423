// Payloads ID and IDR: identities (RFC 3830 6.7, RFC 6043 6.5 and 6.6).
#pragma once

#include <string>

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

// A view: the octets belong to the message.
struct IdentityView {
  IdType type = IdType::uri;
  Bytes data;  // at most 65535 octets

  std::string_view text() const noexcept { return as_text(data); }
};

// An owned identity: what a MAC covers is `data` alone (RFC 6043 5.5, "not whole payloads").
struct Identity {
  IdType type = IdType::uri;
  std::string data;

  Identity() = default;
  Identity(IdType id_type, std::string id_data) : type(id_type), data(std::move(id_data)) {}
  explicit Identity(const IdentityView& view) : type(view.type), data(view.text()) {}
  static Identity uri(std::string text) { return {IdType::uri, std::move(text)}; }
  static Identity byte_string(std::string octets) {
    return {IdType::byte_string, std::move(octets)};
  }

  Bytes bytes() const noexcept { return as_bytes(data); }
  IdentityView view() const noexcept { return {type, bytes()}; }
  friend bool operator==(const Identity&, const Identity&) = default;
};

inline bool operator==(const IdentityView& a, const Identity& b) noexcept {
  return a.type == b.type && a.text() == b.data;
}

// "Anybody may resolve": one IDRr of type URI with this data (TS 33.328 leaves the form open).
inline constexpr std::string_view kAnyResponder = "*";

// Whether an IDRr pattern names `uri`: literally, as kAnyResponder, or as "sip:*@example.com".
bool names(std::string_view pattern, std::string_view uri) noexcept;

struct RoleIdentity {
  IdRole role = IdRole::initiator;
  IdentityView identity;
};

// After the Next Payload octet.
IdentityView decode_id(ByteReader& reader);
void encode_id(ByteWriter& writer, const IdentityView& identity);
RoleIdentity decode_idr(ByteReader& reader);
void encode_idr(ByteWriter& writer, const RoleIdentity& identity);

}  // namespace keystub::mikey
