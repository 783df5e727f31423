#include "kms-server/uri_pattern.h"

#include <fmt/format.h>

#include "kms-server/identity_uri.h"

namespace keystub::kms {
namespace {

std::unexpected<Error> bad(std::string_view pattern, std::string_view why) {
  return fail(Category::malformed, fmt::format("\"{}\" is no pattern of URIs: {}", pattern, why));
}

}  // namespace

Result<std::string> canonical_pattern(std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos || pattern.find('*', star + 1) != std::string_view::npos) {
    return bad(pattern, "it needs one \"*\", as in sip:conf-*@example.com");
  }
  const std::size_t at = pattern.find('@');
  const bool trailing = at == std::string_view::npos && star + 1 == pattern.size();
  if (!trailing && (at == std::string_view::npos || star > at)) {
    return bad(pattern, "its \"*\" stands in the user part: the host is always whole");
  }
  // A tel number loses its separators, all of which stand before the "*"; in a sip URI the octets
  // before the host keep their places.
  std::string example(pattern);
  example[star] = '1';
  auto canonical = canonical_uri(example);
  if (!canonical) return bad(pattern, canonical.error().text());
  if (trailing && !canonical->starts_with("tel:")) {
    return bad(pattern, "a sip pattern ends with \"@\" and a host");
  }
  (*canonical)[trailing ? canonical->size() - 1 : star] = '*';
  return std::move(*canonical);
}

Result<std::string> canonical_matcher(std::string_view text) {
  if (text == kAnybody) return std::string(kAnybody);
  return text.find('*') == std::string_view::npos ? canonical_uri(text) : canonical_pattern(text);
}

bool covers(std::string_view matcher, std::string_view uri) noexcept {
  if (matcher == kAnybody) return true;
  const std::size_t star = matcher.find('*');
  if (star == std::string_view::npos) return matcher == uri;
  return uri.size() >= matcher.size() && uri.starts_with(matcher.substr(0, star)) &&
         uri.ends_with(matcher.substr(star + 1));
}

std::string_view host_of(std::string_view uri) noexcept {
  if (uri.starts_with("tel:")) return {};
  const std::size_t at = uri.rfind('@');
  return uri.substr(at == std::string_view::npos ? uri.find(':') + 1 : at + 1);
}

}  // namespace keystub::kms
