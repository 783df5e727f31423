#include "mikey/key_mgmt_attribute.h"

#include <algorithm>

#include "base/base64.h"
#include "mikey/exchange_rules.h"

namespace keystub::mikey {

std::string format_key_mgmt(Bytes message) {
  return std::string(kKeyMgmtProtocol) + ' ' + base64_encode(message);
}

Result<KeyMgmt> read_key_mgmt(const std::vector<std::string_view>& values) {
  KeyMgmt found;
  bool has_mikey = false;
  for (std::string_view value : values) {
    // key-mgmt-att-value = 0*1SP prtcl-id SP keymgmt-data (RFC 4567 3.1)
    if (value.starts_with(' ')) value.remove_prefix(1);
    const std::size_t space = value.find(' ');
    if (space == 0 || space == std::string_view::npos) {
      return fail(
          Category::malformed,
          "a=key-mgmt needs a protocol and its data, separated by one space (RFC 4567 3.1)");
    }
    const std::string_view protocol = value.substr(0, space);
    if (!found.protocol_list.empty()) found.protocol_list += ';';
    found.protocol_list += protocol;
    if (protocol != kKeyMgmtProtocol) continue;
    if (has_mikey) {
      return fail(Category::malformed,
                  "two a=key-mgmt:mikey lines at one level: which one is meant is undefined");
    }
    has_mikey = true;
    auto message = base64_decode(value.substr(space + 1));
    if (!message) return std::unexpected(std::move(message).error().with_context("a=key-mgmt"));
    found.message = std::move(*message);
  }
  if (!has_mikey) {
    return fail(Category::denied, values.empty()
                                      ? "there is no a=key-mgmt line"
                                      : "none of the offered key management protocols (" +
                                            found.protocol_list + ") is mikey");
  }
  return found;
}

Result<void> check_sdp_ids(const Message& message, std::string_view protocol_list) {
  const std::optional<std::string_view> authenticated = message.sdp_ids();
  if (authenticated && *authenticated != protocol_list) {
    return refuse(Category::unauthenticated, ErrorNo::auth_failure,
                  "the initiator offered the key management protocols '" +
                      std::string(*authenticated) + "', the SDP shows '" +
                      std::string(protocol_list) + "': somebody took lines out or put some in",
                  Place{message.name(), "General Ext.", "RFC 4567 4.1.4", 0});
  }
  return {};
}

}  // namespace keystub::mikey
