// Puts a message together payload by payload, keeps the Next Payload chain, and ends it with V or
// SIGN. A value that is too long for its length field makes the end_…() fail, and so does sp() in a
// message with the Empty map (RFC 4563 5).
#pragma once

#include "mikey/message.h"
#include "mikey/suite.h"

namespace keystub::mikey {

class MessageBuilder {
 public:
  // HDR with the Empty map.
  MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id);
  // HDR with the GENERIC-ID map of `sessions`, 255 at most and perhaps none.
  MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id,
                 const std::vector<CryptoSession>& sessions);
  // HDR as given; its Next Payload is set by what follows.
  explicit MessageBuilder(const Header& header);

  // Any payload, wherever it is; the other methods name those of MIKEY-TICKET (RFC 6043 4.2).
  MessageBuilder& payload(const PayloadValue& value);

  MessageBuilder& t(const Timestamp& timestamp);
  MessageBuilder& randr(RandRole role, Bytes value);
  MessageBuilder& idr(IdRole role, const Identity& identity);
  MessageBuilder& sp(const SecurityPolicy& policy);
  MessageBuilder& tp(const TicketPolicy& policy);
  // `body` from Ticket Type to the end of Ticket Data.
  MessageBuilder& ticket(Bytes body, Bytes initiator_data);
  // The form that the MAC of TRANSFER_INIT covers (RFC 6043 5.5): end_v() with the Initiator Data
  // puts it, and its length, in place.
  MessageBuilder& ticket_without_initiator_data(Bytes body);
  MessageBuilder& kemac(EncrAlg alg, Bytes encr_data);
  // `data` in DER, or the URL for CertType::url; one CERT payload per certificate of a chain.
  MessageBuilder& cert(CertType type, Bytes data);
  // `hash` has the length of its function: 20, 16 or 32 octets.
  MessageBuilder& chash(HashFunc func, Bytes hash);
  // `data` is the encrypted envelope key, at most 16383 octets.
  MessageBuilder& pke(EnvelopeCache cache, Bytes data);
  MessageBuilder& err(ErrorNo number);
  MessageBuilder& ext(ExtType type, Bytes data);

  // The message so far, with the V payload but without its MAC: what the MAC covers.
  Bytes begin_v(MacAlg alg);
  Result<ByteVector> end_v(Bytes mac) &&;
  Result<ByteVector> end_v(Bytes mac, Bytes initiator_data) &&;
  // Nothing protects the message.
  Result<ByteVector> end_without_v() &&;

  // The same for SIGN: the message so far with the S type and the length of the signature, which
  // has to be known beforehand (at most 4095 octets), but without the Signature field.
  Bytes begin_sign(SignatureType type, std::size_t signature_octets);
  Result<ByteVector> end_sign(Bytes signature) &&;

 private:
  Result<ByteVector> finish();

  ByteWriter out_;
  PayloadChain chain_;
  std::size_t initiator_data_at_ = 0;
  bool empty_map_;
  bool misplaced_sp_ = false;
};

}  // namespace keystub::mikey
