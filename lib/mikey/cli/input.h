// Finds the MIKEY messages in what the user hands in: octets, hex, base64, or a text with
// a=key-mgmt lines (SDP, SIP with SDP inside, or the lines alone).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace keystub::mikey::cli {

struct Found {
  std::string where;  // "session", "media 1 (audio)"; empty for a message that stands alone
  ByteVector octets;
};

// The content of a file, "-" for standard input. At most 1 MiB.
Result<std::string> read_input(const std::string& path);
// Every message in `content`, at least one.
Result<std::vector<Found>> find_messages(std::string_view content);

}  // namespace keystub::mikey::cli
