#include "mikey/payload/certificate.h"

namespace keystub::mikey {

Result<CertificateView> decode_cert(ByteReader& reader) {
  const auto type = static_cast<CertType>(TRY(reader.u8("Cert type")));
  const std::uint16_t length = TRY(reader.u16("Cert len"));
  return CertificateView{type, TRY(reader.bytes(length, "Certificate Data"))};
}

void encode_cert(ByteWriter& writer, const CertificateView& certificate) {
  writer.u8(static_cast<std::uint8_t>(certificate.type));
  writer.u16_length(certificate.data.size(), "Cert len");
  writer.bytes(certificate.data);
}

Result<CertificateHashView> decode_chash(ByteReader& reader) {
  const auto hash = static_cast<HashFunc>(TRY(reader.u8("Hash func")));
  switch (hash) {
    case HashFunc::sha_1: return CertificateHashView{hash, TRY(reader.bytes(20, "Hash"))};
    case HashFunc::md5: return CertificateHashView{hash, TRY(reader.bytes(16, "Hash"))};
    case HashFunc::sha_256: return CertificateHashView{hash, TRY(reader.bytes(32, "Hash"))};
  }
  return reader.malformed("hash function " + std::to_string(static_cast<int>(hash)) +
                          " is unassigned, so the length of the hash is unknown");
}

void encode_chash(ByteWriter& writer, const CertificateHashView& hash) {
  writer.u8(static_cast<std::uint8_t>(hash.hash));
  writer.bytes(hash.value);
}

}  // namespace keystub::mikey
