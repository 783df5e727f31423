#include "mikey/payload/envelope.h"

namespace keystub::mikey {

EnvelopeView decode_pke(ByteReader& reader) {
  const std::uint16_t cache_and_length = reader.u16("C and Data len");
  return {static_cast<EnvelopeCache>(cache_and_length >> 14),
          reader.bytes(cache_and_length & 0x3FFF, "Data")};
}

void encode_pke(ByteWriter& writer, const EnvelopeView& envelope) {
  writer.limit(envelope.data.size(), 0x3FFF, "Data len");
  writer.u16(static_cast<std::uint16_t>(static_cast<unsigned>(envelope.cache) << 14 |
                                        envelope.data.size()));
  writer.bytes(envelope.data);
}

}  // namespace keystub::mikey
