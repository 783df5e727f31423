// The canonical form of the URIs that name identities: what is stored and compared.
//
// sip and sips (RFC 3261 19.1): scheme and host in lower case, the user part as it is, port kept;
// no password, parameters or headers. tel (RFC 3966): global numbers, without visual separators.
// A "*" stands in patterns only (uri_pattern.h): no identity is named so.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace keystub::kms {

inline constexpr std::size_t kMaxUriSize = 256;  // octets

// Fails (malformed) with a sentence that says what is wrong with the URI.
Result<std::string> canonical_uri(std::string_view uri);

}  // namespace keystub::kms
