// A call of the published vectors (lib/mikey/vectors): an initiator, a responder and their KMS, all
// made of the library, play it from the inputs that the file gives. Nothing else goes in, so that
// whatever comes out can be made again by anyone.
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "mikey/protection.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"

namespace keystub::vectors {

// Keeps the order of its members: the file is written in the order in which it is read.
using Json = nlohmann::ordered_json;

inline ByteVector octets(const Json& hex) { return from_hex(hex.get<std::string>()).value(); }

// What a receiver has or knows instead of what the call gives it: "psk_i", "psk_r", "tpk" (keys),
// "identity" (its own), "trust_anchor" (a certificate, by name), "now" (NTP). An object of the
// file, or null.
using Instead = Json;

// The certificates and RSA keys of the file, by name: made once, for tests alone.
const Json& test_keys();

class Call {
 public:
  // Plays it all. `inputs` as in the file; throws std::runtime_error where a step is refused.
  explicit Call(const Json& inputs);
  Call(const Call&) = delete;  // its exchanges point into it
  Call& operator=(const Call&) = delete;

  // By name, in the order of the call. Without Ticket Request in mode 3, without TRANSFER_RESP
  // where the policy wants none.
  const std::deque<std::pair<std::string, ByteVector>>& messages() const { return messages_; }
  const ByteVector& message(const std::string& name) const;
  bool has(const std::string& name) const;
  // The keys of each message and of the ticket; what the parties end with. As in the file.
  Json message_keys() const;
  Json results() const;

  const mikey::Suite& suite() const { return *suite_; }
  bool uses_certificates(const std::string& message) const;
  bool forking() const { return ticket_->policy.flags.has(mikey::TicketFlag::i_forking); }
  // "initiator", "responder", "kms": the party that receives a message.
  static std::string receiver_of(const std::string& message);
  const mikey::Identity& identity(const std::string& role) const { return identities_.at(role); }
  mikey::MessageKeys keys_of(const std::string& message, mikey::Protects protects) const;
  // Of a message that is no longer what it was. `own_rand`: what an initial message has now.
  mikey::AuthKey auth_key_of(const std::string& message, std::optional<Bytes> own_rand) const;

  // What the receiver of the message `name` says when these octets come instead.
  Result<void> receive(const std::string& name, Bytes instead_of_it, const Instead& instead) const;

  // The Error message that the receiver of `about` sends with this T; under the auth_key of `about`
  // or without V.
  Result<ByteVector> error(const std::string& about, const Json& t, const mikey::Refusal& refusal,
                           bool authenticated) const;
  // What the sender of `about` makes of it.
  Result<mikey::ReceivedError> read_error(const std::string& about, Bytes octets) const;

 private:
  void play_request();
  void issue();
  void play_transfer();
  void play_resolve(const mikey::ReceivedTransfer& received);
  void play_again();
  const ByteVector& add(const std::string& name, ByteVector message);

  class Step;

  mikey::KmsCredentials psk_credentials(const std::string& role, const Json& psk) const;
  mikey::PkCredentials pk_credentials(const std::string& role, const Json& pk) const;
  mikey::TicketProtection protection() const;
  mikey::TicketPolicy policy(const Json& json) const;
  std::vector<mikey::CryptoSession> sessions(const char* which) const;
  std::vector<mikey::SessionKey> supplied_keys(const char* which) const;
  std::vector<mikey::SecurityPolicy> security_policies() const;
  ByteVector ticket_randomness() const;
  Bytes inkey_of(const std::string& message) const;
  mikey::MessageContext context_of(const std::string& message) const;

  Result<mikey::AuthenticatedRequest> authenticate_request(Bytes request_init,
                                                           const Instead& instead) const;
  Result<mikey::AuthenticatedResolve> authenticate_resolve(Bytes resolve_init,
                                                           const Instead& instead) const;
  Result<mikey::OpenedResolve> open(Bytes resolve_init, const Instead& instead) const;
  mikey::TransferOffer offer(const Json& transfer) const;
  mikey::TransferAnswer answer(const mikey::VerifiedTransfer& verified, const Json& transfer) const;
  // What opens the ticket of an offer: the KMS, or a TPK of the responder's own (modes 2 and 4).
  Result<mikey::ResolvedTicket> resolve(const mikey::ReceivedTransfer& received,
                                        const Instead& instead) const;
  Result<mikey::TicketResolve> start_resolve(const mikey::TicketView& ticket) const;
  Result<void> kms_receives_request(Bytes octets, const Instead& instead) const;
  Result<void> kms_receives_resolve(Bytes octets, const Instead& instead) const;
  // `kept`: the ticket is known; otherwise it is resolved.
  Result<void> responder_receives_offer(Bytes octets, const Instead& instead,
                                        const mikey::KeptTicket* kept) const;

  Json inputs_;
  const mikey::Suite* suite_;
  mikey::TsType ts_type_;
  std::map<std::string, mikey::Identity> identities_;
  // How each end is known to the KMS: one of the two.
  std::optional<mikey::KmsCredentials> initiator_psk_;
  std::optional<mikey::KmsCredentials> responder_psk_;
  std::optional<mikey::PkCredentials> initiator_pk_;
  std::optional<mikey::PkCredentials> responder_pk_;
  // What the Ticket Request and the Ticket Resolve are protected with: the PSK or the envelope key.
  ByteVector request_key_;
  ByteVector resolve_key_;
  // Octets stay where they are: parsed messages are views into them.
  std::deque<std::pair<std::string, ByteVector>> messages_;
  std::optional<mikey::TicketRequest> request_;
  std::optional<mikey::AuthenticatedRequest> authenticated_request_;
  std::shared_ptr<const mikey::GrantedTicket> ticket_;
  std::optional<mikey::TransferOffer> offer_;
  std::optional<mikey::TicketResolve> resolve_;
  std::optional<mikey::AuthenticatedResolve> authenticated_resolve_;
  std::optional<mikey::OpenedResolve> opened_resolve_;
  mikey::Mpk mpkr_forked_;
  std::vector<mikey::SessionKey> forked_keys_;
  std::optional<mikey::VerifiedTransfer> verified_;
  std::optional<mikey::EstablishedTransfer> answered_;   // the responder's
  std::optional<mikey::EstablishedTransfer> completed_;  // the initiator's
  // The second Ticket Transfer.
  std::optional<mikey::KeptTicket> kept_;
  std::optional<mikey::TransferOffer> offer_2_;
  std::optional<mikey::EstablishedTransfer> answered_2_;
};

}  // namespace keystub::vectors
