// Files with tickets and messages that kmsctl reads.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::kmsctl {

// All of a file; "-": standard input.
Result<std::string> read_file(const std::string& file);

// TRANSFER_INIT as octets, or as text: base64, with or without "a=key-mgmt:mikey" before it.
Result<ByteVector> read_message(const std::string& file);

}  // namespace keystub::kmsctl
