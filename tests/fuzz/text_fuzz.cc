// Any text as the small notations: hex, base64, and the pattern of PSK identities. What is read
// comes back as it was written.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/base64.h"
#include "mikey/psk_identity.h"

using namespace keystub;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void read_hex(std::string_view text) {
  const auto octets = from_hex(text);
  if (!octets) return;
  const std::string written = to_hex(*octets);
  require(written.size() == text.size() && from_hex(written).value() == *octets);
}

// Strict: no two texts mean the same octets.
void read_base64(std::string_view text) {
  if (const auto octets = base64_decode(text)) require(base64_encode(*octets) == text);
}

void read_psk_identity_pattern(std::string_view text) {
  const auto pattern = mikey::PskIdentityPattern::parse(text);
  if (!pattern) return;
  require(pattern->text() == text);
  require(text.find("{}") == std::string_view::npos);
  const ByteVector mac(32, 0xAB);
  const ByteVector other_mac(32, 0xAC);
  const std::string identity = pattern->format(0x01020304, 5, mac);
  require(identity.size() <= mikey::kMaxPskIdentitySize);
  require(std::ranges::all_of(identity, [](char c) { return c >= ' ' && c <= '~'; }));
  require(identity != pattern->format(0x01020305, 5, mac));
  require(identity != pattern->format(0x01020304, 5, other_mac));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  read_hex(text);
  read_base64(text);
  read_psk_identity_pattern(text);
  return 0;
}
