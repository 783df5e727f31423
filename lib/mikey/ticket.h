// The MIKEY base ticket (RFC 6043 Appendix A): sealing keys under a TPK, and opening them. The
// 3GPP base ticket has the same layout.
#pragma once

#include <array>

#include "base/random.h"
#include "mikey/suite.h"
#include "mikey/ticket_policy.h"

namespace keystub::mikey {

// A ticket protection key and its name (IDRpsk of the Ticket Data).
struct TicketProtection {
  Tpk key;
  std::string id;
  // Implementation-specific octets of THDR.
  std::string thdr;
};

// What a ticket keeps secret: the MPK and the session keys.
struct TicketKeys {
  Mpk mpk;
  ByteVector mpk_spi;
  std::vector<SessionKey> session_keys;
};

// Makes an MPK with an SPI of 4 octets and the session keys that are wished for: in this order
// from `random`: MPK SPI, MPK, then per session key the key and the salt.
Result<TicketKeys> make_ticket_keys(RandomSource& random, const Suite& suite,
                                    const std::vector<KeyWish>& wishes);

struct SealedTicket {
  ByteVector body;  // from Ticket Type to the end of Ticket Data
  Mpk mpki;
  Mpk mpkr;
};

// Seals `keys` under `protection`: `issued_at` is T, `rand` the RAND of the Ticket Data, at least
// as long as the longest of TPK and MPK (RFC 6043 12.1).
Result<SealedTicket> seal_ticket(const TicketPolicy& policy, const TicketKeys& keys,
                                 const TicketProtection& protection, const Timestamp& issued_at,
                                 Bytes rand);

// The Ticket Data of a base ticket, parsed and not yet verified.
struct TicketDataView {
  Bytes thdr;
  Timestamp t;
  Bytes rand;
  KemacView kemac;
  std::optional<IdentityView> idr_psk;  // names the TPK
  MacAlg mac_alg = MacAlg::null;
  Bytes mac;
};
Result<TicketDataView> parse_ticket_data(const TicketView& ticket, std::string_view message);

struct OpenedTicket {
  Timestamp issued_at;
  Mpk mpki;
  Mpk mpkr;
  ByteVector mpk_spi;
  std::vector<SessionKey> session_keys;  // not forked
};

// Verifies the MAC over the TICKET payload and decrypts its keys.
Result<OpenedTicket> open_ticket(const TicketView& ticket, const TicketDataView& data,
                                 const Tpk& tpk, std::string_view message);

// Names a ticket in audit and revocation: the first 16 octets of SHA-256 over the MAC of the V
// payload of its Ticket Data.
using TicketId = std::array<std::uint8_t, 16>;
Result<TicketId> ticket_id(const TicketView& ticket);
Result<TicketId> ticket_id_of_mac(Bytes mac);

}  // namespace keystub::mikey
