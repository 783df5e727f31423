// A MIKEY message on the wire: views into the caller's octets, no copy, no allocation.
// Every length and every payload, those of TP Data, Initiator Data and a KEMAC in plain text too,
// is checked once, by Message::parse; Ticket Data is opaque until its ticket is opened. Clauses:
// RFC 3830 section 6, RFC 6043 section 6.
#pragma once

#include "mikey/payload/chain.h"
#include "mikey/payload/header.h"

namespace keystub::mikey {

// A parsed message. Payloads that may occur once are found by name; a second one is refused.
// The octets handed to parse() must outlive the Message.
class Message {
 public:
  static Result<Message> parse(Bytes bytes);

  Bytes bytes;
  Header header;
  std::optional<Timestamp> t;
  std::optional<Bytes> rand;
  std::optional<Bytes> randr_i;
  std::optional<Bytes> randr_r;
  std::optional<Bytes> randr_kms;
  std::optional<IdentityView> idr_i;
  std::optional<IdentityView> idr_r;
  std::optional<IdentityView> idr_kms;
  std::optional<IdentityView> idr_psk;
  std::optional<TicketPolicyView> tp;
  std::optional<TicketView> ticket;
  std::optional<KemacView> kemac;
  std::optional<CertificateHashView> chash;
  std::optional<EnvelopeView> pke;
  std::optional<VerificationView> v;
  std::optional<SignatureView> sign;

  std::string_view name() const noexcept { return name_of(header.data_type); }
  // All payloads after HDR, in their order; cannot fail on a parsed message.
  PayloadWalker payloads() const noexcept;
  // The message without the MAC field of its V payload, which must be last.
  Bytes without_mac() const noexcept { return bytes.first(bytes.size() - v->mac.size()); }
  // What a signature covers: the message without the Signature field of SIGN, which is last.
  Bytes without_signature() const noexcept { return bytes.first(bytes.size() - sign->data.size()); }
  // The MAC of V or the signature of SIGN, one of which the exchanges require.
  Bytes proof() const noexcept { return v ? v->mac : sign->data; }
  // The list in the SDP IDs extension (RFC 4567 4.1.4), if there is one.
  std::optional<std::string_view> sdp_ids() const noexcept;
  // A place in this message, for errors.
  Place place(std::string_view payload, std::string_view clause, const std::uint8_t* where) const;

 private:
  std::size_t header_size_ = 0;
};

}  // namespace keystub::mikey
