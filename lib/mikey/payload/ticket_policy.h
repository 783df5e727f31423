// Payloads TP and TICKET: the Ticket Policy, and a ticket as it travels (RFC 6043 6.10).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mikey/payload/identity.h"
#include "mikey/payload/key_data.h"
#include "mikey/payload/timestamp.h"

namespace keystub::mikey {

// The twelve flags D to O. Bit values are those of the 16-bit word that follows the PRF field.
enum class TicketFlag : std::uint16_t {
  d_kms_generated = 0x800,      // the KMS generated the ticket (else the Initiator)
  e_resolve_mandatory = 0x400,  // Ticket Resolve is mandatory
  f_response = 0x200,           // TRANSFER_RESP shall be sent
  g_randr_r = 0x100,            // the Responder generates RANDRr
  h_randr_i = 0x080,            // RANDRi is used to derive keys from a TGK/GTGK
  i_forking = 0x040,            // key forking
  j_reusable = 0x020,           // the ticket may be reused
  k_changed = 0x010,            // the KMS changed the wish
  l_initiator_keys = 0x008,     // the Initiator may supply session keys
  m_responder_keys = 0x004,     // the Responder may supply session keys
  n_plain_initiator = 0x002,    // no additional processing for the Initiator
  o_plain_responder = 0x001,    // no additional processing for the Responder
};

class TicketFlags {
 public:
  constexpr TicketFlags() = default;
  constexpr explicit TicketFlags(std::uint16_t bits) : bits_(bits & 0xFFF) {}

  constexpr bool has(TicketFlag flag) const noexcept {
    return (bits_ & static_cast<std::uint16_t>(flag)) != 0;
  }
  constexpr TicketFlags with(TicketFlag flag, bool on = true) const noexcept {
    const auto bit = static_cast<std::uint16_t>(flag);
    return TicketFlags(static_cast<std::uint16_t>(on ? bits_ | bit : bits_ & ~bit));
  }
  constexpr std::uint16_t bits() const noexcept { return bits_; }

  // "DEFGHIJNO"
  std::string letters() const;
  static Result<TicketFlags> from_letters(std::string_view letters);

  // The dependencies of RFC 6043 6.10 (NOT D implies L, G implies F, …). One of them depends on
  // whether there is a TGK in the ticket.
  Result<void> check(bool tgk_in_ticket = false) const;

  friend bool operator==(const TicketFlags&, const TicketFlags&) = default;

 private:
  std::uint16_t bits_ = 0;
};

// The flag sets of the profile: key forking, mutual freshness, mandatory resolve.
inline constexpr TicketFlags kMode1Flags{0xFC3};          // D E F G H I N O, without J
inline constexpr TicketFlags kMode1ReusableFlags{0xFE3};  // … and J
inline constexpr TicketFlags kMode3Flags{0x7CB};          // E F G H I L N O
inline constexpr TicketFlags kMode3ReusableFlags{0x7EB};  // … and J

struct TicketType {
  std::uint16_t type = 2;
  std::uint8_t subtype = 1;
  std::uint8_t version = 1;

  friend bool operator==(const TicketType&, const TicketType&) = default;
};
inline constexpr TicketType kMikeyBaseTicket{1, 1, 1};
// 3GPP base ticket with the layout of the MIKEY base ticket; subtype and version unconfirmed.
inline constexpr TicketType k3gppBaseTicket{2, 1, 1};

// What a key must be like, without the key: what a wished Ticket Policy asks for.
struct KeyWish {
  KeyType type = KeyType::tgk;
  std::uint16_t key_octets = 32;
  std::uint16_t salt_octets = 0;
  ByteVector spi;  // 1 to 255 octets

  // Why it cannot be wished for; empty: it can.
  std::string_view fault() const noexcept;

  friend bool operator==(const KeyWish&, const KeyWish&) = default;
};

// An owned Ticket Policy.
struct TicketPolicy {
  TicketType type = k3gppBaseTicket;
  PrfFunc prf = PrfFunc::hmac_sha_256;
  TicketFlags flags;
  std::optional<Identity> idr_kms;
  std::optional<Identity> idr_i;
  std::optional<Timestamp> trs;  // start of validity; absent: no defined start
  std::optional<Timestamp> tre;  // end of validity; absent: no defined end
  std::optional<Timestamp> trr;  // longest time between rekeyings, NTP-UTC-32
  std::vector<KeyWish> keys;     // only in a wished policy (the zeroed KEMAC)
  std::vector<Identity> idr_app;
  std::vector<Identity> idr_r;  // at least one

  // From Ticket Type to the end of TP Data.
  void encode(ByteWriter& writer) const;
  // Whether `uri` may resolve: named literally or by a wildcard.
  bool names_responder(std::string_view uri) const noexcept;
  Result<void> check_valid_at(WallTime now) const;

  friend bool operator==(const TicketPolicy&, const TicketPolicy&) = default;
};

class PayloadWalker;

// A TP payload, or the policy half of a TICKET payload, on the wire.
struct TicketPolicyView {
  TicketType type;
  PrfFunc prf = PrfFunc::mikey_1;
  TicketFlags flags;
  std::uint8_t reserved = 0;       // 5 bits
  Bytes tp_data;                   // First Payload octet and payloads
  std::size_t tp_data_offset = 0;  // in the message, for errors

  // The payloads of TP Data.
  PayloadWalker payloads(std::string_view message) const noexcept;
  // Reads TP Data. A payload that may occur once and occurs twice is refused; others are ignored.
  Result<TicketPolicy> read(std::string_view message) const;
};

// A TICKET payload on the wire (RFC 6043 6.10).
struct TicketView {
  TicketPolicyView policy;
  Bytes ticket_data;
  std::size_t ticket_data_offset = 0;
  Bytes initiator_data;  // empty: absent
  std::size_t initiator_data_offset = 0;
  // From Ticket Type to the end of Ticket Data: what a ticket is, wherever it travels.
  Bytes body;

  // The payloads of Initiator Data, which must not be absent.
  PayloadWalker initiator_payloads(std::string_view message) const noexcept;
};

// After the Next Payload octet.
TicketPolicyView decode_tp(ByteReader& reader);
void encode_tp(ByteWriter& writer, const TicketPolicyView& policy);
TicketView decode_ticket(ByteReader& reader);
// From `policy`, `ticket_data` and `initiator_data`.
void encode_ticket(ByteWriter& writer, const TicketView& ticket);

}  // namespace keystub::mikey
