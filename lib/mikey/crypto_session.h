// The GENERIC-ID crypto session map of HDR (RFC 6043 6.1.1) and payload SP (RFC 3830 6.10).
#pragma once

#include <optional>
#include <vector>

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "mikey/types.h"

namespace keystub::mikey {

// One block of the map on the wire.
struct CryptoSessionView {
  std::uint8_t cs_id = 0;
  ProtType prot_type = ProtType::srtp;
  bool s_flag = false;
  Bytes policies;
  Bytes session_data;
  Bytes spi;
};

// An owned crypto session.
struct CryptoSession {
  std::uint8_t cs_id = 1;
  ProtType prot_type = ProtType::tls;
  bool s_flag = false;
  ByteVector policies;      // policy numbers, at most 127
  ByteVector session_data;  // at most 65535 octets
  ByteVector spi;           // at most 255 octets; may be empty in an initial message

  static CryptoSession from(const CryptoSessionView& view) {
    return {view.cs_id,
            view.prot_type,
            view.s_flag,
            to_vector(view.policies),
            to_vector(view.session_data),
            to_vector(view.spi)};
  }

  friend bool operator==(const CryptoSession&, const CryptoSession&) = default;
};

Result<CryptoSessionView> decode_crypto_session(ByteReader& reader);
void encode_crypto_session(ByteWriter& writer, const CryptoSession& session);

// A security policy: numbered type-length-value parameters for one security protocol.
struct SecurityPolicy {
  std::uint8_t policy_no = 0;
  ProtType prot_type = ProtType::srtp;
  ByteVector parameters;  // the TLVs as on the wire

  friend bool operator==(const SecurityPolicy&, const SecurityPolicy&) = default;
};

struct SecurityPolicyView {
  std::uint8_t policy_no = 0;
  ProtType prot_type = ProtType::srtp;
  Bytes parameters;  // every TLV's length is checked
};
// After the Next Payload octet.
Result<SecurityPolicyView> decode_sp(ByteReader& reader);
void encode_sp(ByteWriter& writer, const SecurityPolicy& policy);

}  // namespace keystub::mikey
