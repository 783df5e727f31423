#include "mikey/message_builder.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kExpectedOctets = 512;
constexpr std::size_t kNextPayloadInHeader = 2;

}  // namespace

MessageBuilder::MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id)
    : MessageBuilder(Header{.data_type = type,
                            .v_flag = v_flag,
                            .prf = prf,
                            .csb_id = csb_id,
                            .cs_count = 0,
                            .map_type = CsIdMapType::empty,
                            .map_info = {}}) {}

MessageBuilder::MessageBuilder(DataType type, bool v_flag, PrfFunc prf, std::uint32_t csb_id,
                               const std::vector<CryptoSession>& sessions)
    : MessageBuilder(Header{.data_type = type,
                            .v_flag = v_flag,
                            .prf = prf,
                            .csb_id = csb_id,
                            .cs_count = static_cast<std::uint8_t>(sessions.size()),
                            .map_type = CsIdMapType::generic_id,
                            .map_info = {}}) {
  out_.limit(sessions.size(), 255, "#CS");
  for (const CryptoSession& session : sessions) encode_crypto_session(out_, session.view());
}

MessageBuilder::MessageBuilder(const Header& header)
    : out_(kExpectedOctets),
      chain_(kNextPayloadInHeader),
      empty_map_(header.map_type == CsIdMapType::empty) {
  encode_header(out_, header);
  out_.patch_u8(kNextPayloadInHeader, static_cast<std::uint8_t>(PayloadType::last));
}

MessageBuilder& MessageBuilder::payload(const PayloadValue& value) {
  chain_.add(out_, value);
  return *this;
}

MessageBuilder& MessageBuilder::t(const Timestamp& timestamp) { return payload(timestamp); }

MessageBuilder& MessageBuilder::randr(RandRole role, Bytes value) {
  return payload(RoleRandView{role, value});
}

MessageBuilder& MessageBuilder::idr(IdRole role, const Identity& identity) {
  return payload(RoleIdentity{role, identity.view()});
}

MessageBuilder& MessageBuilder::sp(const SecurityPolicy& policy) {
  misplaced_sp_ = empty_map_;  // [4563-5-01]
  return payload(policy.view());
}

MessageBuilder& MessageBuilder::tp(const TicketPolicy& policy) {
  chain_.begin(out_, PayloadType::tp);
  policy.encode(out_);
  return *this;
}

MessageBuilder& MessageBuilder::ticket(Bytes body, Bytes initiator_data) {
  chain_.begin(out_, PayloadType::ticket);
  out_.bytes(body);
  out_.u16_length(initiator_data.size(), "Initiator Data length");
  out_.bytes(initiator_data);
  return *this;
}

MessageBuilder& MessageBuilder::ticket_without_initiator_data(Bytes body) {
  chain_.begin(out_, PayloadType::ticket);
  out_.bytes(body);
  initiator_data_at_ = out_.size();
  return *this;
}

MessageBuilder& MessageBuilder::kemac(EncrAlg alg, Bytes encr_data) {
  return payload(KemacView{alg, encr_data, MacAlg::null, {}});
}

MessageBuilder& MessageBuilder::cert(CertType type, Bytes data) {
  return payload(CertificateView{type, data});
}

MessageBuilder& MessageBuilder::chash(HashFunc func, Bytes hash) {
  return payload(CertificateHashView{func, hash});
}

MessageBuilder& MessageBuilder::pke(EnvelopeCache cache, Bytes data) {
  return payload(EnvelopeView{cache, data});
}

MessageBuilder& MessageBuilder::err(ErrorNo number) { return payload(ErrorView{number}); }

MessageBuilder& MessageBuilder::ext(ExtType type, Bytes data) {
  return payload(ExtensionView{.type = type, .data = data});
}

Bytes MessageBuilder::begin_v(MacAlg alg) {
  payload(VerificationView{alg, {}});
  return out_.view();
}

Result<ByteVector> MessageBuilder::end_v(Bytes mac) && {
  out_.bytes(mac);
  return finish();
}

Result<ByteVector> MessageBuilder::end_v(Bytes mac, Bytes initiator_data) && {
  const Bytes message = out_.view();
  out_.limit(initiator_data.size(), 0xFFFF, "Initiator Data length");
  ByteWriter whole(message.size() + 2 + initiator_data.size() + mac.size());
  whole.bytes(message.first(initiator_data_at_));
  whole.u16(static_cast<std::uint16_t>(initiator_data.size()));
  whole.bytes(initiator_data);
  whole.bytes(message.subspan(initiator_data_at_));
  whole.bytes(mac);
  TRY(finish());
  return std::move(whole).take();
}

Result<ByteVector> MessageBuilder::end_without_v() && { return finish(); }

Bytes MessageBuilder::begin_sign(SignatureType type, std::size_t signature_octets) {
  chain_.begin(out_, PayloadType::sign);
  encode_sign_fields(out_, type, signature_octets);
  return out_.view();
}

Result<ByteVector> MessageBuilder::end_sign(Bytes signature) && {
  out_.bytes(signature);
  return finish();
}

Result<ByteVector> MessageBuilder::finish() {
  if (misplaced_sp_) {
    return fail(Category::malformed,
                "no SP goes with the Empty map (RFC 4563 5); use the GENERIC-ID map");
  }
  return std::move(out_).finish();
}

}  // namespace keystub::mikey
