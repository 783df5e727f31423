#include "mikey/payload/certificate.h"

namespace keystub::mikey {

CertificateView decode_cert(ByteReader& reader) {
  const auto type = static_cast<CertType>(reader.u8("Cert type"));
  const std::uint16_t length = reader.u16("Cert len");
  return {type, reader.bytes(length, "Certificate Data")};
}

void encode_cert(ByteWriter& writer, const CertificateView& certificate) {
  writer.u8(static_cast<std::uint8_t>(certificate.type));
  writer.u16_length(certificate.data.size(), "Cert len");
  writer.bytes(certificate.data);
}

CertificateHashView decode_chash(ByteReader& reader) {
  const auto hash = static_cast<HashFunc>(reader.u8("Hash func"));
  switch (hash) {
    case HashFunc::sha_1: return {hash, reader.bytes(20, "Hash")};
    case HashFunc::md5: return {hash, reader.bytes(16, "Hash")};
    case HashFunc::sha_256: return {hash, reader.bytes(32, "Hash")};
  }
  reader.unassigned("hash function", static_cast<std::uint8_t>(hash));
  return {hash, {}};
}

void encode_chash(ByteWriter& writer, const CertificateHashView& hash) {
  writer.u8(static_cast<std::uint8_t>(hash.hash));
  writer.bytes(hash.value);
}

}  // namespace keystub::mikey
