// General extension payload: vendor ID, SDP IDs (RFC 3830 6.15, RFC 4567 4.1.4) and key IDs
// (RFC 4563 4).
#pragma once

#include "mikey/payload/item_walker.h"
#include "mikey/types.h"

namespace keystub::mikey {

// `type` is a KeyIdType, `value` the key ID.
using KeyIdWalker = ItemWalker<decode_type_length_value>;

struct ExtensionView {
  ExtType type = ExtType::vendor_id;
  Bytes data;                   // at most 65535 octets
  std::size_t data_offset = 0;  // in the message, for errors

  // The Key ID sub-payloads of ExtType::key_id; none for another type.
  KeyIdWalker key_ids(std::string_view message) const noexcept;
};

// After the Next Payload octet. The lengths of Key ID sub-payloads are checked, other data is kept
// as it is.
ExtensionView decode_ext(ByteReader& reader);
void encode_ext(ByteWriter& writer, const ExtensionView& extension);

}  // namespace keystub::mikey
