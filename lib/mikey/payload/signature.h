// Payload SIGN: the signature over a message (RFC 3830 6.5). It has no Next Payload octet and is
// always the last one.
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct SignatureView {
  SignatureType type = SignatureType::rsa_pkcs1;
  Bytes data;  // at most 4095 octets
};

// The whole payload.
SignatureView decode_sign(ByteReader& reader);
void encode_sign(ByteWriter& writer, const SignatureView& signature);
// The fields before the signature: what a signature covers ends with them.
void encode_sign_fields(ByteWriter& writer, SignatureType type, std::size_t signature_octets);

}  // namespace keystub::mikey
