// The inside of a CryptoSessionBundle, and the rules for crypto sessions, their policies and keys
// that Ticket Transfer and CSB updating share (RFC 6043 4.2.2, 5.1.3, 5.2, 6.1.1). Internal to the
// library.
#pragma once

#include "mikey/crypto_session_bundle.h"
#include "mikey/exchange_rules.h"
#include "mikey/timestamp_memory.h"

namespace keystub::mikey {

// What a bundle consists of, and what updates change.
struct BundleContents {
  std::vector<SessionKey> keys;  // all that the bundle ever got, forked where they had to be
  std::vector<CryptoSession> sessions;
  std::vector<SecurityPolicy> policies;

  BundleContents clone() const;
};

struct BundleState {
  CsbRole role = CsbRole::initiator;  // ours
  std::uint32_t csb_id = 0;
  PrfFunc prf = PrfFunc::hmac_sha_256;
  TicketFlags flags;
  // The parties, as the MACs of updates cover them (reading A7): IDRr of TRANSFER_RESP if there was
  // one.
  Identity initiator;
  Identity responder;

  // What the keys of updates come from: those of the last message of the initial exchange (5.2).
  Mpk mpk;                      // MPKi or MPKr'
  bool after_response = false;  // that message was a TRANSFER_RESP
  ByteVector randr_i;
  ByteVector randr_r;  // empty without flag G
  ByteVector randr_kms;
  ByteVector ticket;  // from Ticket Type to the end of Ticket Data

  BundleContents contents;
  TimestampMemory timestamps;
  // The update that we sent and that has no answer yet; 0: none. No two have the same number.
  std::uint64_t update_under_way = 0;
  std::uint64_t updates_sent = 0;

  const Identity& self() const noexcept {
    return role == CsbRole::initiator ? initiator : responder;
  }
  const Identity& peer() const noexcept {
    return role == CsbRole::initiator ? responder : initiator;
  }
  Result<MessageKeys> message_keys(const Suite& suite, Protects protects) const;
  // The key of each of `which` among those of `from`, the bundle's contents or what an update would
  // make of them. `message` is to blame if one has none.
  Result<std::vector<EstablishedSession>> derive(const BundleContents& from,
                                                 const std::vector<CryptoSession>& which,
                                                 std::string_view message) const;
};

// A completed Ticket Transfer: derives the keys of all its crypto sessions. `message` settled them,
// `mac` is its MAC.
Result<EstablishedTransfer> establish(BundleState state, std::string_view message, Bytes mac);

// --- Crypto sessions and their policies
// -----------------------------------------------------------

// The crypto sessions of a message, which must be in a GENERIC-ID map. Two with one CS ID are
// refused, and SRTP Session Data that is not as long as it must be.
Result<std::vector<CryptoSession>> read_crypto_sessions(const Message& message);
// The same rules for what we are about to send.
Result<void> check_crypto_sessions(const std::vector<CryptoSession>& sessions,
                                   std::string_view message);

// The SP payloads of a message. Two with one number are refused.
Result<std::vector<SecurityPolicy>> read_policies(const Message& message);

// `earlier` and `later` together: a number that both use means the later one (reading A21).
std::vector<SecurityPolicy> overlay(std::vector<SecurityPolicy> earlier,
                                    const std::vector<SecurityPolicy>& later);

// Every policy number of the sessions names a policy of the session's Prot type (6.1.1).
Result<void> check_policies(const std::vector<CryptoSession>& sessions,
                            const std::vector<SecurityPolicy>& known, std::string_view message);

// What a message has to settle after which no answer comes, TRANSFER_RESP above all: exactly one
// policy per session (TLS: one or none, reading A22), an SPI, and Session Data for SRTP (6.1.1).
Result<void> check_settled(const std::vector<CryptoSession>& sessions, std::string_view message);

// What an answer may do with the sessions that were offered: each is there with its Prot type, and
// more only where `accepted` lets them. Its policies are offered ones, or newly `made` ones where
// `accepted` lets them; a policy for TLS says nothing and is let through.
Result<void> check_answer(const std::vector<CryptoSession>& answered,
                          const std::vector<CryptoSession>& offered,
                          const std::vector<SecurityPolicy>& made,
                          const AcceptedAdditions& accepted, std::string_view message);

// The crypto sessions of an answer, settled: the `chosen` ones or, where nothing was chosen, the
// `offered` ones with the first of several policies. One without SPI gets `first_key` (may be
// null).
std::vector<CryptoSession> settle(const std::vector<CryptoSession>& chosen,
                                  const std::vector<CryptoSession>& offered,
                                  const SessionKey* first_key);

// --- Session keys
// ---------------------------------------------------------------------------------

// A side may supply session keys only where the Ticket Policy says so: L the initiator, M the
// responder (readings A8).
Result<void> check_may_supply(TicketFlags flags, CsbRole supplier, Place place);

// Keys that we are about to send: an SPI each, 128 bits or more, a salt where the type has one, not
// too long for the suite.
Result<void> check_supplied_keys(const Suite& suite, const std::vector<SessionKey>& keys);

// The KEMAC of a TRANSFER_INIT or TRANSFER_RESP, whose sender plays `sender` in the bundle, opened:
// one session key or more and no MPK (5.2).
Result<std::vector<SessionKey>> open_supplied_keys(const Suite& suite, const MessageKeys& keys,
                                                   TicketFlags flags, CsbRole sender,
                                                   const AcceptedAdditions& accepted,
                                                   const Message& message);

// Adds keys to a bundle's. An SPI that another key has is refused: a crypto session could not tell
// the two apart. A key that is there already is let through: an answer may be lost, and the key be
// sent again. `place` names the message to blame.
Result<void> add_keys(std::vector<SessionKey>& keys, std::vector<SessionKey> more, Place place);

std::vector<SessionKey> clone(const std::vector<SessionKey>& keys);

}  // namespace keystub::mikey
