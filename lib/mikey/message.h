// A MIKEY message on the wire: views into the caller's octets, no copy, no allocation.
// Every length and every payload, those of TP Data and Initiator Data too, is checked once, by
// Message::parse; Ticket Data is opaque until its ticket is opened.
// Clauses: RFC 3830 section 6, RFC 6043 section 6.
#pragma once

#include <optional>
#include <variant>

#include "mikey/crypto_session.h"
#include "mikey/identity.h"
#include "mikey/key_data.h"
#include "mikey/ticket_policy.h"
#include "mikey/timestamp.h"

namespace keystub::mikey {

struct Header {
  DataType data_type = DataType::error;
  PayloadType next_payload = PayloadType::last;
  bool v_flag = false;
  PrfFunc prf = PrfFunc::mikey_1;
  std::uint32_t csb_id = 0;
  std::uint8_t cs_count = 0;
  CsIdMapType map_type = CsIdMapType::empty;
  Bytes map_info;
  std::size_t map_info_offset = 0;

  // The crypto sessions of a GENERIC-ID map; none for another map type.
  Result<std::vector<CryptoSession>> crypto_sessions(std::string_view message) const;
};

struct RandView {
  Bytes value;
};
struct RoleRandView {
  RandRole role = RandRole::initiator;
  Bytes value;
};
struct CertificateView {
  CertType type = CertType::x509v3;
  Bytes data;
};
struct CertificateHashView {
  HashFunc hash = HashFunc::sha_256;
  Bytes value;
};
struct EnvelopeView {
  EnvelopeCache cache = EnvelopeCache::no_cache;
  Bytes data;
};
struct SignatureView {
  SignatureType type = SignatureType::rsa_pkcs1;
  Bytes data;
};
struct VerificationView {
  MacAlg alg = MacAlg::null;
  Bytes mac;
};
struct ErrorView {
  ErrorNo number = ErrorNo::unspecified;
};
struct ExtensionView {
  ExtType type = ExtType::vendor_id;
  Bytes data;
};
struct TicketHeaderView {
  Bytes data;
};

using PayloadValue = std::variant<Timestamp, RoleTimestamp, RandView, RoleRandView, IdentityView,
                                  RoleIdentity, CertificateView, CertificateHashView, EnvelopeView,
                                  SignatureView, VerificationView, SecurityPolicyView, ErrorView,
                                  ExtensionView, KemacView, TicketPolicyView, TicketView>;

struct Payload {
  PayloadType type = PayloadType::last;
  std::size_t offset = 0;  // of its first octet in the message
  Bytes bytes;             // the whole payload
  PayloadValue value;
};

// Walks a chain of payloads: a message after HDR, TP Data, Ticket Data, Initiator Data.
class PayloadWalker {
 public:
  // `reader` stands at the first payload, whose type is `first`.
  PayloadWalker(ByteReader reader, PayloadType first) noexcept : reader_(reader), next_(first) {}
  // The next payload; nothing after the last one, when the chain must end with the data.
  Result<std::optional<Payload>> next();

 private:
  ByteReader reader_;
  PayloadType next_;
};

// A parsed message. Payloads that may occur once are found by name; a second one is refused.
// The octets handed to parse() must outlive the Message.
class Message {
 public:
  static Result<Message> parse(Bytes bytes);

  Bytes bytes;
  Header header;
  std::optional<Timestamp> t;
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
  // The list in the SDP IDs extension (RFC 4567 4.1.4), if there is one.
  std::optional<std::string_view> sdp_ids() const noexcept;
  // A place in this message, for errors.
  Place place(std::string_view payload, std::string_view clause, const std::uint8_t* where) const;

 private:
  std::size_t header_size_ = 0;
};

}  // namespace keystub::mikey
