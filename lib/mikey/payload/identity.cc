#include "mikey/payload/identity.h"

namespace keystub::mikey {

bool names(std::string_view pattern, std::string_view uri) noexcept {
  if (pattern == kAnyResponder || pattern == uri) return true;
  const std::size_t star = pattern.find("*@");
  if (star == std::string_view::npos) return false;
  const std::string_view before = pattern.substr(0, star);
  const std::string_view domain = pattern.substr(star + 1);  // "@example.com"
  if (uri.size() <= before.size() + domain.size()) return false;
  if (!uri.starts_with(before) || !uri.ends_with(domain)) return false;
  // The star stands for a user part: it must not swallow another "@".
  const std::string_view user =
      uri.substr(before.size(), uri.size() - before.size() - domain.size());
  return user.find('@') == std::string_view::npos;
}

IdentityView decode_id(ByteReader& reader) {
  IdentityView identity;
  identity.type = static_cast<IdType>(reader.u8("ID type"));
  const std::uint16_t length = reader.u16("ID len");
  identity.data = reader.bytes(length, "ID data");
  return identity;
}

void encode_id(ByteWriter& writer, const IdentityView& identity) {
  writer.u8(static_cast<std::uint8_t>(identity.type));
  writer.u16_length(identity.data.size(), "ID len");
  writer.bytes(identity.data);
}

RoleIdentity decode_idr(ByteReader& reader) {
  const auto role = static_cast<IdRole>(reader.u8("ID role"));
  return {role, decode_id(reader)};
}

void encode_idr(ByteWriter& writer, const RoleIdentity& identity) {
  writer.u8(static_cast<std::uint8_t>(identity.role));
  encode_id(writer, identity.identity);
}

}  // namespace keystub::mikey
