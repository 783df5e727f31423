#include "mikey/payload/security_policy.h"

namespace keystub::mikey {

SecurityParameterWalker SecurityPolicyView::walk(std::string_view message) const noexcept {
  ByteReader reader(message, parameters, parameters_offset);
  reader.enter("SP", "RFC 3830 6.10");
  return SecurityParameterWalker(reader);
}

SecurityPolicyView decode_sp(ByteReader& reader) {
  SecurityPolicyView policy;
  policy.policy_no = reader.u8("Policy no");
  policy.prot_type = static_cast<ProtType>(reader.u8("Prot type"));
  const std::uint16_t length = reader.u16("Policy param length");
  ByteReader parameters = reader.sub_reader(length, "Policy param");
  policy.parameters = parameters.rest();
  policy.parameters_offset = parameters.offset();
  while (!parameters.at_end()) decode_type_length_value(parameters);
  reader.fail_as(parameters);
  return policy;
}

void encode_sp(ByteWriter& writer, const SecurityPolicyView& policy) {
  writer.u8(policy.policy_no);
  writer.u8(static_cast<std::uint8_t>(policy.prot_type));
  writer.u16_length(policy.parameters.size(), "Policy param length");
  writer.bytes(policy.parameters);
}

}  // namespace keystub::mikey
