// Lets a fuzzer past encryption and MACs. An input is a message whose KEMACs hold plain text and
// whose MACs may be anything, or be missing: it is taken apart as far as it can be read, then
// encrypted and given the MACs that an honest sender would have put there.
#pragma once

#include <cstdlib>
#include <deque>
#include <optional>

#include "mikey/derivation.h"
#include "mikey/exchange_rules.h"
#include "mikey/payload/ticket_header.h"
#include "mikey/ticket.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"

namespace keystub::mikey::fuzzing {

inline const Identity kAlice = Identity::uri("sip:alice@example.com");
inline const Identity kBob = Identity::uri("sip:bob@example.com");
inline const Identity kKms = Identity::uri("sip:kms@example.com");

// Alice and Bob share one PSK with the KMS; nothing here depends on whose it is.
inline KmsCredentials credentials(const Identity& self) {
  return {self, kKms, "psk", Psk(ByteVector(32, 1))};
}
inline Tpk tpk() { return Tpk(ByteVector(32, 9)); }

// What parties of an exchange need besides keys; the same octets in every run.
struct Surroundings {
  testing::FakeClock clock;
  testing::ScriptedRandom random;
  Environment env{clock, random};
};

// A message that is about to be sealed. Its views point into the input and into `octets`.
struct Draft {
  Header header;
  std::vector<PayloadValue> payloads;  // up to V
  std::deque<ByteVector> octets;

  // Nothing where HDR cannot be read or names no PRF that a key could be derived with.
  static std::optional<Draft> read(Bytes input);

  // The first of its kind.
  template <class T>
  T* find() {
    return find_in<T>(payloads);
  }
  template <class T>
  const T* find() const {
    return find_in<T>(payloads);
  }
  // Empty where the message has none.
  Bytes rand(RandRole role) const;
  std::optional<Identity> id(IdRole role) const;

  // Puts what encrypting makes of it in place of the plain text of the first KEMAC.
  void encrypt_kemac(Bytes inkey, const MessageContext& context);
  // The message, ended by a V under this key, whose MAC covers `following` as well.
  std::optional<ByteVector> sealed(Bytes inkey, const MessageContext& context,
                                   std::initializer_list<Bytes> following) const;

  // Encrypts and authenticates the Ticket Data of TICKET under tpk(). Returns what the ticket
  // holds, if it can be opened.
  std::optional<OpenedTicket> seal_ticket();
  // The Initiator Data of TICKET with a genuine Vr, around `vi` or the Vi that is there; as they
  // are, where they do not hold two V payloads.
  ByteVector sealed_initiator_data(const Mpk& mpkr, std::optional<VerificationView> vi) const;

