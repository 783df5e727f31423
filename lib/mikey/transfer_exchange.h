// Ticket Transfer (RFC 6043 4.2.2): the ticket travels from initiator to responder, and both end
// with the same keys.
//
//   initiator  TransferOffer::start(ticket) -> message()  ...  accept(TRANSFER_RESP) per answer
//   responder  ReceivedTransfer::parse -> check_early -> (TicketResolve) -> verify(ResolvedTicket)
//                -> VerifiedTransfer -> respond() -> octets and keys
#pragma once

#include <memory>

#include "mikey/resolve_exchange.h"

namespace keystub::mikey {

// The key of one crypto session.
struct EstablishedSession {
  std::uint8_t cs_id = 1;
  ProtType prot_type = ProtType::tls;
  ByteVector spi;
  Tek tek;
  SaltKey salt;  // as carried with the key; empty where none was
};

// A completed Ticket Transfer.
struct EstablishedTransfer {
  std::uint32_t csb_id = 0;
  // The other side, authenticated: IDRr of TRANSFER_RESP for the initiator, IDRi of the Ticket
  // Policy for the responder.
  Identity peer;
  std::vector<EstablishedSession> sessions;
  // MAC of TRANSFER_RESP (of TRANSFER_INIT where no response is sent): tells answers apart.
  ByteVector mac;
};

struct OfferParameters {
  Identity initiator;  // IDRi
  Identity responder;  // IDRr: whom the offer is for
  std::vector<CryptoSession> sessions;
  std::vector<SecurityPolicy> policies;
  // The SDP IDs extension (RFC 4567 4.1.4); empty: left out.
  std::string sdp_ids;
  // With key forking only a responder that the KMS authorised can answer. It must be named in the
  // ticket as well, unless the ticket names a group that it may be a member of.
  bool accept_group_members = false;
};

// One TLS crypto session as in TS 33.328: CS ID 1, no SP, keyed by the ticket's first session key.
std::vector<CryptoSession> tls_session(const std::vector<SessionKey>& keys,
                                       ProtType prot_type = ProtType::tls);

// Initiator's side. Keeps the ticket until the last answer is judged.
class TransferOffer {
 public:
  // Builds TRANSFER_INIT (draws CSB ID, then RANDRi).
  static Result<TransferOffer> start(const Environment& env,
                                     std::shared_ptr<const GrantedTicket> ticket,
                                     OfferParameters parameters);

  // TRANSFER_INIT.
  Bytes message() const noexcept { return message_; }
  std::uint32_t csb_id() const noexcept { return csb_id_; }
  const GrantedTicket& ticket() const noexcept { return *ticket_; }

  // Judges one answer (one offer may have several, RFC 6043 12.2): forks the keys with its IDRr and
  // RANDRkms, verifies the MAC, requires RANDRr where the policy does (G), and that IDRr is a
  // responder that the ticket authorises. Whether it is the one expected in this session is for
  // the caller to check against EstablishedTransfer::peer, before any key leaves.
  Result<EstablishedTransfer> accept(Bytes transfer_resp) const;

 private:
  TransferOffer(std::shared_ptr<const GrantedTicket> ticket, OfferParameters parameters)
      : ticket_(std::move(ticket)), parameters_(std::move(parameters)) {}

  std::shared_ptr<const GrantedTicket> ticket_;
  OfferParameters parameters_;
  ByteVector message_;
  ByteVector randr_i_;
  std::uint32_t csb_id_ = 0;
};

// What a responder accepts without asking the KMS (RFC 6043 4.2.2.2, early reject).
struct ResponderProfile {
  std::vector<Identity> own_identities;  // any of them may be meant
  std::vector<std::string>
      group_patterns;  // "sip:*@groups.example.com": groups to ask the KMS about
  bool accept_128_bit_suite = false;
  bool require_forking = true;
  // Crypto sessions: exactly one, TLS.
  bool require_single_tls_session = true;
};

struct ResponseParameters {
  // IDRr where RESOLVE_RESP named none (no key forking).
  Identity responder;
  // Empty: the sessions of TRANSFER_INIT, as they are.
  std::vector<CryptoSession> sessions;
  std::vector<SecurityPolicy> policies;
};

struct TransferAnswer {
  ByteVector message;  // TRANSFER_RESP; empty where the policy forbids one (F = 0)
  EstablishedTransfer established;
};

// Responder's side, step 2: resolved and genuine. The octets must outlive it.
class VerifiedTransfer {
 public:
  const Message& message() const noexcept { return message_; }
  const TicketPolicy& policy() const noexcept { return policy_; }
  // The caller, from the Ticket Policy.
  const Identity& initiator() const noexcept { return *policy_.idr_i; }

  // Builds TRANSFER_RESP (draws RANDRr where G is set) and derives the session keys.
  Result<TransferAnswer> respond(const Environment& env, ResponseParameters parameters) const;

 private:
  friend class ReceivedTransfer;
  VerifiedTransfer(Message message, TicketPolicy policy, ResolvedTicket ticket)
      : message_(std::move(message)), policy_(std::move(policy)), ticket_(std::move(ticket)) {}

  Message message_;
  TicketPolicy policy_;
  ResolvedTicket ticket_;
};

// Responder's side, step 1: parsed; everything in it is a claim. The octets must outlive both
// steps.
class ReceivedTransfer {
 public:
  static Result<ReceivedTransfer> parse(Bytes transfer_init);

  const Message& message() const noexcept { return message_; }
  const TicketPolicy& claimed_policy() const noexcept { return policy_; }
  const TicketView& ticket() const noexcept { return *message_.ticket; }
  const Timestamp& t() const noexcept { return *message_.t; }
  Bytes mac() const noexcept { return message_.v->mac; }

  // Refuses, without a call to the KMS, what the message itself rules out: ticket type, O = 0,
  // flags against 6.10, outside TRs to TRe, suite, crypto sessions, Vi different from V, no IDRr
  // that names us. Passing proves nothing.
  Result<void> check_early(const ResponderProfile& profile, WallTime now) const;

  // With the keys from the KMS: verifies the MAC with MPKi, with key forking that it equals the one
  // in Vi, and that IDRi of the Ticket Policy is present and the IDRi of the message.
  // `responder`: the identity that TRANSFER_INIT was meant for where it has no IDRr.
  Result<VerifiedTransfer> verify(ResolvedTicket resolved, const Identity& responder) const;

 private:
  ReceivedTransfer(Message message, TicketPolicy policy)
      : message_(std::move(message)), policy_(std::move(policy)) {}

  Message message_;
  TicketPolicy policy_;
};

}  // namespace keystub::mikey
