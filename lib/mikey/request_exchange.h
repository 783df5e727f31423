// Ticket Request (RFC 6043 4.2.1): the initiator asks the KMS for a ticket and keys. The two
// variants differ in how the initiator proves who it is: by pre-shared key or by certificate.
//
//   initiator  TicketRequest::start -> message()  ...  finish(REQUEST_RESP) -> GrantedTicket
//   KMS        ReceivedRequest::parse -> authenticate(PSK or certificates) -> AuthenticatedRequest
//                -> grant(policy, keys, TPK) -> octets, or refuse(number) -> octets
#pragma once

#include "mikey/error_message.h"
#include "mikey/public_key/credentials.h"

namespace keystub::mikey {

// Initiator's side.
class TicketRequest {
 public:
  // Builds REQUEST_INIT_PSK with a fresh CSB ID, T and RANDRi (drawn in this order: CSB ID,
  // RANDRi). `wish` is the desired policy, whose keys are asked for in its KEMAC.
  static Result<TicketRequest> start(const Environment& env, const KmsCredentials& credentials,
                                     TicketPolicy wish);
  // The same with REQUEST_INIT_PK (draws CSB ID, RANDRi, envelope key, padding of PKE).
  static Result<TicketRequest> start(const Environment& env, const PkCredentials& credentials,
                                     TicketPolicy wish);

  // REQUEST_INIT.
  Bytes message() const noexcept { return message_; }

  // Verifies REQUEST_RESP and takes out ticket and keys. The granted policy must be acceptable:
  // same ticket type and PRF, same flags but for J (may be taken away) and K, no wider validity,
  // no responder that was not wished for, IDRi (if present) the initiator. A MIKEY Error message
  // instead becomes a failure that names its number and says whether it was authenticated.
  Result<GrantedTicket> finish(Bytes request_resp, ErrorsTaken errors = ErrorsTaken::all) const;

  // Reads an Error message about our REQUEST_INIT.
  Result<ReceivedError> read_error(Bytes error) const;
  // An authenticated Error message about the KMS's REQUEST_RESP.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;

 private:
  TicketRequest(Identity self, TicketPolicy wish)
      : self_(std::move(self)), wish_(std::move(wish)) {}

  template <class Credentials>
  static Result<TicketRequest> build(const Environment& env, DataType type,
                                     const Credentials& credentials, TicketPolicy wish);

  Identity self_;
  TicketPolicy wish_;
  SharedPrf key_;  // with the exchange key
  ByteVector message_;
  ByteVector randr_i_;
  std::uint32_t csb_id_ = 0;
};

// A mode 3 ticket (RFC 6043 4.1.1): issued by the initiator under a TPK that it shares with the
// KMS. Draws from env.random as make_ticket_keys does. The policy's flags must have D clear and L
// set.
Result<GrantedTicket> issue_ticket(const Environment& env, TicketPolicy policy,
                                   const TicketProtection& protection);

// A REQUEST_INIT as it was read. The steps of the KMS share it.
struct RequestInit {
  Message message;
  TicketPolicy wish;
};

// KMS's side, step 2: the sender is authenticated.
class AuthenticatedRequest {
 public:
  const Message& message() const noexcept { return init_->message; }
  const TicketPolicy& wish() const noexcept { return init_->wish; }
  const Suite& suite() const noexcept { return suite_of(init_->message.header.prf); }

  // REQUEST_RESP with a ticket under `protection`: `granted` without keys (they are in `keys`).
  // Draws MPK SPI, MPK, session keys, ticket RAND; reads the clock for the ticket's T, then for
  // the message's T.
  struct Grant {
    ByteVector message;
    ByteVector ticket_mac;  // of the ticket's V: ticket_id_of_mac() makes its name of it
  };
  Result<Grant> grant(const Environment& env, TicketPolicy granted,
                      const std::vector<KeyWish>& keys, const TicketProtection& protection) const;

  // An authenticated Error message about the REQUEST_INIT.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;
  // Reads an Error message about our REQUEST_RESP.
  Result<ReceivedError> read_error(Bytes error) const;

 private:
  friend class ReceivedRequest;
  AuthenticatedRequest(std::shared_ptr<const RequestInit> init, SharedPrf key, Identity kms)
      : init_(std::move(init)), key_(std::move(key)), kms_(std::move(kms)) {}

  std::shared_ptr<const RequestInit> init_;
  SharedPrf key_;  // with the exchange key
  Identity kms_;
};

// KMS's side, step 1: parsed; everything in it is a claim. The octets must outlive both steps.
class ReceivedRequest {
 public:
  // Refuses what can be neither a REQUEST_INIT_PSK nor a REQUEST_INIT_PK (the type is in
  // message().header): payloads missing, suites mixed, contradicting flags, an envelope key that is
  // to be cached. Whether T is fresh, and of a type that can be, is for the caller to check.
  static Result<ReceivedRequest> parse(Bytes request_init);
  // The same of a message that is parsed already.
  static Result<ReceivedRequest> from(const Message& message);

  const Message& message() const noexcept { return init_->message; }
  const TicketPolicy& wish() const noexcept { return init_->wish; }
  const Timestamp& t() const noexcept { return *init_->message.t; }
  // The MAC or signature: names the message in a replay cache (RFC 6043 12.4).
  Bytes proof() const noexcept { return init_->message.proof(); }

  // Verifies the MAC with the PSK of `initiator`. `kms` is the identity of this KMS.
  // REQUEST_INIT_PK is refused (unauthenticated).
  Result<AuthenticatedRequest> authenticate(const Prepared<Psk>& psk, const Identity& initiator,
                                            const Identity& kms) const;
  // Validates the certificates of `initiator`, who is IDRi if that is there, then verifies the
  // signature, then opens the envelope key. REQUEST_INIT_PSK is refused (unauthenticated). A PKE
  // that does not open shows in nothing but that the initiator cannot read the answer.
  Result<AuthenticatedRequest> authenticate(const PkAuthentication& pk, const Identity& initiator,
                                            const Identity& kms) const;

 private:
  explicit ReceivedRequest(std::shared_ptr<const RequestInit> init) : init_(std::move(init)) {}

  std::shared_ptr<const RequestInit> init_;
};

}  // namespace keystub::mikey