 private:
  template <class T, class Payloads>
  static auto find_in(Payloads& payloads) -> decltype(std::get_if<T>(&payloads.front())) {
    for (auto& value : payloads) {
      if (auto* found = std::get_if<T>(&value)) return found;
    }
    return nullptr;
  }
};

// The plain text of a KEMAC, encrypted; as it is, where the algorithm does not go with the PRF or
// cannot encrypt it.
inline ByteVector encrypted(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                            const Timestamp& t, Bytes plain) {
  auto sealed = seal_kemac(suite, keys, csb_id, t, PlainKeyData(to_vector(plain)));
  return sealed ? std::move(*sealed) : to_vector(plain);
}

inline std::optional<Draft> Draft::read(Bytes input) {
  ByteReader reader("input", input);
  const auto header = decode_header(reader);
  if (!header || header->prf > PrfFunc::hmac_sha_256) return std::nullopt;
  Draft draft;
  draft.header = *header;
  PayloadWalker walker(reader, header->next_payload);
  for (;;) {
    const auto payload = walker.next();
    if (!payload || *payload == nullptr) break;
    // SIGN would have to be the last one.
    if ((*payload)->type == PayloadType::v || (*payload)->type == PayloadType::sign) break;
    draft.payloads.push_back((*payload)->value);
  }
  return draft;
}

inline Bytes Draft::rand(RandRole role) const {
  for (const PayloadValue& value : payloads) {
    const auto* rand = std::get_if<RoleRandView>(&value);
    if (rand != nullptr && rand->role == role) return rand->value;
  }
  return {};
}

inline std::optional<Identity> Draft::id(IdRole role) const {
  for (const PayloadValue& value : payloads) {
    const auto* id = std::get_if<RoleIdentity>(&value);
    if (id != nullptr && id->role == role) return Identity(id->identity);
  }
  return std::nullopt;
}

inline void Draft::encrypt_kemac(Bytes inkey, const MessageContext& context) {
  auto* kemac = find<KemacView>();
  const auto* t = find<Timestamp>();
  if (kemac == nullptr || t == nullptr) return;
  const Suite* suite = suite_of(header.prf, kemac->encr_alg);
  if (suite == nullptr) return;
  const auto keys = derive_message_keys(*suite, inkey, context, Protects::integrity_and_keys);
  octets.push_back(encrypted(*suite, *keys, header.csb_id, *t, kemac->encr_data));
  kemac->encr_data = octets.back();
}

inline std::optional<ByteVector> Draft::sealed(Bytes inkey, const MessageContext& context,
                                               std::initializer_list<Bytes> following) const {
  const Suite& suite = suite_of(header.prf);
  const auto keys = derive_message_keys(suite, inkey, context, Protects::integrity);
  MessageBuilder builder(header);
  for (const PayloadValue& value : payloads) builder.payload(value);
  auto message = finish_with_mac(std::move(builder), suite, keys->auth, following);
  if (!message) return std::nullopt;
  return std::move(*message);
}

inline std::optional<OpenedTicket> Draft::seal_ticket() {
  auto* ticket = find<TicketView>();
  if (ticket == nullptr || ticket->policy.prf > PrfFunc::hmac_sha_256) return std::nullopt;
  ByteWriter body;
  body.bytes(ticket->body.first(ticket->body.size() - ticket->ticket_data.size() - 2));
  const std::size_t length_at = body.size();
  body.u16(0);
  ByteReader reader("Ticket Data", ticket->ticket_data);
  const TicketHeaderView thdr = decode_thdr(reader);
  PayloadChain chain(body.size());
  encode_thdr(body, {PayloadType::last, thdr.data});

  std::vector<PayloadValue> values;
  Timestamp t;
  Bytes rand;
  EncrAlg alg = EncrAlg::null;
  PayloadWalker walker(reader, thdr.next_payload);
  for (;;) {
    const auto payload = walker.next();
    if (!payload || *payload == nullptr || (*payload)->type == PayloadType::v) break;
    const PayloadValue& value = values.emplace_back((*payload)->value);
    if (const auto* found = std::get_if<Timestamp>(&value)) t = *found;
    if (const auto* found = std::get_if<RandView>(&value)) rand = found->value;
    if (const auto* found = std::get_if<KemacView>(&value)) alg = found->encr_alg;
  }
  const Suite* mixed = suite_of(ticket->policy.prf, alg);
  const Suite& suite = mixed != nullptr ? *mixed : suite_of(ticket->policy.prf);
  const auto keys = derive_ticket_keys(suite, tpk(), rand);
  constexpr std::uint32_t kTicketCsbId = 0xFFFFFFFF;
  for (PayloadValue& value : values) {
    auto* kemac = std::get_if<KemacView>(&value);
    if (kemac == nullptr || mixed == nullptr) continue;
    octets.push_back(encrypted(suite, *keys, kTicketCsbId, t, kemac->encr_data));
    kemac->encr_data = octets.back();
  }
  for (const PayloadValue& value : values) chain.add(body, value);
  chain.add(body, VerificationView{suite.mac, {}});
  body.patch_u16_length(length_at, body.size() + suite.auth_octets - length_at - 2, "Ticket Data");
  body.bytes(compute_mac(suite, keys->auth, {body.view()})->bytes());
  auto sealed = std::move(body).finish();
  if (!sealed) return std::nullopt;

  octets.push_back(std::move(*sealed));
  ticket->body = octets.back();
  ticket->ticket_data = ticket->body.subspan(length_at + 2);
  const auto data = parse_ticket_data(*ticket, "ticket");
  if (!data) return std::nullopt;
  auto opened = open_ticket(*ticket, *data, tpk(), "ticket");
  if (!opened) return std::nullopt;
  return std::move(*opened);
}

inline ByteVector Draft::sealed_initiator_data(const Mpk& mpkr,
                                               std::optional<VerificationView> vi) const {
  const auto* ticket = find<TicketView>();
  if (ticket->initiator_data.empty()) return {};
  std::vector<PayloadValue> others;
  std::size_t count = 0;
  PayloadWalker walker = ticket->initiator_payloads("ticket");
  for (;;) {
    const auto payload = walker.next();
    if (!payload || *payload == nullptr) break;
    const auto* v = std::get_if<VerificationView>(&(*payload)->value);
    if (v == nullptr) others.push_back((*payload)->value);
    if (v != nullptr && ++count == 1 && !vi) vi = *v;
  }
  if (count != 2) return to_vector(ticket->initiator_data);
  const Suite& suite = suite_of(header.prf);
  ByteWriter data;
  data.u8(static_cast<std::uint8_t>(PayloadType::last));
  PayloadChain chain(0);
  for (const PayloadValue& value : others) chain.add(data, value);
  chain.add(data, *vi);
  chain.add(data, VerificationView{suite.mac, {}});
  const auto key = derive_initiator_data_key(suite, mpkr);
  data.bytes(compute_mac(suite, *key, {data.view()})->bytes());
  return std::move(data).take();
}

// What has to hold for whatever a receiver says.

// Every refusal names message and payload.
template <class T>
void check_refusal(const Result<T>& result) {
  if (result) return;
  const auto& place = result.error().place();
  if (!place || place->message.empty() || place->payload.empty() || result.error().text().empty()) {
    std::abort();
  }
}

// The MAC was right: it is not what is refused. A V payload that is malformed, in the Initiator
// Data for example, may be.
template <class T>
void check_refusal_past_mac(const Result<T>& result) {
  check_refusal(result);
  if (!result && result.error().category() == Category::unauthenticated &&
      result.error().place()->payload == "V") {
    std::abort();
  }
}

// What we send is a message.
inline void check_sent(const Result<ByteVector>& message, DataType type) {
  if (!message) return;
  const auto parsed = Message::parse(*message);
  if (!parsed || parsed->header.data_type != type) std::abort();
}

// An Error message about a message whose keys come from `inkey`, read by `read`: with V it counts
// as authenticated, and not at all when V is about the other message of the exchange.
template <class Read>
void receive_error(Draft draft, Bytes inkey, const MessageContext& about, const Read& read) {
  const auto genuine = draft.sealed(inkey, about, {});
  MessageContext other = about;
  other.response = !about.response;
  const auto misplaced = draft.sealed(inkey, other, {});
  if (!genuine || !misplaced) return;
  const Result<ReceivedError> received = read(*genuine);
  check_refusal_past_mac(received);
  if (received && (!received->authenticated || received->numbers.empty())) std::abort();
  const Result<ReceivedError> refused = read(*misplaced);
  check_refusal(refused);
  if (refused) std::abort();
}

}  // namespace keystub::mikey::fuzzing
