#include "mikey/message.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kHashSizes[] = {20, 16, 32};  // SHA-1, MD5, SHA-256

Result<Bytes> decode_rand(ByteReader& reader) {
  const std::uint8_t length = TRY(reader.u8("RAND length"));
  return reader.bytes(length, "RAND");
}

Result<RoleRandView> decode_randr(ByteReader& reader) {
  const auto role = static_cast<RandRole>(TRY(reader.u8("RAND role")));
  return RoleRandView{role, TRY(decode_rand(reader))};
}

Result<CertificateView> decode_cert(ByteReader& reader) {
  const auto type = static_cast<CertType>(TRY(reader.u8("Cert type")));
  const std::uint16_t length = TRY(reader.u16("Cert len"));
  return CertificateView{type, TRY(reader.bytes(length, "Certificate Data"))};
}

Result<CertificateHashView> decode_chash(ByteReader& reader) {
  const auto hash = static_cast<HashFunc>(TRY(reader.u8("Hash func")));
  if (hash > HashFunc::sha_256) {
    return reader.malformed("hash function " + std::to_string(static_cast<int>(hash)) +
                            " is unassigned, so the length of the hash is unknown");
  }
  return CertificateHashView{hash,
                             TRY(reader.bytes(kHashSizes[static_cast<std::size_t>(hash)], "Hash"))};
}

Result<EnvelopeView> decode_pke(ByteReader& reader) {
  const std::uint16_t cache_and_length = TRY(reader.u16("C and Data len"));
  return EnvelopeView{static_cast<EnvelopeCache>(cache_and_length >> 14),
                      TRY(reader.bytes(cache_and_length & 0x3FFF, "Data"))};
}

// SIGN has no Next Payload field: it ends the message (RFC 3830 6.5).
Result<SignatureView> decode_sign(ByteReader& reader) {
  const std::uint16_t type_and_length = TRY(reader.u16("S type and Signature len"));
  return SignatureView{static_cast<SignatureType>(type_and_length >> 12),
                       TRY(reader.bytes(type_and_length & 0xFFF, "Signature"))};
}

Result<VerificationView> decode_v(ByteReader& reader) {
  const auto alg = static_cast<MacAlg>(TRY(reader.u8("Auth alg")));
  switch (alg) {
    case MacAlg::null: return VerificationView{alg, {}};
    case MacAlg::hmac_sha_1_160: return VerificationView{alg, TRY(reader.bytes(20, "Ver data"))};
    case MacAlg::hmac_sha_256_256: return VerificationView{alg, TRY(reader.bytes(32, "Ver data"))};
  }
  return reader.malformed("Auth alg " + std::to_string(static_cast<int>(alg)) +
                          " is unassigned, so the length of the MAC is unknown");
}

Result<ErrorView> decode_err(ByteReader& reader) {
  const auto number = static_cast<ErrorNo>(TRY(reader.u8("Error no")));
  TRY(reader.u16("Reserved"));
  return ErrorView{number};
}

Result<ExtensionView> decode_ext(ByteReader& reader) {
  const auto type = static_cast<ExtType>(TRY(reader.u8("Type")));
  const std::uint16_t length = TRY(reader.u16("Length"));
  return ExtensionView{type, TRY(reader.bytes(length, "Data"))};
}

// The decoder of each payload, by its number.
using Decode = Result<PayloadValue> (*)(ByteReader&);

template <auto decode>
Result<PayloadValue> as_value(ByteReader& reader) {
  return PayloadValue(TRY(decode(reader)));
}
Result<PayloadValue> rand_as_value(ByteReader& reader) {
  return PayloadValue(RandView{TRY(decode_rand(reader))});
}

struct PayloadRow {
  PayloadType type;
  std::string_view clause;
  Decode decode;
};
constexpr PayloadRow kPayloads[] = {
    {PayloadType::kemac, "RFC 3830 6.2", as_value<decode_kemac>},
    {PayloadType::pke, "RFC 3830 6.3", as_value<decode_pke>},
    {PayloadType::sign, "RFC 3830 6.5", as_value<decode_sign>},
    {PayloadType::t, "RFC 3830 6.6", as_value<decode_t>},
    {PayloadType::id, "RFC 3830 6.7", as_value<decode_id>},
    {PayloadType::cert, "RFC 3830 6.7", as_value<decode_cert>},
    {PayloadType::chash, "RFC 3830 6.8", as_value<decode_chash>},
    {PayloadType::v, "RFC 3830 6.9", as_value<decode_v>},
    {PayloadType::sp, "RFC 3830 6.10", as_value<decode_sp>},
    {PayloadType::rand, "RFC 3830 6.11", rand_as_value},
    {PayloadType::err, "RFC 3830 6.12", as_value<decode_err>},
    {PayloadType::tr, "RFC 6043 6.4", as_value<decode_tr>},
    {PayloadType::idr, "RFC 6043 6.6", as_value<decode_idr>},
    {PayloadType::randr, "RFC 6043 6.8", as_value<decode_randr>},
    {PayloadType::tp, "RFC 6043 6.10", as_value<decode_tp>},
    {PayloadType::ticket, "RFC 6043 6.10", as_value<decode_ticket>},
    {PayloadType::ext, "RFC 3830 6.15", as_value<decode_ext>},
};

