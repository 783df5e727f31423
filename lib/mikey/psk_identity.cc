#include "mikey/psk_identity.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/byte_writer.h"

namespace keystub::mikey {
namespace {

constexpr std::string_view kCsbId = "csb_id";
constexpr std::string_view kCsId = "cs_id";
constexpr std::string_view kMac = "mac";
constexpr std::size_t kMacOctets = 8;

// Calls piece(literal text) and word(name between braces) from left to right; false when a brace
// is left open.
template <class Piece, class Word>
bool walk(std::string_view pattern, Piece piece, Word word) {
  while (!pattern.empty()) {
    const std::size_t open = pattern.find('{');
    piece(pattern.substr(0, open));
    if (open == std::string_view::npos) return true;
    const std::size_t close = pattern.find('}', open);
    if (close == std::string_view::npos) return false;
    word(pattern.substr(open + 1, close - open - 1));
    pattern.remove_prefix(close + 1);
  }
  return true;
}

}  // namespace

Result<PskIdentityPattern> PskIdentityPattern::parse(std::string_view text) {
  if (!std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; })) {
    return fail(Category::malformed, "the PSK identity pattern may hold printable ASCII only");
  }
  bool csb_id = false;
  bool mac = false;
  std::optional<std::string> unknown;
  const bool closed = walk(
      text, [](std::string_view) {},
      [&](std::string_view name) {
        csb_id |= name == kCsbId;
        mac |= name == kMac;
        if (name != kCsbId && name != kCsId && name != kMac) unknown = name;
      });
  if (!closed) {
    return fail(Category::malformed,
                "the PSK identity pattern has an opening brace that no "
                "closing one ends");
  }
  if (unknown) {
    return fail(
        Category::malformed,
        "the PSK identity pattern knows {csb_id}, {cs_id} and {mac}, not {" + *unknown + "}");
  }
  if (!csb_id || !mac) {
    return fail(Category::malformed,
                "the PSK identity pattern needs {csb_id} and {mac}: without them two streams or "
                "two answers could share an identity");
  }
  PskIdentityPattern pattern{std::string(text)};
  const std::array<std::uint8_t, kMacOctets> sample{};
  if (const std::size_t size = pattern.format(0, 0, sample).size(); size > kMaxPskIdentitySize) {
    return fail(Category::malformed, "the PSK identity pattern makes identities of " +
                                         std::to_string(size) + " octets; the limit is " +
                                         std::to_string(kMaxPskIdentitySize));
  }
  return pattern;
}

std::string PskIdentityPattern::format(std::uint32_t csb_id, std::uint8_t cs_id, Bytes mac) const {
  ByteWriter csb_id_octets;
  csb_id_octets.u32(csb_id);
  std::string out;
  walk(
      text_, [&](std::string_view literal) { out += literal; },
      [&](std::string_view name) {
        if (name == kCsbId) out += to_hex(csb_id_octets.view());
        if (name == kCsId) out += to_hex(Bytes(&cs_id, 1));
        if (name == kMac) out += to_hex(mac.first(kMacOctets));
      });
  return out;
}

}  // namespace keystub::mikey
