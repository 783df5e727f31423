#include "mikey/message.h"

namespace keystub::mikey {
namespace {

// Walks a nested chain, so that it can be read later without surprise. A TP or TICKET in it is
// skipped by its lengths.
Result<void> check_chain(PayloadWalker walker, std::string_view message) {
  for (;;) {
    const Payload* payload = TRY(walker.next());
    if (payload == nullptr) return {};
    if (const auto* kemac = std::get_if<KemacView>(&payload->value)) {
      TRY(kemac->check_plain_keys(message));
    }
  }
}

// Puts the payloads of a message where they are found by name. One overload per kind of payload
// that a message names; others stay in the chain.
class Sorter {
 public:
  explicit Sorter(Message& message) noexcept : message_(message) {}

  Result<void> put(const Payload& payload) {
    payload_ = &payload;
    return std::visit(*this, payload.value);
  }

  Result<void> operator()(const Timestamp& t) { return set_once(message_.t, t); }
  Result<void> operator()(const RandView& rand) { return set_once(message_.rand, rand.value); }
  Result<void> operator()(const RoleRandView& rand) {
    switch (rand.role) {
      case RandRole::initiator: return set_once(message_.randr_i, rand.value);
      case RandRole::responder: return set_once(message_.randr_r, rand.value);
      case RandRole::kms: return set_once(message_.randr_kms, rand.value);
    }
    return {};
  }
  Result<void> operator()(const RoleIdentity& id) {
    switch (id.role) {
      case IdRole::initiator: return set_once(message_.idr_i, id.identity);
      case IdRole::responder: return set_once(message_.idr_r, id.identity);
      case IdRole::kms: return set_once(message_.idr_kms, id.identity);
      case IdRole::psk: return set_once(message_.idr_psk, id.identity);
      case IdRole::application: return {};
    }
    return {};
  }
  Result<void> operator()(const TicketPolicyView& tp) {
    TRY(check_chain(tp.payloads(message_.name()), message_.name()));
    return set_once(message_.tp, tp);
  }
  Result<void> operator()(const TicketView& ticket) {
    TRY(check_chain(ticket.policy.payloads(message_.name()), message_.name()));
    if (!ticket.initiator_data.empty()) {
      TRY(check_chain(ticket.initiator_payloads(message_.name()), message_.name()));
    }
    return set_once(message_.ticket, ticket);
  }
  Result<void> operator()(const KemacView& kemac) {
    TRY(kemac.check_plain_keys(message_.name(), kemac_layout(message_.header.data_type)));
    return set_once(message_.kemac, kemac);
  }
  Result<void> operator()(const CertificateHashView& chash) {
    return set_once(message_.chash, chash);
  }
  Result<void> operator()(const EnvelopeView& pke) { return set_once(message_.pke, pke); }
  Result<void> operator()(const SignatureView& sign) { return set_once(message_.sign, sign); }
  Result<void> operator()(const VerificationView& v) {
    TRY(set_once(message_.v, v));
    if (payload_->offset + payload_->bytes.size() != message_.bytes.size()) {
      return refuse("V must be the last payload: what follows has no MAC");
    }
    return {};
  }
  template <class Other>
  Result<void> operator()(const Other&) {
    return {};
  }

 private:
  template <class T>
  Result<void> set_once(std::optional<T>& field, const T& value) {
    if (field) {
      return refuse("a second " + std::string(name_of(payload_->type)) +
                    " of a kind that occurs once in a message");
    }
    field = value;
    return {};
  }
  std::unexpected<Error> refuse(std::string text) const {
    return fail(Category::malformed, std::move(text),
                Place{message_.name(), name_of(payload_->type), "RFC 6043 4.2", payload_->offset});
  }

  Message& message_;
  const Payload* payload_ = nullptr;
};

}  // namespace

Result<Message> Message::parse(Bytes bytes) {
  Result<Message> parsed(std::in_place);  // a Message is large: never copied on its way out
  Message& message = *parsed;
  message.bytes = bytes;
  ByteReader reader("MIKEY message", bytes);
  message.header = TRY(decode_header(reader));
  message.header_size_ = reader.offset();
  PayloadWalker walker(reader, message.header.next_payload);
  Sorter sorter(message);
  for (;;) {
    const Payload* payload = TRY(walker.next());
    if (!payload) return parsed;
    TRY(sorter.put(*payload));
  }
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
