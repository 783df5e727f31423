// Payloads CERT and CHASH: a certificate and the hash of one (RFC 3830 6.7 and 6.8,
// RFC 6043 6.7).
#pragma once

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct CertificateView {
  CertType type = CertType::x509v3;
  Bytes data;  // DER, or the URL for CertType::url
};

struct CertificateHashView {
  HashFunc hash = HashFunc::sha_256;
  Bytes value;  // 20, 16 or 32 octets, as its function says
};

// After the Next Payload octet. An unassigned hash function is refused: the length would be
// unknown.
CertificateView decode_cert(ByteReader& reader);
void encode_cert(ByteWriter& writer, const CertificateView& certificate);
CertificateHashView decode_chash(ByteReader& reader);
void encode_chash(ByteWriter& writer, const CertificateHashView& hash);

}  // namespace keystub::mikey
