// Payload PKE: the encrypted envelope key (RFC 3830 6.3).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct EnvelopeView {
  EnvelopeCache cache = EnvelopeCache::no_cache;
  Bytes data;  // at most 16383 octets
};

// After the Next Payload octet.
EnvelopeView decode_pke(ByteReader& reader);
void encode_pke(ByteWriter& writer, const EnvelopeView& envelope);

}  // namespace keystub::mikey
