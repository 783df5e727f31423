// Ticket Transfer, the responder's side (RFC 6043 4.2.2). transfer_exchange.h shows both sides.
#pragma once

#include "mikey/crypto_session_bundle.h"
#include "mikey/resolve_exchange.h"

namespace keystub::mikey {

// What a responder accepts without asking the KMS (RFC 6043 4.2.2.2, early reject).
struct ResponderProfile {
  std::vector<Identity> own_identities;  // any of them may be meant
  std::vector<std::string>
      group_patterns;  // "sip:*@groups.example.com": groups to ask the KMS about
  bool accept_128_bit_suite = false;
  bool require_forking = true;
  // Crypto sessions: exactly one, TLS.
  bool require_single_tls_session = true;
  // Session keys from the initiator, in a KEMAC of TRANSFER_INIT.
  bool accept_initiator_keys = false;
  // Tickets that demand rekeying (TRr): whoever accepts them renews keys in time, by CSB updating.
  bool accept_rekeying = false;
};

struct ResponseParameters {
  // IDRr where RESOLVE_RESP named none (no key forking).
  Identity responder;
  // Each settled: one policy (TLS: at most one), an SPI, Session Data for SRTP. Empty: those of
  // TRANSFER_INIT, with the first of several policies, and the first key where the SPI is empty.
  std::vector<CryptoSession> sessions;
  // Our own; those of TRANSFER_INIT can be named without being repeated.
  std::vector<SecurityPolicy> policies;
  // Session keys of our own, for content that is encrypted already (section 8); needs flag M.
  std::vector<SessionKey> keys = {};
};

struct TransferAnswer {
  ByteVector message;  // TRANSFER_RESP; empty where the policy forbids one (F = 0)
  EstablishedTransfer established;
};

// A resolved ticket that is kept, so that a later Ticket Transfer with it costs no Ticket Resolve
// (RFC 6043 5.3): the keys stay bound to the same IDRr and RANDRkms.
class KeptTicket {
 public:
  const ResolvedTicket& resolved() const noexcept { return resolved_; }

 private:
  friend class ReceivedTransfer;
  friend class VerifiedTransfer;
  KeptTicket(ByteVector body, ResolvedTicket resolved)
      : body_(std::move(body)), resolved_(std::move(resolved)) {}

  ByteVector body_;
  ResolvedTicket resolved_;
};

// Step 2: resolved and genuine. The octets must outlive it.
class VerifiedTransfer {
 public:
  const Message& message() const noexcept { return message_; }
  const TicketPolicy& policy() const noexcept { return policy_; }
  // The caller, from the Ticket Policy.
  const Identity& initiator() const noexcept { return *policy_.idr_i; }

  // Builds TRANSFER_RESP (draws RANDRr where G is set) and derives the session keys. Without an
  // answer (F = 0) all is as TRANSFER_INIT says, and parameters that would change it are refused.
  Result<TransferAnswer> respond(const Environment& env, ResponseParameters parameters) const;
  // An authenticated Error message about the TRANSFER_INIT.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;

  // The ticket for later; denied where the policy forbids reuse (J = 0).
  Result<KeptTicket> keep_ticket() const;

 private:
  friend class ReceivedTransfer;
  VerifiedTransfer(Message message, TicketPolicy policy, ResolvedTicket ticket, Identity meant)
      : message_(std::move(message)),
        policy_(std::move(policy)),
        ticket_(std::move(ticket)),
        meant_(std::move(meant)) {}

  std::size_t longest_key() const noexcept;  // of MPKi, TGKs and GTGKs
  Result<std::vector<CryptoSession>> settle_sessions(const ResponseParameters& parameters) const;
  BundleState bundle_state() const;

  Message message_;
  TicketPolicy policy_;
  ResolvedTicket ticket_;
  Identity meant_;  // IDRr of TRANSFER_INIT, or who it was meant for
  std::vector<SessionKey> initiator_keys_;
};

// Step 1: parsed; everything in it is a claim. The octets must outlive both steps.
class ReceivedTransfer {
 public:
  static Result<ReceivedTransfer> parse(Bytes transfer_init);

  const Message& message() const noexcept { return message_; }
  const TicketPolicy& claimed_policy() const noexcept { return policy_; }
  const TicketView& ticket() const noexcept { return *message_.ticket; }
  const Timestamp& t() const noexcept { return *message_.t; }
  Bytes mac() const noexcept { return message_.v->mac; }

  // Refuses, without a call to the KMS, what the message itself rules out: ticket type, O = 0,
  // flags against 6.10, outside TRs to TRe, suite, crypto sessions, keys of the initiator's, Vi
  // different from V, no IDRr that names us. Passing proves nothing.
  Result<void> check_early(const ResponderProfile& profile, WallTime now) const;

  // Names the TPK, for modes 2 and 4; absent: it has to be known.
  Result<std::optional<IdentityView>> tpk_id() const;
  // Mode 2: the KMS issued the ticket (D = 1) under a TPK that it shares with us, and leaves the
  // opening to us (E = 0; denied otherwise).
  Result<ResolvedTicket> open_from_kms(const Tpk& tpk) const;
  // Mode 4: the ticket was issued (D = 0) under a TPK that `initiator` shares with us; its IDRi
  // must be that one.
  Result<ResolvedTicket> open_from_initiator(const Tpk& tpk, const Identity& initiator) const;

  // With the keys from the KMS (or from open_…): verifies the MAC with MPKi, with key forking that
  // it equals the one in Vi, and that IDRi of the Ticket Policy is present and the IDRi of the
  // message. `responder`: the identity that TRANSFER_INIT was meant for where it has no IDRr.
  Result<VerifiedTransfer> verify(ResolvedTicket resolved, const Identity& responder) const;
  // With a ticket from an earlier Ticket Transfer; not_found if this one has another: resolve it.
  Result<VerifiedTransfer> verify(const KeptTicket& kept, const Identity& responder) const;

 private:
  ReceivedTransfer(Message message, TicketPolicy policy)
      : message_(std::move(message)), policy_(std::move(policy)) {}

  Result<ResolvedTicket> open(const Tpk& tpk) const;

  Message message_;
  TicketPolicy policy_;
};

}  // namespace keystub::mikey
