// Payload DH: a public Diffie-Hellman value (RFC 3830 6.4).
#pragma once

#include "mikey/payload/key_validity.h"

namespace keystub::mikey {

struct DhView {
  DhGroup group = DhGroup::oakley_5;
  Bytes value;                // 192, 96 or 128 octets, as its group says
  std::uint8_t reserved = 0;  // 4 bits
  KeyValidityView validity;
};

// After the Next Payload octet. Refuses an unassigned group: the length would be unknown.
DhView decode_dh(ByteReader& reader);
void encode_dh(ByteWriter& writer, const DhView& dh);

}  // namespace keystub::mikey
