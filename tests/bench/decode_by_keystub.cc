// lib/mikey reads the message of mikey_decode.h, which is built here.
#include "mikey/message_builder.h"
#include "tests/bench/field_sum.h"
#include "tests/bench/mikey_decode.h"

namespace keystub::bench {
namespace {

using namespace mikey;

class Visitor {
 public:
  explicit Visitor(std::string_view message) noexcept : message_(message) {}

  std::uint64_t sum() const noexcept { return sum_.sum(); }

  // None of the walks can fail: the message is parsed.
  void visit(const Header& header) {
    sum_.number(static_cast<std::uint64_t>(header.data_type));
    sum_.number(header.csb_id);
    SrtpIdWalker sessions = header.srtp_ids(message_);
    while (const SrtpId* session = *sessions.next()) {
      sum_.number(session->policy_no);
      sum_.number(session->ssrc);
      sum_.number(session->roc);
    }
  }
  void visit(PayloadWalker payloads) {
    while (const Payload* payload = *payloads.next()) {
      sum_.number(static_cast<std::uint64_t>(payload->type));
      std::visit(*this, payload->value);
    }
  }

  void operator()(const Timestamp& t) {
    sum_.number(static_cast<std::uint64_t>(t.type));
    sum_.number(t.value);
  }
  void operator()(const RandView& rand) { sum_.octets(rand.value); }
  void operator()(const SecurityPolicyView& policy) {
    sum_.number(policy.policy_no);
    sum_.number(static_cast<std::uint64_t>(policy.prot_type));
    SecurityParameterWalker parameters = policy.walk(message_);
    while (const TypeLengthValue* parameter = *parameters.next()) {
      sum_.number(parameter->type);
      sum_.octets(parameter->value);
    }
  }
  void operator()(const KemacView& kemac) {
    sum_.number(static_cast<std::uint64_t>(kemac.encr_alg));
    sum_.number(static_cast<std::uint64_t>(kemac.mac_alg));
    KeyDataWalker keys = kemac.plain_keys(message_);
    while (const KeyDataView* data = *keys.next()) {
      sum_.number(static_cast<std::uint64_t>(data->type));
      sum_.octets(data->key);
      sum_.octets(data->salt);
      sum_.number(static_cast<std::uint64_t>(data->validity.kind));
      sum_.octets(data->validity.spi);
    }
  }
  template <class Other>
  void operator()(const Other&) {}

 private:
  std::string_view message_;
  FieldSum sum_;
};

}  // namespace

ByteVector rfc_3830_message() {
  ByteWriter sessions;
  encode_srtp_id(sessions, {0, 0xAABBCCDD, 0});
  encode_srtp_id(sessions, {1, 0x11223344, 7});
  ByteWriter parameters;
  const auto parameter = [&](SrtpParameter type, std::uint8_t value) {
    encode_type_length_value(parameters, {static_cast<std::uint8_t>(type), {&value, 1}});
  };
  // What GStreamer itself offers for SRTP: AES-CM-128 and HMAC-SHA-1-80, for RTP and RTCP.
  parameter(SrtpParameter::encr_alg, 1);
  parameter(SrtpParameter::session_encr_key_length, 16);
  parameter(SrtpParameter::auth_alg, 1);
  parameter(SrtpParameter::session_auth_key_length, 10);
  parameter(SrtpParameter::srtp_encryption, 1);
  parameter(SrtpParameter::srtcp_encryption, 1);
  parameter(SrtpParameter::srtp_authentication, 1);
  const ByteVector key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  ByteWriter keys;
  encode_key_data(keys, false, KeyType::tek, key, {}, Bytes(key).first(4));
  encode_key_data(keys, true, KeyType::tek, key, {}, Bytes(key).last(4));

  MessageBuilder builder(Header{.data_type = DataType::psk_init,
                                .csb_id = 0x01020304,
                                .cs_count = 2,
                                .map_type = CsIdMapType::srtp_id,
                                .map_info = sessions.view()});
  builder.t({TsType::ntp_utc, 0xE9A5B1C200000000})
      .payload(RandView{key})
      .payload(SecurityPolicyView{0, ProtType::srtp, parameters.view()})
      .kemac(EncrAlg::null, keys.view());
  return std::move(builder).end_without_v().value();
}

std::uint64_t sum_by_keystub(Bytes octets) {
  const Result<Message> message = Message::parse(octets);
  if (!message) return 0;
  Visitor visitor(message->name());
  visitor.visit(message->header);
  visitor.visit(message->payloads());
  return visitor.sum();
}

}  // namespace keystub::bench
