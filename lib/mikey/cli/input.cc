#include "mikey/cli/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/base64.h"
#include "mikey/key_mgmt_attribute.h"
#include "mikey/types.h"

namespace keystub::mikey::cli {
namespace {

constexpr std::size_t kMaxInput = 1 << 20;
constexpr std::string_view kAttribute = "a=key-mgmt:";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Every a=key-mgmt line that offers MIKEY. Lines may be quoted or indented, as in a mail.
Result<std::vector<Found>> find_attributes(std::string_view text) {
  std::vector<Found> found;
  std::string where = "session";
  std::size_t media = 0;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    while (!line.empty() && (is_blank(line.front()) || line.front() == '>')) line.remove_prefix(1);
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    if (line.starts_with("m=")) {
      where = fmt::format("media {} ({})", ++media, line.substr(2, line.find(' ') - 2));
    }
    if (!line.starts_with(kAttribute)) continue;
    line.remove_prefix(kAttribute.size());
    if (line.starts_with(' ')) line.remove_prefix(1);  // RFC 4567 3.1: 0*1SP
    const std::string_view protocol = line.substr(0, line.find(' '));
    if (protocol != kKeyMgmtProtocol) continue;
    auto read = read_key_mgmt({line});
    if (!read) {
      Error error = read.error();
      return std::unexpected(std::move(error).with_context(fmt::format("line {}", number)));
    }
    found.push_back({where, std::move(read->message)});
  }
  if (found.empty()) {
    return fail(Category::malformed,
                "none of the a=key-mgmt lines offers MIKEY (\"a=key-mgmt:mikey …\")");
  }
  return found;
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) {
      return fail(errno == ENOENT ? Category::not_found : Category::unavailable,
                  fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string content(kMaxInput + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (in.bad()) return fail(Category::unavailable, fmt::format("cannot read {}", path));
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > kMaxInput) {
    return fail(Category::malformed, fmt::format("{} is larger than 1 MiB", path));
  }
  return content;
}

Result<std::vector<Found>> find_messages(std::string_view content) {
  if (content.find(kAttribute) != std::string_view::npos) return find_attributes(content);
  // The version comes first; no text does that begins with hex or base64.
  if (content.starts_with(static_cast<char>(kVersion))) {
    return std::vector{Found{{}, to_vector(as_bytes(content))}};
  }
  std::string dense;
  std::ranges::copy_if(content, std::back_inserter(dense), [](char c) { return !is_blank(c); });
  if (dense.empty()) return fail(Category::malformed, "the input is empty");
  std::string digits = dense.starts_with("0x") ? dense.substr(2) : dense;
  std::erase(digits, ':');
  if (auto octets = from_hex(digits)) return std::vector{Found{{}, std::move(*octets)}};
  if (auto octets = base64_decode(dense)) return std::vector{Found{{}, std::move(*octets)}};
  return fail(Category::malformed,
              "the input is no MIKEY message: neither its octets, nor hex, nor base64, nor a text "
              "with a=key-mgmt lines");
}

}  // namespace keystub::mikey::cli
