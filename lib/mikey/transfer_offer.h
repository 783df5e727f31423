// Ticket Transfer, the initiator's side (RFC 6043 4.2.2). transfer_exchange.h shows both sides.
#pragma once

#include <memory>

#include "mikey/crypto_session_bundle.h"

namespace keystub::mikey {

struct OfferParameters {
  Identity initiator;  // IDRi
  Identity responder;  // IDRr: whom the offer is for
  // Each points with its SPI to a key of the ticket or of `keys`; the responder may have to choose
  // where the SPI is empty.
  std::vector<CryptoSession> sessions;
  std::vector<SecurityPolicy> policies;
  // The SDP IDs extension (RFC 4567 4.1.4); empty: left out.
  std::string sdp_ids;
  // With key forking only a responder that the KMS authorised can answer. It must be named in the
  // ticket as well, unless the ticket names a group that it may be a member of.
  bool accept_group_members = false;
  // Session keys of our own, for content that is encrypted already (section 8); needs flag L. They
  // are not forked: whoever may resolve the ticket can read them (12.2).
  std::vector<SessionKey> keys = {};
  // What the answer may add of its own.
  AcceptedAdditions accepted = {};
  // CSB IDs of the bundles that we have with the responder already: the new one is another.
  std::vector<std::uint32_t> csb_ids_in_use = {};
  // RANDRi of a group whose key is a TGK or GTGK: the same in all its Ticket Transfers, each with a
  // ticket of its own (section 9). At least as long as the longest key; needs G = 0, since RANDRr
  // would differ. Empty: fresh.
  ByteVector group_randr_i = {};
};

// One TLS crypto session as in TS 33.328: CS ID 1, no SP, keyed by the ticket's first session key.
std::vector<CryptoSession> tls_session(const std::vector<SessionKey>& keys,
                                       ProtType prot_type = ProtType::tls);

// Keeps the ticket until the last answer is judged.
class TransferOffer {
 public:
  // Builds TRANSFER_INIT (draws CSB ID, again if it is in use, then RANDRi). A ticket without flag
  // J is used up by this (conflict if it was before).
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
  // the caller to check against EstablishedTransfer::peer, before any key leaves. An answer that
  // comes twice is judged once. A MIKEY Error message instead becomes a failure that names its
  // number and says whether it was authenticated.
  Result<EstablishedTransfer> accept(Bytes transfer_resp,
                                     ErrorsTaken errors = ErrorsTaken::all) const;
  // The keys where the policy forbids an answer (F = 0; conflict otherwise).
  Result<EstablishedTransfer> complete() const;

  // Reads an Error message about our TRANSFER_INIT.
  Result<ReceivedError> read_error(Bytes error) const;
  // An authenticated Error message about a genuine TRANSFER_RESP.
  Result<ByteVector> refuse(const Environment& env, Bytes transfer_resp,
                            const Refusal& refusal) const;

 private:
  struct GenuineAnswer;

  TransferOffer(std::shared_ptr<const GrantedTicket> ticket, OfferParameters parameters)
      : ticket_(std::move(ticket)), parameters_(std::move(parameters)) {}

  Result<void> check_parameters() const;
  Result<void> build(const Environment& env);
  Result<GenuineAnswer> authenticate(Bytes transfer_resp) const;
  // All that the bundle has from our side.
  BundleState bundle_state() const;

  std::shared_ptr<const GrantedTicket> ticket_;
  OfferParameters parameters_;
  ByteVector message_;
  ByteVector randr_i_;
  Timestamp t_;
  std::uint32_t csb_id_ = 0;
};

}  // namespace keystub::mikey
