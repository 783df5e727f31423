// Payloads RAND and RANDR: random values (RFC 3830 6.11, RFC 6043 6.8).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct RandView {
  Bytes value;  // at most 255 octets
};

struct RoleRandView {
  RandRole role = RandRole::initiator;
  Bytes value;
};

// After the Next Payload octet.
RandView decode_rand(ByteReader& reader);
void encode_rand(ByteWriter& writer, const RandView& rand);
RoleRandView decode_randr(ByteReader& reader);
void encode_randr(ByteWriter& writer, const RoleRandView& rand);

}  // namespace keystub::mikey
