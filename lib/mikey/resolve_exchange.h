// Ticket Resolve (RFC 6043 4.2.3), PSK variant: the responder has the KMS open a ticket.
//
//   responder  TicketResolve::start -> message()  ...  finish(RESOLVE_RESP) -> ResolvedTicket
//   KMS        ReceivedResolve::parse -> authenticate(PSK) -> AuthenticatedResolve
//                -> open(TPK) -> OpenedResolve -> respond(identity) -> octets
#pragma once

#include "mikey/error_message.h"

namespace keystub::mikey {

// What the KMS returns to an authorised responder.
struct ResolvedTicket {
  Mpk mpki;
  Mpk mpkr_forked;                       // MPKr'; empty without key forking
  std::vector<SessionKey> session_keys;  // TGKs are forked already
  std::optional<Identity> idr_r;         // with key forking: the identity that the keys are for
  ByteVector randr_kms;                  // with key forking
};

// Responder's side.
class TicketResolve {
 public:
  // Builds RESOLVE_INIT about the TICKET of a TRANSFER_INIT (draws CSB ID, then RANDRr). The PRF
  // is the ticket's. `credentials` must outlive the exchange.
  static Result<TicketResolve> start(const Environment& env, const KmsCredentials& credentials,
                                     const TicketView& ticket);

  // RESOLVE_INIT.
  Bytes message() const noexcept { return message_; }

  // Verifies RESOLVE_RESP and takes out the keys. A MIKEY Error message instead becomes a failure
  // that names its number and says whether it was authenticated.
  Result<ResolvedTicket> finish(Bytes resolve_resp, ErrorsTaken errors = ErrorsTaken::all) const;

  // Reads an Error message about our RESOLVE_INIT.
  Result<ReceivedError> read_error(Bytes error) const;
  // An authenticated Error message about the KMS's RESOLVE_RESP.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;

 private:
  explicit TicketResolve(const KmsCredentials& credentials) : credentials_(&credentials) {}

  const KmsCredentials* credentials_;
  ByteVector message_;
  ByteVector randr_r_;
  std::uint32_t csb_id_ = 0;
  PrfFunc prf_ = PrfFunc::hmac_sha_256;
  bool forking_ = false;
};

// KMS's side, step 3: the ticket is genuine and open; with key forking Vr is verified, so that the
// TRANSFER_INIT is known to come from the ticket's owner.
class OpenedResolve {
 public:
  const Message& message() const noexcept { return message_; }
  // The ticket's policy, now trustworthy.
  const TicketPolicy& policy() const noexcept { return policy_; }
  const Timestamp& issued_at() const noexcept { return ticket_.issued_at; }
  const TicketId& ticket_id() const noexcept { return ticket_id_; }

  // RESOLVE_RESP for `responder`, the individual that answered; with key forking the keys are
  // bound to it (draws RANDRkms). Reads the clock for T.
  Result<ByteVector> respond(const Environment& env, const Identity& responder) const;
  // Reads an Error message about our RESOLVE_RESP.
  Result<ReceivedError> read_error(Bytes error) const;

 private:
  friend class AuthenticatedResolve;
  OpenedResolve(Message message, TicketPolicy policy, OpenedTicket ticket, TicketId id, Psk psk,
                Identity kms)
      : message_(std::move(message)),
        policy_(std::move(policy)),
        ticket_(std::move(ticket)),
        ticket_id_(id),
        psk_(std::move(psk)),
        kms_(std::move(kms)) {}

  Message message_;
  TicketPolicy policy_;
  OpenedTicket ticket_;
  TicketId ticket_id_;
  Psk psk_;
  Identity kms_;
};

// KMS's side, step 2: the sender is authenticated, the ticket still closed.
class AuthenticatedResolve {
 public:
  const Message& message() const noexcept { return message_; }
  // Claims until open().
  const TicketPolicy& claimed_policy() const noexcept { return policy_; }
  // Names the TPK; absent: the KMS has to know.
  std::optional<IdentityView> tpk_id() const noexcept { return ticket_data_.idr_psk; }

  Result<OpenedResolve> open(const Tpk& tpk) const;
  // An authenticated Error message about the RESOLVE_INIT.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;

 private:
  friend class ReceivedResolve;
  AuthenticatedResolve(Message message, TicketPolicy policy, TicketDataView data, Psk psk,
                       Identity kms)
      : message_(std::move(message)),
        policy_(std::move(policy)),
        ticket_data_(data),
        psk_(std::move(psk)),
        kms_(std::move(kms)) {}

  Message message_;
  TicketPolicy policy_;
  TicketDataView ticket_data_;
  Psk psk_;
  Identity kms_;
};

// KMS's side, step 1: parsed; everything in it is a claim. The octets must outlive all steps.
class ReceivedResolve {
 public:
  static Result<ReceivedResolve> parse(Bytes resolve_init);

  const Message& message() const noexcept { return message_; }
  const TicketPolicy& claimed_policy() const noexcept { return policy_; }
  std::optional<IdentityView> tpk_id() const noexcept { return ticket_data_.idr_psk; }
  const Timestamp& t() const noexcept { return *message_.t; }
  Bytes mac() const noexcept { return message_.v->mac; }

  // Verifies the MAC with the PSK of `responder`. `kms` is the identity of this KMS.
  Result<AuthenticatedResolve> authenticate(const Psk& psk, const Identity& responder,
                                            const Identity& kms) const;

 private:
  ReceivedResolve(Message message, TicketPolicy policy, TicketDataView data)
      : message_(std::move(message)), policy_(std::move(policy)), ticket_data_(data) {}

  Message message_;
  TicketPolicy policy_;
  TicketDataView ticket_data_;
};

}  // namespace keystub::mikey
