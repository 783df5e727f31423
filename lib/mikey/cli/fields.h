// The fields of every payload in the order of the wire, written once: a Describer goes through them
// to make a tree out of a payload, an Assembler to make a payload out of a tree. The clauses are
// those of the headers in mikey/payload. Included by describe.cc and assemble.cc only.
#pragma once

#include "mikey/message.h"
#include "mikey/payload/ticket_header.h"

namespace keystub::mikey::cli {

// What a visitor offers:
//   constant, number, hex_number, choice, flags, timestamp   a number of so many bits
//   octets(name, value)                  octets whose number something before them decides
//   octets(length, name, value, bits)    octets behind their length
//   text                                 the same, in quotes where they are printable
//   part(length, name, value, bits, structured, inside)
//                                        the same; `inside` goes through what they hold
//   items<decode, encode>(name, value, each), payloads, keys, session
//                                        what a part holds
//   note                                 a remark on the last field

// ---- parts that several payloads share

template <class Visitor>
void fields(Visitor& visitor, Timestamp& t) {
  visitor.choice("TS type", t.type, 8);
  visitor.timestamp("TS value", t);
}

template <class Visitor>
void fields(Visitor& visitor, IdentityView& id) {
  visitor.choice("ID type", id.type, 8);
  visitor.text("ID len", "ID data", id.data, 16);
}

template <class Visitor>
void fields(Visitor& visitor, KeyValidityView& validity) {
  if (validity.kind == KeyValidity::spi) {
    visitor.octets("SPI Length", "SPI", validity.spi, 8);
  } else if (validity.kind == KeyValidity::interval) {
    visitor.octets("VF Length", "Valid From", validity.valid_from, 8);
    visitor.octets("VT Length", "Valid To", validity.valid_to, 8);
  }
}

template <class Visitor>
void fields(Visitor& visitor, KeyDataView& data) {
  visitor.choice("Type", data.type, 4);
  visitor.choice("KV", data.validity.kind, 4);
  visitor.octets("Key data len", "Key data", data.key, 16);
  if (has_salt(data.type)) visitor.octets("Salt len", "Salt data", data.salt, 16);
  fields(visitor, data.validity);
}

template <class Visitor>
void fields(Visitor& visitor, TicketPolicyView& policy) {
  visitor.number("Ticket Type", policy.type.type, 16);
  visitor.note(policy.type.type == kMikeyBaseTicket.type  ? "MIKEY Base Ticket"
               : policy.type.type == k3gppBaseTicket.type ? "3GPP Base Ticket"
                                                          : "unassigned");
  visitor.number("Subtype", policy.type.subtype, 8);
  visitor.number("Version", policy.type.version, 8);
  visitor.choice("PRF Func", policy.prf, 7);
  visitor.flags("flags", policy.flags);
  visitor.number("Res", policy.reserved, 5);
  visitor.part("TP Data length", "TP Data", policy.tp_data, 16, visitor.is_chain(policy.tp_data),
               [&] { visitor.chain(policy.tp_data); });
}

// ---- HDR and its maps

template <class Visitor>
void fields(Visitor& visitor, SrtpId& id) {
  visitor.number("Policy_no", id.policy_no, 8);
  visitor.hex_number("SSRC", id.ssrc, 32);
  visitor.number("ROC", id.roc, 32);
}

template <class Visitor>
void fields(Visitor& visitor, SrtpSessionData& data) {
  visitor.hex_number("SSRC", data.ssrc, 32);
  if (data.position) {
    visitor.number("ROC", data.position->roc, 32);
    visitor.number("SEQ", data.position->seq, 16);
  }
}

template <class Visitor>
void fields(Visitor& visitor, CryptoSessionView& session) {
  visitor.number("CS ID", session.cs_id, 8);
  visitor.choice("Prot type", session.prot_type, 8);
  visitor.number("S", session.s_flag, 1);
  visitor.octets("#P", "Ps", session.policies, 7);
  const bool is_srtp = session.prot_type == ProtType::srtp && !session.session_data.empty();
  visitor.part("Session Data Length", "Session Data", session.session_data, 16, is_srtp,
               [&] { visitor.srtp_session_data(session); });
  visitor.octets("SPI Length", "SPI", session.spi, 8);
}

template <class Visitor>
void fields(Visitor& visitor, Header& header) {
  visitor.constant("version", kVersion, 8);
  visitor.choice("data type", header.data_type, 8);
  visitor.next_payload(header.next_payload);
  visitor.number("V", header.v_flag, 1);
  visitor.choice("PRF func", header.prf, 7);
  visitor.hex_number("CSB ID", header.csb_id, 32);
  visitor.number("#CS", header.cs_count, 8);
  visitor.choice("CS ID map type", header.map_type, 8);
  const auto each = [&](auto& session) { fields(visitor, session); };
  if (header.map_type == CsIdMapType::srtp_id) {
    visitor.template items<decode_srtp_id, encode_srtp_id>("crypto session", header.map_info, each);
  } else if (header.map_type == CsIdMapType::generic_id) {
    visitor.template items<decode_crypto_session, encode_crypto_session>("crypto session",
                                                                         header.map_info, each);
  }
}

// ---- payloads, by their number

template <class Visitor>
void fields(Visitor& visitor, KemacView& kemac) {
  visitor.choice("Encr alg", kemac.encr_alg, 8);
  const bool is_plain = kemac.encr_alg == EncrAlg::null && !kemac.encr_data.empty();
  visitor.part("Encr data len", "Encr data", kemac.encr_data, 16, is_plain,
               [&] { visitor.key_data(kemac); });
  visitor.choice("Mac alg", kemac.mac_alg, 8);
  visitor.octets("MAC", kemac.mac);
}

template <class Visitor>
void fields(Visitor& visitor, EnvelopeView& envelope) {
  visitor.choice("C", envelope.cache, 2);
  visitor.octets("Data len", "Data", envelope.data, 14);
}

template <class Visitor>
void fields(Visitor& visitor, DhView& dh) {
  visitor.choice("DH-Group", dh.group, 8);
  visitor.octets("DH-value", dh.value);
  visitor.number("Reserv", dh.reserved, 4);
  visitor.choice("KV", dh.validity.kind, 4);
  fields(visitor, dh.validity);
}

template <class Visitor>
void fields(Visitor& visitor, SignatureView& signature) {
  visitor.choice("S type", signature.type, 4);
  visitor.octets("Signature len", "Signature", signature.data, 12);
}

template <class Visitor>
void fields(Visitor& visitor, CertificateView& certificate) {
  visitor.choice("Cert type", certificate.type, 8);
  visitor.text("Cert len", "Certificate Data", certificate.data, 16);
}

template <class Visitor>
void fields(Visitor& visitor, CertificateHashView& hash) {
  visitor.choice("Hash func", hash.hash, 8);
  visitor.octets("Hash", hash.value);
}

template <class Visitor>
void fields(Visitor& visitor, VerificationView& verification) {
  visitor.choice("Auth alg", verification.alg, 8);
  visitor.octets("Ver data", verification.mac);
}

template <class Visitor>
void fields(Visitor& visitor, SecurityPolicyView& policy) {
  visitor.number("Policy no", policy.policy_no, 8);
  visitor.choice("Prot type", policy.prot_type, 8);
  const auto each = [&](TypeLengthValue& parameter) {
    if (policy.prot_type != ProtType::srtp) {
      visitor.number("Type", parameter.type, 8);
      visitor.octets("Length", "Value", parameter.value, 8);
      return;
    }
    auto type = static_cast<SrtpParameter>(parameter.type);
    visitor.choice("Type", type, 8);
    parameter.type = static_cast<std::uint8_t>(type);
    visitor.octets("Length", "Value", parameter.value, 8);
    if (parameter.value.size() == 1) {
      const std::string_view choice = name_of_choice(type, parameter.value[0]);
      visitor.note(choice.empty() ? std::to_string(parameter.value[0]) : std::string(choice));
    }
  };
  visitor.part("Policy param length", "Policy param", policy.parameters, 16,
               !policy.parameters.empty(), [&] {
                 visitor.template items<decode_type_length_value, encode_type_length_value>(
                     "parameter", policy.parameters, each);
               });
}

template <class Visitor>
void fields(Visitor& visitor, RandView& rand) {
  visitor.octets("RAND length", "RAND", rand.value, 8);
}

template <class Visitor>
void fields(Visitor& visitor, ErrorView& error) {
  visitor.choice("Error no", error.number, 8);
  visitor.number("Reserved", error.reserved, 16);
}

template <class Visitor>
void fields(Visitor& visitor, RoleTimestamp& t) {
  visitor.choice("TS Role", t.role, 8);
  fields(visitor, t.timestamp);
  if (t.role == TsRole::rekeying) {  // a duration, not a point in time (RFC 6043 6.10)
    visitor.note(std::to_string(t.timestamp.value) + " seconds");
  }
}

template <class Visitor>
void fields(Visitor& visitor, RoleIdentity& id) {
  visitor.choice("ID Role", id.role, 8);
  fields(visitor, id.identity);
}

template <class Visitor>
void fields(Visitor& visitor, RoleRandView& rand) {
  visitor.choice("RAND Role", rand.role, 8);
  visitor.octets("RAND length", "RAND", rand.value, 8);
}

template <class Visitor>
void fields(Visitor& visitor, TicketView& ticket) {
  fields(visitor, ticket.policy);
  visitor.part("Ticket Data length", "Ticket Data", ticket.ticket_data, 16,
               visitor.is_base_ticket(ticket), [&] { visitor.ticket_data(ticket); });
  visitor.part("Initiator Data length", "Initiator Data", ticket.initiator_data, 16,
               visitor.is_chain(ticket.initiator_data),
               [&] { visitor.chain(ticket.initiator_data); });
}

// THDR, the first of the Ticket Data.
template <class Visitor>
void fields(Visitor& visitor, TicketHeaderView& header) {
  visitor.next_payload(header.next_payload);
  visitor.octets("THDR Data length", "THDR Data", header.data, 16);
}

template <class Visitor>
void fields(Visitor& visitor, ExtensionView& extension) {
  visitor.choice("Type", extension.type, 8);
  if (extension.type != ExtType::key_id) {
    visitor.text("Length", "Data", extension.data, 16);
    return;
  }
  const auto each = [&](TypeLengthValue& key_id) {
    auto type = static_cast<KeyIdType>(key_id.type);
    visitor.choice("Key ID Type", type, 8);
    key_id.type = static_cast<std::uint8_t>(type);
    visitor.octets("Key ID Length", "Key ID", key_id.value, 8);
  };
  visitor.part("Length", "Data", extension.data, 16, !extension.data.empty(), [&] {
    visitor.template items<decode_type_length_value, encode_type_length_value>(
        "Key ID Information", extension.data, each);
  });
}

}  // namespace keystub::mikey::cli
