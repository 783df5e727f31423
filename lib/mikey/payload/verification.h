// Payload V: the MAC of a message (RFC 3830 6.9).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct VerificationView {
  MacAlg alg = MacAlg::null;
  Bytes mac;  // 20 or 32 octets, as its algorithm says
};

// After the Next Payload octet. Auth alg NULL is refused.
VerificationView decode_v(ByteReader& reader);
void encode_v(ByteWriter& writer, const VerificationView& verification);

// An algorithm octet and its MAC, as V and KEMAC have them. An unassigned algorithm is refused:
// the length would be unknown; NULL has no MAC.
VerificationView decode_mac(ByteReader& reader, std::string_view alg_field);

}  // namespace keystub::mikey
