// Key validity data: the SPI or the interval of a key, a part of key data and of DH
// (RFC 3830 6.14).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct KeyValidityView {
  KeyValidity kind = KeyValidity::null;
  Bytes spi;         // with KeyValidity::spi; at most 255 octets, as the others
  Bytes valid_from;  // with KeyValidity::interval
  Bytes valid_to;
};

// After the KV field, whose value is `kind`. Refuses an unassigned kind.
KeyValidityView decode_key_validity(ByteReader& reader, KeyValidity kind);
void encode_key_validity(ByteWriter& writer, const KeyValidityView& validity);

}  // namespace keystub::mikey
