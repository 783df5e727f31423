// Ticket Request (RFC 6043 4.2.1), PSK variant: the initiator asks the KMS for a ticket and keys.
//
//   initiator  TicketRequest::start -> message()  ...  finish(REQUEST_RESP) -> GrantedTicket
//   KMS        ReceivedRequest::parse -> authenticate(PSK) -> AuthenticatedRequest
//                -> grant(policy, keys, TPK) -> octets, or refuse(number) -> octets
#pragma once

#include "mikey/error_message.h"

namespace keystub::mikey {

// Initiator's side.
class TicketRequest {
 public:
  // Builds REQUEST_INIT with a fresh CSB ID, T and RANDRi (drawn in this order: CSB ID, RANDRi).
  // `wish` is the desired policy, whose keys are asked for in its KEMAC; `credentials` must outlive
  // the exchange.
  static Result<TicketRequest> start(const Environment& env, const KmsCredentials& credentials,
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
  TicketRequest(const KmsCredentials& credentials, TicketPolicy wish)
      : credentials_(&credentials), wish_(std::move(wish)) {}

  const KmsCredentials* credentials_;
  TicketPolicy wish_;
  ByteVector message_;
  ByteVector randr_i_;
  std::uint32_t csb_id_ = 0;
};

// A mode 3 ticket (RFC 6043 4.1.1): issued by the initiator under a TPK that it shares with the
// KMS. Draws from env.random as make_ticket_keys does. The policy's flags must have D clear and L
// set.
Result<GrantedTicket> issue_ticket(const Environment& env, TicketPolicy policy,
                                   const TicketProtection& protection);

// KMS's side, step 2: the sender is authenticated.
class AuthenticatedRequest {
 public:
  const Message& message() const noexcept { return message_; }
  const TicketPolicy& wish() const noexcept { return wish_; }
  const Suite& suite() const noexcept { return suite_of(message_.header.prf); }

  // REQUEST_RESP with a ticket under `protection`: `granted` without keys (they are in `keys`).
  // Draws MPK SPI, MPK, session keys, ticket RAND; reads the clock for the ticket's T, then for
  // the message's T.
  struct Grant {
    ByteVector message;
    TicketId ticket_id;
  };
  Result<Grant> grant(const Environment& env, TicketPolicy granted,
                      const std::vector<KeyWish>& keys, const TicketProtection& protection) const;

  // An authenticated Error message about the REQUEST_INIT.
  Result<ByteVector> refuse(const Environment& env, const Refusal& refusal) const;
  // Reads an Error message about our REQUEST_RESP.
  Result<ReceivedError> read_error(Bytes error) const;

 private:
  friend class ReceivedRequest;
  AuthenticatedRequest(Message message, TicketPolicy wish, Psk psk, Identity kms)
      : message_(std::move(message)),
        wish_(std::move(wish)),
        psk_(std::move(psk)),
        kms_(std::move(kms)) {}

  Message message_;
  TicketPolicy wish_;
  Psk psk_;
  Identity kms_;
};

// KMS's side, step 1: parsed; everything in it is a claim. The octets must outlive both steps.
class ReceivedRequest {
 public:
  // Refuses what cannot be a REQUEST_INIT_PSK: payloads missing, suites mixed, contradicting
  // flags. Whether T is fresh, and of a type that can be, is for the caller to check.
  static Result<ReceivedRequest> parse(Bytes request_init);

  const Message& message() const noexcept { return message_; }
  const TicketPolicy& wish() const noexcept { return wish_; }
  const Timestamp& t() const noexcept { return *message_.t; }
  Bytes mac() const noexcept { return message_.v->mac; }

  // Verifies the MAC with the PSK of `initiator`. `kms` is the identity of this KMS.
  Result<AuthenticatedRequest> authenticate(const Psk& psk, const Identity& initiator,
                                            const Identity& kms) const;

 private:
  ReceivedRequest(Message message, TicketPolicy wish)
      : message_(std::move(message)), wish_(std::move(wish)) {}

  Message message_;
  TicketPolicy wish_;
};

}  // namespace keystub::mikey
