// Puts a message together payload by payload, keeps the Next Payload chain, and ends it with V or
// SIGN.
#pragma once

#include "mikey/message.h"
#include "mikey/suite.h"

namespace keystub::mikey {

class MessageBuilder {
 public:
  // HDR with the Empty map (`sessions` empty) or the GENERIC-ID map.
  MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id,
                 const std::vector<CryptoSession>& sessions = {});

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
  ByteVector end_v(Bytes mac) &&;
  ByteVector end_v(Bytes mac, Bytes initiator_data) &&;
  ByteVector end_without_v() &&;

  // The same for SIGN: the message so far with the S type and the length of the signature, which
  // has to be known beforehand (at most 4095 octets), but without the Signature field.
  Bytes begin_sign(SignatureType type, std::size_t signature_octets);
  ByteVector end_sign(Bytes signature) &&;

 private:
  void begin(PayloadType type);

  ByteWriter out_;
  std::size_t next_payload_at_;
  std::size_t initiator_data_at_ = 0;
};

}  // namespace keystub::mikey
