// Payload ERR: what went wrong (RFC 3830 6.12, RFC 6043 6.9).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct ErrorView {
  ErrorNo number = ErrorNo::unspecified;
  std::uint16_t reserved = 0;
};

// After the Next Payload octet.
ErrorView decode_err(ByteReader& reader);
void encode_err(ByteWriter& writer, const ErrorView& error);

}  // namespace keystub::mikey
