// The MIKEY base ticket (RFC 6043 Appendix A): sealing keys under a TPK, and opening them. The
// 3GPP base ticket has the same layout.
#pragma once

#include <array>

#include "base/random.h"
#include "mikey/keys.h"
#include "mikey/payload/ticket_policy.h"
#include "mikey/prf.h"
#include "mikey/suite.h"

namespace keystub::mikey {

// A ticket protection key and its name (IDRpsk of the Ticket Data).
struct TicketProtection {
  Prepared<Tpk> key;
  std::string id;
  // Implementation-specific octets of THDR.
  std::string thdr;
};

// What is made anew for a ticket: the MPK and the session keys, which it keeps secret, and the RAND
// of its Ticket Data.
struct TicketKeys {
  Mpk mpk;
  ByteVector mpk_spi;
  std::vector<SessionKey> session_keys;
  ByteVector rand;
};

// Makes an MPK with an SPI of 4 octets (3 with AES-KW), the session keys that are wished for, and a
// RAND as long as the longest of TPK and MPK (RFC 6043 12.1). In this order from `random`: MPK SPI,
// MPK, then per session key the key and the salt, RAND.
Result<TicketKeys> make_ticket_keys(RandomSource& random, const Suite& suite,
                                    const std::vector<KeyWish>& wishes, std::size_t tpk_octets);

struct SealedTicket {
  ByteVector body;  // from Ticket Type to the end of Ticket Data
  Mpk mpki;
  Mpk mpkr;
};

// Seals `keys` under `protection`: `suite` is one of the policy's PRF, `issued_at` is T of the
// Ticket Data. A RAND that is shorter than the longest of TPK and MPK is refused (RFC 6043 12.1).
Result<SealedTicket> seal_ticket(const Suite& suite, const TicketPolicy& policy,
                                 const TicketKeys& keys, const TicketProtection& protection,
                                 const Timestamp& issued_at);

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
                                 const Prepared<Tpk>& tpk, std::string_view message);

// Names a ticket in audit and revocation: the first 16 octets of SHA-256 over the MAC of the V
// payload of its Ticket Data.
using TicketId = std::array<std::uint8_t, 16>;
Result<TicketId> ticket_id(const TicketView& ticket);
Result<TicketId> ticket_id_of_mac(Bytes mac);

}  // namespace keystub::mikey
