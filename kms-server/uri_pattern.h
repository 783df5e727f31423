// Patterns over the URIs of identities: "sip:conf-*@example.com", "tel:+49*". One "*" in the user
// part stands for one or more characters; the host is always whole.
//
// Two uses: the URIs that an identity owns beside its own (an MRFC its conferences), and the lists
// of a policy rule, which also take a URI without "*", and "*" alone for anybody.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace keystub::kms {

inline constexpr std::string_view kAnybody = "*";

// The canonical form of a pattern with exactly one "*", to be stored and compared. Fails
// (malformed) with a sentence that says what is wrong.
Result<std::string> canonical_pattern(std::string_view pattern);

// The canonical form of what a list of a policy rule may hold: kAnybody, a URI, or a pattern.
Result<std::string> canonical_matcher(std::string_view text);

// Whether a canonical matcher covers a canonical URI.
bool covers(std::string_view matcher, std::string_view uri) noexcept;

// "example.com:5060" of "sip:alice@example.com:5060" and of patterns; empty for tel.
std::string_view host_of(std::string_view uri) noexcept;

}  // namespace keystub::kms