constexpr const PayloadRow* row_of(PayloadType type) noexcept {
  for (const PayloadRow& row : kPayloads) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

Result<void> check_crypto_session_map(ByteReader& reader, const Header& header) {
  switch (header.map_type) {
    case CsIdMapType::empty:
      if (header.cs_count != 0) {
        return reader.malformed("the Empty map goes with #CS = 0 (RFC 4563)");
      }
      return {};
    case CsIdMapType::srtp_id:
      TRY(reader.bytes(std::size_t{header.cs_count} * 9, "SRTP-ID map info"));
      return {};
    case CsIdMapType::generic_id:
      for (int i = 0; i < header.cs_count; ++i) TRY(decode_crypto_session(reader));
      return {};
  }
  return reader.malformed("CS ID map type " + std::to_string(static_cast<int>(header.map_type)) +
                          " is unassigned, so the length of the map is unknown");
}

Result<Header> decode_header(ByteReader& reader) {
  reader.enter("HDR", "RFC 6043 6.1");
  const std::uint8_t version = TRY(reader.u8("version"));
  if (version != kVersion) {
    return reader.malformed_at(0, "MIKEY version " + std::to_string(version) + "; only 1 exists");
  }
  Header header;
  header.data_type = static_cast<DataType>(TRY(reader.u8("data type")));
  if (header.data_type > DataType::resolve_resp) {
    return std::unexpected(Error(Category::malformed,
                                 "data type " + std::to_string(static_cast<int>(header.data_type)) +
                                     " is not one of RFC 3830, RFC 4650, RFC 4738 and RFC 6043",
                                 reader.here())
                               .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_dt)));
  }
  reader.rename_message(name_of(header.data_type));
  header.next_payload = static_cast<PayloadType>(TRY(reader.u8("next payload")));
  const std::uint8_t v_and_prf = TRY(reader.u8("V and PRF func"));
  header.v_flag = (v_and_prf & 0x80) != 0;
  header.prf = static_cast<PrfFunc>(v_and_prf & 0x7F);
  header.csb_id = TRY(reader.u32("CSB ID"));
  header.cs_count = TRY(reader.u8("#CS"));
  header.map_type = static_cast<CsIdMapType>(TRY(reader.u8("CS ID map type")));
  header.map_info_offset = reader.offset();
  const Bytes from_map = reader.rest();
  TRY(check_crypto_session_map(reader, header));
  header.map_info = from_map.first(from_map.size() - reader.remaining());
  return header;
}

}  // namespace

Result<std::vector<CryptoSession>> Header::crypto_sessions(std::string_view message) const {
  std::vector<CryptoSession> sessions;
  if (map_type != CsIdMapType::generic_id) return sessions;
  ByteReader reader(message, map_info, map_info_offset);
  reader.enter("HDR", "RFC 6043 6.1.1");
  for (int i = 0; i < cs_count; ++i) {
    sessions.push_back(CryptoSession::from(TRY(decode_crypto_session(reader))));
  }
  return sessions;
}

Result<std::optional<Payload>> PayloadWalker::next() {
  if (next_ == PayloadType::last) {
    TRY(reader_.finish());
    return std::optional<Payload>();
  }
  const PayloadRow* row = row_of(next_);
  if (row == nullptr) {
    reader_.enter(name_of(next_), "RFC 6043 6.1");
    return reader_.malformed("a payload of type " + std::to_string(static_cast<int>(next_)) + " (" +
                             std::string(name_of(next_)) + ") has no meaning here");
  }
  Payload payload;
  payload.type = next_;
  payload.offset = reader_.offset();
  const Bytes from_here = reader_.rest();
  reader_.enter(name_of(next_), row->clause);
  if (next_ == PayloadType::sign) {
    next_ = PayloadType::last;
  } else {
    next_ = static_cast<PayloadType>(TRY(reader_.u8("Next payload")));
  }
  payload.value = TRY(row->decode(reader_));
  payload.bytes = from_here.first(from_here.size() - reader_.remaining());
  return std::optional<Payload>(std::move(payload));
}

