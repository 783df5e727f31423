// Base64 (RFC 4648 section 4), strict: padding required, no white space, no other alphabet, and
// the unused bits of the last digit are zero.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace keystub {

std::string base64_encode(Bytes bytes);
Result<ByteVector> base64_decode(std::string_view text);

}  // namespace keystub
