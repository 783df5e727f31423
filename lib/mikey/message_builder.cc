#include "mikey/message_builder.h"

namespace keystub::mikey {

MessageBuilder::MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id,
                               const std::vector<CryptoSession>& sessions)
    : out_(512) {
  out_.u8(kVersion);
  out_.u8(static_cast<std::uint8_t>(type));
  next_payload_at_ = out_.size();
  out_.u8(static_cast<std::uint8_t>(PayloadType::last));
  out_.u8(static_cast<std::uint8_t>((v_flag ? 0x80U : 0U) | static_cast<unsigned>(prf)));
  out_.u32(csb_id);
  out_.u8(static_cast<std::uint8_t>(sessions.size()));
  out_.u8(
      static_cast<std::uint8_t>(sessions.empty() ? CsIdMapType::empty : CsIdMapType::generic_id));
  for (const CryptoSession& session : sessions) encode_crypto_session(out_, session);
}

void MessageBuilder::begin(PayloadType type) {
  out_.patch_u8(next_payload_at_, static_cast<std::uint8_t>(type));
  next_payload_at_ = out_.size();
  out_.u8(static_cast<std::uint8_t>(PayloadType::last));
}

MessageBuilder& MessageBuilder::t(const Timestamp& timestamp) {
  begin(PayloadType::t);
  encode_t(out_, timestamp);
  return *this;
}

MessageBuilder& MessageBuilder::randr(RandRole role, Bytes value) {
  begin(PayloadType::randr);
  out_.u8(static_cast<std::uint8_t>(role));
  out_.u8(static_cast<std::uint8_t>(value.size()));
  out_.bytes(value);
  return *this;
}

MessageBuilder& MessageBuilder::idr(IdRole role, const Identity& identity) {
  begin(PayloadType::idr);
  encode_idr(out_, role, identity);
  return *this;
}

MessageBuilder& MessageBuilder::sp(const SecurityPolicy& policy) {
  begin(PayloadType::sp);
  encode_sp(out_, policy);
  return *this;
}

MessageBuilder& MessageBuilder::tp(const TicketPolicy& policy) {
  begin(PayloadType::tp);
  policy.encode(out_);
  return *this;
}

MessageBuilder& MessageBuilder::ticket(Bytes body, Bytes initiator_data) {
  begin(PayloadType::ticket);
  out_.bytes(body);
  out_.u16(static_cast<std::uint16_t>(initiator_data.size()));
  out_.bytes(initiator_data);
  return *this;
}

MessageBuilder& MessageBuilder::ticket_without_initiator_data(Bytes body) {
  begin(PayloadType::ticket);
  out_.bytes(body);
  initiator_data_at_ = out_.size();
  return *this;
}

MessageBuilder& MessageBuilder::kemac(EncrAlg alg, Bytes encr_data) {
  begin(PayloadType::kemac);
  out_.u8(static_cast<std::uint8_t>(alg));
  out_.u16(static_cast<std::uint16_t>(encr_data.size()));
  out_.bytes(encr_data);
  out_.u8(static_cast<std::uint8_t>(MacAlg::null));
  return *this;
}

MessageBuilder& MessageBuilder::cert(CertType type, Bytes data) {
  begin(PayloadType::cert);
  out_.u8(static_cast<std::uint8_t>(type));
  out_.u16(static_cast<std::uint16_t>(data.size()));
  out_.bytes(data);
  return *this;
}

MessageBuilder& MessageBuilder::chash(HashFunc func, Bytes hash) {
  begin(PayloadType::chash);
  out_.u8(static_cast<std::uint8_t>(func));
  out_.bytes(hash);
  return *this;
}

MessageBuilder& MessageBuilder::pke(EnvelopeCache cache, Bytes data) {
  begin(PayloadType::pke);
  out_.u16(static_cast<std::uint16_t>(static_cast<unsigned>(cache) << 14 | data.size()));
  out_.bytes(data);
  return *this;
}

MessageBuilder& MessageBuilder::err(ErrorNo number) {
  begin(PayloadType::err);
  out_.u8(static_cast<std::uint8_t>(number));
  out_.u16(0);
  return *this;
}

MessageBuilder& MessageBuilder::ext(ExtType type, Bytes data) {
  begin(PayloadType::ext);
  out_.u8(static_cast<std::uint8_t>(type));
  out_.u16(static_cast<std::uint16_t>(data.size()));
  out_.bytes(data);
  return *this;
}

Bytes MessageBuilder::begin_v(MacAlg alg) {
  begin(PayloadType::v);
  out_.u8(static_cast<std::uint8_t>(alg));
  return out_.view();
}

ByteVector MessageBuilder::end_v(Bytes mac) && {
  out_.bytes(mac);
  return std::move(out_).take();
}

ByteVector MessageBuilder::end_v(Bytes mac, Bytes initiator_data) && {
  const Bytes message = out_.view();
  ByteWriter whole(message.size() + 2 + initiator_data.size() + mac.size());
  whole.bytes(message.first(initiator_data_at_));
  whole.u16(static_cast<std::uint16_t>(initiator_data.size()));
  whole.bytes(initiator_data);
  whole.bytes(message.subspan(initiator_data_at_));
  whole.bytes(mac);
  return std::move(whole).take();
}

// SIGN is the one payload without a Next Payload octet (RFC 3830 6.5).
Bytes MessageBuilder::begin_sign(SignatureType type, std::size_t signature_octets) {
  out_.patch_u8(next_payload_at_, static_cast<std::uint8_t>(PayloadType::sign));
  out_.u16(static_cast<std::uint16_t>(static_cast<unsigned>(type) << 12 | signature_octets));
  return out_.view();
}

ByteVector MessageBuilder::end_sign(Bytes signature) && {
  out_.bytes(signature);
  return std::move(out_).take();
}

ByteVector MessageBuilder::end_without_v() && { return std::move(out_).take(); }

}  // namespace keystub::mikey