namespace {

template <class T>
Result<void> set_once(std::optional<T>& field, const T& value, std::string_view message,
                      const Payload& payload) {
  if (field) {
    return fail(Category::malformed,
                "a second " + std::string(name_of(payload.type)) +
                    " of a kind that occurs once in a message",
                Place{message, name_of(payload.type), "RFC 6043 4.2", payload.offset});
  }
  field = value;
  return {};
}

// Walks a nested chain (First Payload octet, then payloads), so that it can be read later without
// surprise. A TP or TICKET in it is skipped by its lengths.
Result<void> check_chain(std::string_view message, Bytes chain, std::size_t offset,
                         std::string_view what) {
  ByteReader reader(message, chain, offset);
  reader.enter(what, "RFC 6043 6.10");
  const auto first = static_cast<PayloadType>(TRY(reader.u8("First Payload")));
  PayloadWalker walker(reader, first);
  while (TRY(walker.next())) {
  }
  return {};
}

Result<void> put_payload(Message& message, const Payload& payload) {
  const std::string_view name = message.name();
  if (const auto* t = std::get_if<Timestamp>(&payload.value)) {
    return set_once(message.t, *t, name, payload);
  }
  if (const auto* rand = std::get_if<RoleRandView>(&payload.value)) {
    switch (rand->role) {
      case RandRole::initiator: return set_once(message.randr_i, rand->value, name, payload);
      case RandRole::responder: return set_once(message.randr_r, rand->value, name, payload);
      case RandRole::kms: return set_once(message.randr_kms, rand->value, name, payload);
    }
    return {};
  }
  if (const auto* id = std::get_if<RoleIdentity>(&payload.value)) {
    switch (id->role) {
      case IdRole::initiator: return set_once(message.idr_i, id->identity, name, payload);
      case IdRole::responder: return set_once(message.idr_r, id->identity, name, payload);
      case IdRole::kms: return set_once(message.idr_kms, id->identity, name, payload);
      case IdRole::psk: return set_once(message.idr_psk, id->identity, name, payload);
      case IdRole::application: return {};
    }
    return {};
  }
  if (const auto* tp = std::get_if<TicketPolicyView>(&payload.value)) {
    TRY(check_chain(name, tp->tp_data, tp->tp_data_offset, "TP Data"));
    return set_once(message.tp, *tp, name, payload);
  }
  if (const auto* ticket = std::get_if<TicketView>(&payload.value)) {
    TRY(check_chain(name, ticket->policy.tp_data, ticket->policy.tp_data_offset, "TP Data"));
    if (!ticket->initiator_data.empty()) {
      TRY(check_chain(name, ticket->initiator_data, ticket->initiator_data_offset,
                      "Initiator Data"));
    }
    return set_once(message.ticket, *ticket, name, payload);
  }
  if (const auto* kemac = std::get_if<KemacView>(&payload.value)) {
    return set_once(message.kemac, *kemac, name, payload);
  }
  if (const auto* chash = std::get_if<CertificateHashView>(&payload.value)) {
    return set_once(message.chash, *chash, name, payload);
  }
  if (const auto* pke = std::get_if<EnvelopeView>(&payload.value)) {
    return set_once(message.pke, *pke, name, payload);
  }
  if (const auto* sign = std::get_if<SignatureView>(&payload.value)) {
    return set_once(message.sign, *sign, name, payload);
  }
  if (const auto* v = std::get_if<VerificationView>(&payload.value)) {
    TRY(set_once(message.v, *v, name, payload));
    if (payload.offset + payload.bytes.size() != message.bytes.size()) {
      return fail(Category::malformed, "V must be the last payload: what follows has no MAC",
                  Place{name, "V", "RFC 6043 4.2", payload.offset});
    }
    return {};
  }
  return {};
}

}  // namespace

Result<Message> Message::parse(Bytes bytes) {
  Message message;
  message.bytes = bytes;
  ByteReader reader("MIKEY message", bytes);
  message.header = TRY(decode_header(reader));
  message.header_size_ = reader.offset();
  // The header reader knows the message by its number only from here on.
  reader.rename_message(message.name());
  PayloadWalker walker(reader, message.header.next_payload);
  for (;;) {
    const std::optional<Payload> payload = TRY(walker.next());
    if (!payload) break;
    TRY(put_payload(message, *payload));
  }
  return message;
}

PayloadWalker Message::payloads() const noexcept {
  return {ByteReader(name(), bytes.subspan(header_size_), header_size_), header.next_payload};
}

std::optional<std::string_view> Message::sdp_ids() const noexcept {
  PayloadWalker walker = payloads();
  for (;;) {
    const auto payload = walker.next();
    if (!payload || !*payload) return std::nullopt;
    const auto* ext = std::get_if<ExtensionView>(&(*payload)->value);
    if (ext != nullptr && ext->type == ExtType::sdp_ids) return as_text(ext->data);
  }
}

Place Message::place(std::string_view payload, std::string_view clause,
                     const std::uint8_t* where) const {
  return {name(), payload, clause, static_cast<std::size_t>(where - bytes.data())};
}

}  // namespace keystub::mikey
