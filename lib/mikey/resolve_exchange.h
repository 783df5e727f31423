// Ticket Resolve (RFC 6043 4.2.3): the responder has the KMS open a ticket. The two variants
// differ in how the responder proves who it is: by pre-shared key or by certificate.
//
//   responder  TicketResolve::start -> message()  ...  finish(RESOLVE_RESP) -> ResolvedTicket
//   KMS        ReceivedResolve::parse -> authenticate(PSK or certificates) -> AuthenticatedResolve
//                -> open(TPK) -> OpenedResolve -> respond(identity) -> octets
#pragma once

#include "mikey/error_message.h"
#include "mikey/public_key/credentials.h"

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
  // Builds RESOLVE_INIT_PSK about the TICKET of a TRANSFER_INIT (draws CSB ID, then RANDRr). The
  // PRF is the ticket's.
  static Result<TicketResolve> start(const Environment& env, const KmsCredentials& credentials,
                                     const TicketView& ticket);
  // The same with RESOLVE_INIT_PK (draws CSB ID, RANDRr, envelope key, padding of PKE).
  static Result<TicketResolve> start(const Environment& env, const PkCredentials& credentials,
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
  TicketResolve() = default;

  template <class Credentials>
  static Result<TicketResolve> build(const Environment& env, DataType type,
                                     const Credentials& credentials, const TicketView& ticket);

  SharedPrf key_;  // with the exchange key
  ByteVector message_;
  ByteVector randr_r_;
  std::uint32_t csb_id_ = 0;
  PrfFunc prf_ = PrfFunc::hmac_sha_256;
  bool forking_ = false;
};

// A RESOLVE_INIT as it was read. The steps of the KMS share it.
struct ResolveInit {
  Message message;
  TicketPolicy policy;
  TicketDataView ticket_data;
};

// KMS's side, step 3: the ticket is genuine and open; with key forking Vr is verified, so that the
// TRANSFER_INIT is known to come from the ticket's owner.
class OpenedResolve {
 public:
  const Message& message() const noexcept { return init_->message; }
  // The ticket's policy, now trustworthy.
  const TicketPolicy& policy() const noexcept { return init_->policy; }
  const Timestamp& issued_at() const noexcept { return ticket_.issued_at; }
  // Of the ticket's V: ticket_id_of_mac() makes its name of it.
  Bytes ticket_mac() const noexcept { return init_->ticket_data.mac; }

  // RESOLVE_RESP for `responder`, the individual that answered; with key forking the keys are
  // bound to it (draws RANDRkms). Reads the clock for T.
  Result<ByteVector> respond(const Environment& env, const Identity& responder) const;
  // Reads an Error message about our RESOLVE_RESP.
  Result<ReceivedError> read_error(Bytes error) const;

 private:
  friend class AuthenticatedResolve;
  OpenedResolve(std::shared_ptr<const ResolveInit> init, OpenedTicket ticket, SharedPrf key,
                Identity kms)
      : init_(std::move(init)),
        ticket_(std::move(ticket)),
        key_(std::move(key)),
        kms_(std::move(kms)) {}

  std::shared_ptr<const ResolveInit> init_;
  OpenedTicket ticket_;
  SharedPrf key_;  // with the exchange key
  Identity kms_;
};

// KMS's side, step 2: the sender is authenticated, the ticket still closed.
class AuthenticatedResolve {
 public:
  const Message& message() const noexcept { return init_->message; }
  // Claims until open().
  const TicketPolicy& claimed_policy() const noexcept { return init_->policy; }
  // Names the TPK; absent: the KMS has to know.
  std::optional<IdentityView> tpk_id() const noexcept { return init_->ticket_data.idr_psk; }

  Result<OpenedResolve> open(const Prepared<Tpk>& tpk) const;
  // An authenticated Error message about the RESOLVE_INIT.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;

 private:
  friend class ReceivedResolve;
  AuthenticatedResolve(std::shared_ptr<const ResolveInit> init, SharedPrf key, Identity kms)
      : init_(std::move(init)), key_(std::move(key)), kms_(std::move(kms)) {}

  std::shared_ptr<const ResolveInit> init_;
  SharedPrf key_;  // with the exchange key
  Identity kms_;
};

// KMS's side, step 1: parsed; everything in it is a claim. The octets must outlive all steps.
class ReceivedResolve {
 public:
  // Refuses what can be neither a RESOLVE_INIT_PSK nor a RESOLVE_INIT_PK (the type is in
  // message().header). Whether T is fresh, and of a type that can be, is for the caller to check.
  static Result<ReceivedResolve> parse(Bytes resolve_init);
  // The same of a message that is parsed already.
  static Result<ReceivedResolve> from(const Message& message);

  const Message& message() const noexcept { return init_->message; }
  const TicketPolicy& claimed_policy() const noexcept { return init_->policy; }
  std::optional<IdentityView> tpk_id() const noexcept { return init_->ticket_data.idr_psk; }
  const Timestamp& t() const noexcept { return *init_->message.t; }
  // The MAC or signature: names the message in a replay cache (RFC 6043 12.4).
  Bytes proof() const noexcept { return init_->message.proof(); }

  // As ReceivedRequest::authenticate, for `responder`, who is IDRr if that is there.
  Result<AuthenticatedResolve> authenticate(const Prepared<Psk>& psk, const Identity& responder,
                                            const Identity& kms) const;
  Result<AuthenticatedResolve> authenticate(const PkAuthentication& pk, const Identity& responder,
                                            const Identity& kms) const;

 private:
  explicit ReceivedResolve(std::shared_ptr<const ResolveInit> init) : init_(std::move(init)) {}

  std::shared_ptr<const ResolveInit> init_;
};

}  // namespace keystub::mikey
