// Payload SP: a security policy, and the parameters of SRTP (RFC 3830 6.10).
#pragma once

#include "mikey/payload/item_walker.h"
#include "mikey/types.h"

namespace keystub::mikey {

using SecurityParameterWalker = ItemWalker<decode_type_length_value>;

struct SecurityPolicyView {
  std::uint8_t policy_no = 0;
  ProtType prot_type = ProtType::srtp;
  Bytes parameters;                   // every parameter's length is checked
  std::size_t parameters_offset = 0;  // in the message, for errors

  // The parameters; `type` is a SrtpParameter if the Prot type is SRTP.
  SecurityParameterWalker walk(std::string_view message) const noexcept;
};

// An owned security policy.
struct SecurityPolicy {
  std::uint8_t policy_no = 0;
  ProtType prot_type = ProtType::srtp;
  ByteVector parameters;  // the TLVs as on the wire

  SecurityPolicyView view() const noexcept { return {policy_no, prot_type, parameters, 0}; }

  friend bool operator==(const SecurityPolicy&, const SecurityPolicy&) = default;
};

// After the Next Payload octet.
SecurityPolicyView decode_sp(ByteReader& reader);
void encode_sp(ByteWriter& writer, const SecurityPolicyView& policy);

}  // namespace keystub::mikey
