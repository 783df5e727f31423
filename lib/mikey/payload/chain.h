// Payloads in their chain: each names the type of the next one. A message after HDR, TP Data,
// Ticket Data and Initiator Data are such chains.
#pragma once

#include <variant>

#include "mikey/payload/certificate.h"
#include "mikey/payload/dh.h"
#include "mikey/payload/envelope.h"
#include "mikey/payload/error.h"
#include "mikey/payload/extension.h"
#include "mikey/payload/identity.h"
#include "mikey/payload/key_data.h"
#include "mikey/payload/rand.h"
#include "mikey/payload/security_policy.h"
#include "mikey/payload/signature.h"
#include "mikey/payload/ticket_policy.h"
#include "mikey/payload/timestamp.h"
#include "mikey/payload/verification.h"

namespace keystub::mikey {

// One alternative for each payload type; the table in chain.cc says which.
using PayloadValue =
    std::variant<KemacView, EnvelopeView, DhView, SignatureView, Timestamp, IdentityView,
                 CertificateView, CertificateHashView, VerificationView, SecurityPolicyView,
                 RandView, ErrorView, RoleTimestamp, RoleIdentity, RoleRandView, TicketPolicyView,
                 TicketView, ExtensionView>;

PayloadType type_of(const PayloadValue& value) noexcept;
// Where a payload is defined: "RFC 3830 6.2". Empty for a type without a decoder.
std::string_view clause_of(PayloadType type) noexcept;

struct Payload {
  PayloadType type = PayloadType::last;
  std::size_t offset = 0;  // of its first octet in the message
  Bytes bytes;             // the whole payload
  PayloadValue value;
};

class PayloadWalker {
 public:
  // `reader` stands at the first payload, whose type is `first`.
  PayloadWalker(ByteReader reader, PayloadType first) noexcept : reader_(reader), next_(first) {}
  // `reader` stands at a First Payload octet (RFC 6043 6.10).
  static PayloadWalker after_first_payload(ByteReader reader) noexcept;

  // The next payload, in this walker until it goes on; null after the last one, when the chain must
  // end with the data.
  Result<const Payload*> next();

 private:
  ByteReader reader_;
  PayloadType next_;
  Payload payload_;
};

// Appends payloads to a message and keeps their chain.
class PayloadChain {
 public:
  // `first_at`: where in the message the type of the first payload belongs.
  explicit PayloadChain(std::size_t first_at) noexcept : next_payload_at_(first_at) {}

  void add(ByteWriter& out, const PayloadValue& value);
  // Enters the type and, unless it is SIGN, appends a Next Payload octet; what follows it is the
  // caller's.
  void begin(ByteWriter& out, PayloadType type);

 private:
  std::size_t next_payload_at_;
};

}  // namespace keystub::mikey
