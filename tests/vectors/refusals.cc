#include "tests/vectors/refusals.h"

#include <array>
#include <functional>
#include <stdexcept>

#include "mikey/exchange.h"
#include "tests/unit/mikey/pieces.h"

namespace keystub::vectors {
namespace {

using namespace mikey;
using Calls = std::map<std::string, Call>;
using Change = std::function<void(Pieces& message)>;

constexpr const char* kForking = "mode1-256-forking";
constexpr const char* kPlain = "mode1-256";
constexpr const char* kCertified = "pk-mode1-256";
constexpr const char* kSelfIssued = "mode3-256";

// --- Changing messages ---------------------------------------------------------------------

// The RANDRi or RANDRr of an initial message, which its keys are derived with.
std::optional<Bytes> own_rand(const Pieces& message) {
  constexpr std::size_t kBeforeRand = 3;  // Next Payload, role, length
  for (const Pieces::Piece& piece : message.payloads) {
    if (piece.type == PayloadType::randr) return Bytes(piece.octets).subspan(kBeforeRand);
  }
  return std::nullopt;
}

// After the change the MAC is made anew, with the right key: what is wrong is what was changed.
ByteVector genuine(const Call& call, const std::string& name, const Change& change) {
  Pieces pieces(call.message(name));
  change(pieces);
  const AuthKey key = call.auth_key_of(name, own_rand(pieces));
  const Identity& initiator = call.identity("initiator");
  const Identity& responder = call.identity("responder");
  const Identity& kms = call.identity("kms");
  if (name == "REQUEST_INIT") {
    return pieces.sealed(call.suite(), key, initiator.bytes(), kms.bytes());
  }
  if (name == "RESOLVE_INIT") {
    return pieces.sealed(call.suite(), key, responder.bytes(), kms.bytes());
  }
  if (name == "TRANSFER_INIT") {
    if (call.forking()) throw std::logic_error("with forking, Vi would have to be made anew too");
    return pieces.sealed_transfer_init(call.suite(), key, initiator.bytes(), responder.bytes());
  }
  const std::string init = name.substr(0, name.size() - 4) + "INIT";
  return pieces.sealed(call.suite(), key, call.message(init));
}

ByteVector with_octet(ByteVector message, std::size_t at, std::uint8_t flip) {
  message.at(at) ^= flip;
  return message;
}
ByteVector with_last_octet_changed(const Call& call, const std::string& name) {
  const ByteVector& message = call.message(name);
  return with_octet(message, message.size() - 1, 1);
}
// The V payload of another algorithm, with a MAC of zeros in its size.
ByteVector with_mac_alg(const Call& call, const std::string& name, MacAlg alg, std::size_t octets) {
  Pieces pieces(call.message(name));
  pieces.find(PayloadType::v).octets[1] = static_cast<std::uint8_t>(alg);
  ByteVector out = pieces.without_mac();
  out.resize(out.size() + octets);
  return out;
}

// After the change the message is signed anew by `signer`; what is changed is in front of SIGN.
ByteVector resigned(const Call& call, const std::string& name, const std::string& signer,
                    const Change& change) {
  Pieces pieces(call.message(name));
  change(pieces);
  ByteVector octets = pieces.without_mac();
  const std::string pem = test_keys().at(signer).at("private_key");
  const PrivateKey key = PrivateKey::from_pem(PrivateKeyPem(as_bytes(pem))).value();
  octets.resize(octets.size() - key.octets());
  const std::string sender = name == "REQUEST_INIT" ? "initiator" : "responder";
  const ByteVector signature =
      sign(key, SignatureType::rsa_pkcs1, hash_of(call.suite()),
           {octets, call.identity(sender).bytes(), call.identity("kms").bytes()})
          .value();
  octets.insert(octets.end(), signature.begin(), signature.end());
  return octets;
}

Change without(PayloadType type) {
  return [=](Pieces& message) { message.drop(type); };
}
template <class Role>
Change without(PayloadType type, Role role) {
  return [=](Pieces& message) { message.drop(type, role); };
}
Change twice(PayloadType type) {
  return [=](Pieces& message) { message.insert(type, message.find(type).octets); };
}
// A RANDR that is one octet shorter.
Change short_randr(RandRole role) {
  return [=](Pieces& message) {
    ByteVector& randr = message.find(PayloadType::randr, role).octets;
    randr.pop_back();
    --randr.at(2);
  };
}
// Ticket Type, Subtype, Version; PRF func and D; E to O: they begin behind Next Payload of a TP and
// a TICKET.
constexpr std::size_t kTicketTypeAt = 2;
constexpr std::size_t kPrfAt = 5;
constexpr std::size_t kFlagsAt = 6;
// In an IDR: Next Payload, role, type, length.
constexpr std::size_t kBeforeId = 5;
constexpr std::uint8_t kFlagE = 0x80;  // in the first octet of the flags
constexpr std::uint8_t kFlagF = 0x40;  // in the first octet of the flags
constexpr std::uint8_t kFlagO = 0x20;  // in the second one

Change flip(PayloadType type, std::size_t at, std::uint8_t bits) {
  return [=](Pieces& message) { message.find(type).octets.at(at) ^= bits; };
}

Change kemac(EncrAlg alg, const ByteVector& encr_data) {
  return [=](Pieces& pieces) {
    ByteWriter payload;
    payload.u8(0);
    payload.u8(static_cast<std::uint8_t>(alg));
    payload.u16(static_cast<std::uint16_t>(encr_data.size()));
    payload.bytes(encr_data);
    payload.u8(static_cast<std::uint8_t>(MacAlg::null));
    pieces.find(PayloadType::kemac).octets = std::move(payload).take();
  };
}
// The KEMAC of a response, with other key data under the right key.
Change key_data(const Call& call, const std::string& name, const ByteVector& plain) {
  const Message message = Message::parse(call.message(name)).value();
  const MessageKeys keys = call.keys_of(name, Protects::integrity_and_keys);
  ByteVector encrypted(plain.size());
  aes_cm(call.suite(), keys, message.header.csb_id, *message.t, plain, encrypted).value();
  return kemac(call.suite().encr, encrypted);
}
ByteVector plain_key_data(const Call& call, const std::string& name) {
  const Message message = Message::parse(call.message(name)).value();
  const MessageKeys keys = call.keys_of(name, Protects::integrity_and_keys);
  ByteVector plain(message.kemac->encr_data.size());
  aes_cm(call.suite(), keys, message.header.csb_id, *message.t, message.kemac->encr_data, plain)
      .value();
  return plain;
}

constexpr std::array<std::uint8_t, 41> kEncrData{};

// A KEMAC where none is expected; what is in it does not matter.
void insert_kemac(Pieces& message) {
  ByteWriter payload;
  payload.u8(0);
  payload.u8(static_cast<std::uint8_t>(EncrAlg::aes_cm_256));
  payload.u16(kEncrData.size());
  payload.bytes(kEncrData);
  payload.u8(static_cast<std::uint8_t>(MacAlg::null));
  message.insert(PayloadType::kemac, std::move(payload).take());
}

ByteVector with_plain_keys(const Call& call, const std::string& name) {
  return genuine(call, name, kemac(EncrAlg::null, plain_key_data(call, name)));
}

// --- The catalogue -------------------------------------------------------------------------

struct Reason {
  Category category;
  ErrorNo number;
  std::string_view payload;
  std::string_view clause;
};

struct Row {
  std::string id;
  std::string title;
  std::string exchange;
  std::string message;
  std::function<ByteVector(const Call& call, const std::string& message)> octets;
  Reason reason;
  Instead instead = nullptr;
};

// A genuine message with this change.
auto changed(Change change) {
  return [change](const Call& call, const std::string& message) {
    return genuine(call, message, change);
  };
}
ByteVector unchanged(const Call& call, const std::string& message) { return call.message(message); }

const std::vector<Row>& rows() {
  using enum Category;
  using enum ErrorNo;
  static const std::string kOtherKey(64, '5');
  static const std::vector<Row> kRows = {
      // What can be said of any message.
      {"cut-short",
       "the last octet is missing",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         ByteVector message = call.message(name);
         message.pop_back();
         return message;
       },
       {malformed, unspecified, "V", "RFC 3830 6.9"}},
      {"trailing-octet",
       "an octet follows the last payload",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         ByteVector message = call.message(name);
         message.push_back(0);
         return message;
       },
       {malformed, unspecified, "V", "RFC 6043 4.2"}},
      {"empty",
       "a message of no octets",
       kForking,
       "REQUEST_INIT",
       [](const Call&, const std::string&) { return ByteVector(); },
       {malformed, unspecified, "HDR", "RFC 6043 6.1"}},
      {"version",
       "version 2",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return with_octet(call.message(name), 0, 3);
       },
       {malformed, unspecified, "HDR", "RFC 6043 6.1"}},
      {"data-type-unknown",
       "data type 99",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return with_octet(call.message(name), 1, 11 ^ 99);
       },
       {malformed, invalid_dt, "HDR", "RFC 6043 6.1"}},
      {"data-type-other",
       "a RESOLVE_INIT where a REQUEST_INIT is awaited",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string&) { return call.message("RESOLVE_INIT"); },
       {malformed, invalid_dt, "HDR", "RFC 6043 6.1"}},
      {"v-not-last",
       "T follows V",
       kForking,
       "REQUEST_INIT",
       changed([](Pieces& message) {
         std::rotate(message.payloads.begin(), message.payloads.begin() + 1,
                     message.payloads.end());
       }),
       {malformed, unspecified, "V", "RFC 6043 4.2"}},

      // REQUEST_INIT.
      {"request-init-wrong-psk",
       "the KMS knows the initiator by another key",
       kForking,
       "REQUEST_INIT",
       unchanged,
       {unauthenticated, auth_failure, "V", "RFC 6043 5.5"},
       {{"psk_i", kOtherKey}}},
      {"request-init-null-mac",
       "the MAC algorithm is NULL",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return with_mac_alg(call, name, MacAlg::null, 0);
       },
       {malformed, invalid_mac, "V", "RFC 3830 6.9"}},
      {"request-init-mixed-mac",
       "HMAC-SHA-1-160 with PRF-HMAC-SHA-256",
       kForking,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return with_mac_alg(call, name, MacAlg::hmac_sha_1_160, 20);
       },
       {malformed, invalid_mac, "V", "RFC 6043 12.1"}},
      {"request-init-mixed-prf",
       "the policy in TP has PRF MIKEY-1, HDR has PRF-HMAC-SHA-256",
       kForking,
       "REQUEST_INIT",
       changed(flip(PayloadType::tp, kPrfAt, 1 << 1)),
       {malformed, invalid_prf, "HDR", "RFC 6043 12.1"}},
      {"request-init-prf-unknown",
       "PRF func 9",
       kForking,
       "REQUEST_INIT",
       changed([](Pieces& message) { message.v_and_prf() = 0x80 | 9; }),
       {malformed, invalid_prf, "HDR", "RFC 6043 12.1"}},
      {"request-init-short-randri",
       "RANDRi is shorter than the PSK",
       kForking,
       "REQUEST_INIT",
       changed(short_randr(RandRole::initiator)),
       {malformed, unspecified, "RANDR", "RFC 6043 12.1"}},
      {"request-init-flags",
       "flags that contradict each other: G without F",
       kForking,
       "REQUEST_INIT",
       changed(flip(PayloadType::tp, kFlagsAt, kFlagF)),
       {malformed, invalid_tppar, "TP", "RFC 6043 6.10"}},
      {"request-init-no-t",
       "without T",
       kForking,
       "REQUEST_INIT",
       changed(without(PayloadType::t)),
       {malformed, unspecified, "T", "RFC 6043 4.2.1.1"}},
      {"request-init-no-randri",
       "without RANDRi",
       kForking,
       "REQUEST_INIT",
       changed(without(PayloadType::randr)),
       {malformed, unspecified, "RANDRi", "RFC 6043 4.2.1.1"}},
      {"request-init-no-tp",
       "without TP",
       kForking,
       "REQUEST_INIT",
       changed(without(PayloadType::tp)),
       {malformed, unspecified, "TP", "RFC 6043 4.2.1.1"}},
      {"request-init-two-t",
       "with T twice",
       kForking,
       "REQUEST_INIT",
       changed(twice(PayloadType::t)),
       {malformed, unspecified, "T", "RFC 6043 4.2"}},
      {"request-init-crypto-session",
       "with a crypto session",
       kForking,
       "REQUEST_INIT",
       changed([](Pieces& message) {
         message.map_type() = 2;
         message.cs_count() = 1;
         const ByteVector session = {1, 2, 0, 0, 0, 1, 9};
         message.header.insert(message.header.end(), session.begin(), session.end());
       }),
       {malformed, unspecified, "HDR", "RFC 6043 4.2.1.1"}},

      // REQUEST_RESP.
      {"request-resp-csb-id",
       "another CSB ID than in REQUEST_INIT",
       kForking,
       "REQUEST_RESP",
       changed([](Pieces& message) { message.csb_id() ^= 1; }),
       {malformed, unspecified, "HDR", "RFC 6043 4.2"}},
      {"request-resp-prf",
       "another PRF than in REQUEST_INIT",
       kForking,
       "REQUEST_RESP",
       changed([](Pieces& message) { message.v_and_prf() ^= 1; }),
       {malformed, unspecified, "HDR", "RFC 6043 4.2"}},
      {"request-resp-no-ticket",
       "without TICKET",
       kForking,
       "REQUEST_RESP",
       changed(without(PayloadType::ticket)),
       {malformed, unspecified, "TICKET", "RFC 6043 4.2.1.5"}},
      {"request-resp-no-kemac",
       "without KEMAC",
       kForking,
       "REQUEST_RESP",
       changed(without(PayloadType::kemac)),
       {malformed, unspecified, "KEMAC", "RFC 6043 4.2.1.5"}},
      {"request-resp-null-encryption",
       "the keys are not encrypted",
       kForking,
       "REQUEST_RESP",
       with_plain_keys,
       {denied, invalid_ea, "KEMAC", "RFC 6043 12.1"}},
      {"request-resp-mixed-encryption",
       "AES-CM-128 with PRF-HMAC-SHA-256",
       kForking,
       "REQUEST_RESP",
       changed(flip(PayloadType::kemac, 1, 2)),
       {denied, invalid_ea, "KEMAC", "RFC 6043 12.1"}},
      {"request-resp-one-mpk",
       "key forking, and one MPK instead of two",
       kForking,
       "REQUEST_RESP",
       [](const Call& call, const std::string& name) {
         const ByteVector plain = plain_key_data(call, name);
         // The first key data is gone: Next Payload, Type and KV, length, key, SPI length, SPI.
         return genuine(call, name,
                        key_data(call, name, to_vector(Bytes(plain).subspan(4 + 32 + 1 + 4))));
       },
       {malformed, unspecified, "KEMAC", "RFC 6043 4.2.1.5"}},
      {"request-resp-key-without-spi",
       "a key without SPI (KV is NULL)",
       kForking,
       "REQUEST_RESP",
       [](const Call& call, const std::string& name) {
         ByteVector plain = plain_key_data(call, name);
         plain.at(1) &= 0xF0;
         plain.erase(plain.begin() + 4 + 32, plain.begin() + 4 + 32 + 1 + 4);
         return genuine(call, name, key_data(call, name, plain));
       },
       {malformed, unspecified, "Key data", "RFC 3830 6.13"}},
      {"request-resp-policy-wider",
       "the granted ticket has another responder than was wished for",
       kForking,
       "REQUEST_RESP",
       changed([](Pieces& message) {
         // sip:bob@… becomes sip:rob@…
         ByteVector& ticket = message.find(PayloadType::ticket).octets;
         const std::string_view bob = "sip:bob";
         const auto found = std::search(ticket.begin(), ticket.end(), bob.begin(), bob.end());
         found[4] = 'r';
       }),
       {denied, unspecified, "TICKET", "RFC 6043 4.2.1.6"}},

      // TRANSFER_INIT, refused before the KMS is asked.
      {"transfer-init-vi",
       "the MAC in Vi is not the one in V: the ticket was put into another "
       "message",
       kForking,
       "TRANSFER_INIT",
       [](const Call& call, const std::string& name) {
         const Message message = Message::parse(call.message(name)).value();
         const std::size_t at = message.ticket->initiator_data_offset + 3;
         return with_octet(call.message(name), at, 1);
       },
       {unauthenticated, auth_failure, "Initiator Data", "RFC 6043 4.2.3.6"}},
      {"transfer-init-expired",
       "the ticket is not valid any more",
       kForking,
       "TRANSFER_INIT",
       unchanged,
       {expired, invalid_ts, "TICKET", "RFC 6043 4.2.2.2"},
       {{"now", "ed0305a600000000"}}},
      {"transfer-init-too-early",
       "the ticket is not valid yet",
       kForking,
       "TRANSFER_INIT",
       unchanged,
       {expired, invalid_ts, "TICKET", "RFC 6043 4.2.2.2"},
       {{"now", "ed01b2f800000000"}}},
      {"transfer-init-not-for-me",
       "the ticket does not name the receiver",
       kForking,
       "TRANSFER_INIT",
       unchanged,
       {denied, invalid_id, "TICKET", "RFC 6043 4.2.2.2"},
       {{"identity", "sip:carol@example.com"}}},
      {"transfer-init-ticket-type",
       "ticket type 9",
       kPlain,
       "TRANSFER_INIT",
       changed(flip(PayloadType::ticket, kTicketTypeAt, 0x02 ^ 0x09)),
       {denied, invalid_ticket, "TICKET", "RFC 6043 4.2.2.2"}},
      {"transfer-init-flag-o",
       "O = 0: the ticket asks for processing that the responder does not "
       "know",
       kPlain,
       "TRANSFER_INIT",
       changed(flip(PayloadType::ticket, kFlagsAt + 1, kFlagO)),
       {denied, invalid_tppar, "TICKET", "RFC 6043 4.2.2.2"}},
      {"transfer-init-flags",
       "flags that contradict each other: G without F",
       kPlain,
       "TRANSFER_INIT",
       changed(flip(PayloadType::ticket, kFlagsAt, kFlagF)),
       {malformed, invalid_tppar, "TICKET", "RFC 6043 4.2.2.2"}},
      {"transfer-init-empty-map",
       "the crypto sessions are missing: Empty map",
       kPlain,
       "TRANSFER_INIT",
       changed([](Pieces& message) {
         message.header.resize(10);
         message.map_type() = 1;
         message.cs_count() = 0;
       }),
       {malformed, unspecified, "HDR", "RFC 6043 6.1"}},
      {"transfer-init-no-randri",
       "without RANDRi",
       kPlain,
       "TRANSFER_INIT",
       changed(without(PayloadType::randr)),
       {malformed, unspecified, "RANDRi", "RFC 6043 4.2.2.1"}},
      // And after it.
      {"transfer-init-other-initiator",
       "IDRi is not the initiator of the ticket",
       kPlain,
       "TRANSFER_INIT",
       [](const Call& call, const std::string& name) {
         Pieces pieces(call.message(name));
         ByteVector& idr_i = pieces.find(PayloadType::idr, IdRole::initiator).octets;
         idr_i.back() = 'n';
         return pieces.sealed_transfer_init(call.suite(), call.auth_key_of(name, own_rand(pieces)),
                                            Bytes(idr_i).subspan(kBeforeId),
                                            call.identity("responder").bytes());
       },
       {unauthenticated, invalid_id, "IDR", "RFC 6043 4.2.3"}},

      // RESOLVE_INIT.
      {"resolve-init-wrong-psk",
       "the KMS knows the responder by another key",
       kForking,
       "RESOLVE_INIT",
       unchanged,
       {unauthenticated, auth_failure, "V", "RFC 6043 5.5"},
       {{"psk_r", kOtherKey}}},
      {"resolve-init-wrong-tpk",
       "the ticket is not sealed under this TPK",
       kForking,
       "RESOLVE_INIT",
       unchanged,
       {unauthenticated, auth_failure, "TICKET", "RFC 6043 A.1"},
       {{"tpk", kOtherKey}}},
      {"resolve-init-ticket-changed",
       "an octet of the ticket's KEMAC is changed; the outer MAC is "
       "genuine",
       kForking,
       "RESOLVE_INIT",
       [](const Call& call, const std::string& name) {
         const Message message = Message::parse(call.message(name)).value();
         const Bytes sealed =
             parse_ticket_data(*message.ticket, "RESOLVE_INIT").value().kemac.encr_data;
         const Bytes ticket = message.ticket->body;
         const auto at = static_cast<std::size_t>(sealed.data() - ticket.data()) + 1;
         return genuine(call, name, flip(PayloadType::ticket, at, 1));
       },
       {unauthenticated, auth_failure, "TICKET", "RFC 6043 A.1"}},
      {"resolve-init-vr",
       "Vr does not verify: the offer does not come from the ticket's owner",
       kForking,
       "RESOLVE_INIT",
       changed([](Pieces& message) { message.find(PayloadType::ticket).octets.back() ^= 1; }),
       {unauthenticated, auth_failure, "Initiator Data", "RFC 6043 6.10"}},
      {"resolve-init-no-initiator-data",
       "key forking, and no Initiator Data",
       kForking,
       "RESOLVE_INIT",
       changed([](Pieces& message) {
         ByteVector& ticket = message.find(PayloadType::ticket).octets;
         ticket.resize(ticket.size() - (1 + 2 * 34) - 2);
         ticket.resize(ticket.size() + 2);
       }),
       {malformed, unspecified, "Initiator Data", "RFC 6043 6.10"}},
      {"resolve-init-expired",
       "the ticket is not valid any more",
       kForking,
       "RESOLVE_INIT",
       unchanged,
       {expired, invalid_ts, "TICKET", "RFC 6043 4.2.3.4"},
       {{"now", "ed0305a600000000"}}},
      {"resolve-init-short-randrr",
       "RANDRr is shorter than the PSK",
       kForking,
       "RESOLVE_INIT",
       changed(short_randr(RandRole::responder)),
       {malformed, unspecified, "RANDR", "RFC 6043 12.1"}},
      {"resolve-init-no-ticket",
       "without TICKET",
       kForking,
       "RESOLVE_INIT",
       changed(without(PayloadType::ticket)),
       {malformed, unspecified, "TICKET", "RFC 6043 4.2.3.1"}},
      {"resolve-init-self-issued-wrong-tpk",
       "a self-issued ticket, under another TPK than its issuer shares with the KMS",
       kSelfIssued,
       "RESOLVE_INIT",
       unchanged,
       {unauthenticated, auth_failure, "TICKET", "RFC 6043 A.1"},
       {{"tpk", kOtherKey}}},

      // RESOLVE_RESP.
      {"resolve-resp-no-randrkms",
       "key forking, and no RANDRkms",
       kForking,
       "RESOLVE_RESP",
       changed(without(PayloadType::randr)),
       {malformed, unspecified, "RANDRkms", "RFC 6043 4.2.3.5"}},
      {"resolve-resp-short-randrkms",
       "RANDRkms is shorter than MPKr'",
       kForking,
       "RESOLVE_RESP",
       changed(short_randr(RandRole::kms)),
       {malformed, unspecified, "RANDR", "RFC 6043 12.1"}},
      {"resolve-resp-no-idrr",
       "key forking, and no IDRr",
       kForking,
       "RESOLVE_RESP",
       changed(without(PayloadType::idr, IdRole::responder)),
       {malformed, unspecified, "IDRr", "RFC 6043 4.2.3.5"}},
      {"resolve-resp-null-encryption",
       "the keys are not encrypted",
       kForking,
       "RESOLVE_RESP",
       with_plain_keys,
       {denied, invalid_ea, "KEMAC", "RFC 6043 12.1"}},

      // TRANSFER_RESP.
      {"transfer-resp-no-randrr",
       "G = 1, and no RANDRr",
       kForking,
       "TRANSFER_RESP",
       changed(without(PayloadType::randr, RandRole::responder)),
       {malformed, unspecified, "RANDRr", "RFC 6043 4.2.2.3"}},
      {"transfer-resp-no-randrkms",
       "key forking, and no RANDRkms",
       kForking,
       "TRANSFER_RESP",
       changed(without(PayloadType::randr, RandRole::kms)),
       {malformed, unspecified, "RANDRkms", "RFC 6043 4.2.2.3"}},
      {"transfer-resp-other-responder",
       "IDRr is not the one that the keys were forked for",
       kForking,
       "TRANSFER_RESP",
       changed([](Pieces& message) {
         message.find(PayloadType::idr, IdRole::responder).octets.at(9) = 'r';
       }),
       {unauthenticated, auth_failure, "V", "RFC 6043 5.5"}},
      {"transfer-resp-session-missing",
       "the crypto session that was offered is not in the answer",
       kForking,
       "TRANSFER_RESP",
       changed([](Pieces& message) { message.header.at(10) = 7; }),
       {malformed, unspecified, "HDR", "RFC 6043 4.2.2.3"}},
      {"transfer-resp-other-offer",
       "the answer to another offer",
       kForking,
       "TRANSFER_RESP",
       [](const Call& call, const std::string& name) {
         return with_octet(call.message(name), 4, 1);
       },
       {malformed, unspecified, "HDR", "RFC 6043 4.2"}},

      // Keys from the ends, and modes 2 and 4.
      {"transfer-init-keys-without-l",
       "the initiator sends session keys, and L = 0",
       kPlain,
       "TRANSFER_INIT",
       changed(insert_kemac),
       {denied, invalid_tppar, "KEMAC", "RFC 6043 4.2.2.1"}},
      {"transfer-resp-keys-without-m",
       "the responder sends session keys, and M = 0",
       kPlain,
       "TRANSFER_RESP",
       changed(insert_kemac),
       {denied, invalid_tppar, "KEMAC", "RFC 6043 5.2"}},
      {"mode2-resolve-mandatory",
       "E = 1: a responder must not open the ticket itself",
       "mode2-256",
       "TRANSFER_INIT",
       changed(flip(PayloadType::ticket, kFlagsAt, kFlagE)),
       {denied, invalid_tppar, "TICKET", "RFC 6043 6.10"}},
      {"mode2-wrong-tpk",
       "the ticket is not sealed under the responder's TPK",
       "mode2-256",
       "TRANSFER_INIT",
       unchanged,
       {unauthenticated, auth_failure, "TICKET", "RFC 6043 A.1"},
       {{"tpk", kOtherKey}}},
      {"mode4-wrong-tpk",
       "the ticket is not sealed under the TPK that both share",
       "mode4-256",
       "TRANSFER_INIT",
       unchanged,
       {unauthenticated, auth_failure, "TICKET", "RFC 6043 A.1"},
       {{"tpk", kOtherKey}}},

      // The public-key variants.
      {"pk-request-init-other-anchor",
       "the KMS trusts another root",
       kCertified,
       "REQUEST_INIT",
       unchanged,
       {unauthenticated, invalid_cert, "CERT", "RFC 3830 6.7"},
       {{"trust_anchor", "other-root"}}},
      {"pk-request-init-too-early",
       "the certificates are not valid yet",
       kCertified,
       "REQUEST_INIT",
       unchanged,
       {unauthenticated, invalid_cert, "CERT", "RFC 3830 6.7"},
       {{"now", "ed00000000000000"}}},
      {"pk-request-init-no-certificate",
       "without CERT, and the KMS knows no certificate",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", [](Pieces& message) {
           message.drop(PayloadType::cert);
           message.drop(PayloadType::cert);
         });
       },
       {unauthenticated, invalid_cert, "CERT", "RFC 6043 4.2.1.3"}},
      {"pk-request-init-no-intermediate",
       "without the certificate between sender and root",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", [](Pieces& message) {
           const auto is_cert = [](const Pieces::Piece& piece) {
             return piece.type == PayloadType::cert;
           };
           const auto first = std::ranges::find_if(message.payloads, is_cert);
           message.payloads.erase(std::find_if(first + 1, message.payloads.end(), is_cert));
         });
       },
       {unauthenticated, invalid_cert, "CERT", "RFC 3830 6.7"}},
      {"pk-request-init-no-pke",
       "without PKE",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", without(PayloadType::pke));
       },
       {malformed, unspecified, "PKE", "RFC 6043 4.2.1.3"}},
      {"pk-request-init-cache",
       "C = 1: the KMS is told to keep the envelope key",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", flip(PayloadType::pke, 1, 0x40));
       },
       {denied, unspecified, "PKE", "RFC 3830 6.3"}},
      {"pk-request-init-other-kms-certificate",
       "CHASH names a certificate that the KMS does not have",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", flip(PayloadType::chash, 2, 1));
       },
       {not_found, invalid_cert, "CHASH", "RFC 3830 6.8"}},
      {"pk-request-init-signature-algorithm",
       "signature algorithm 5",
       kCertified,
       "REQUEST_INIT",
       [](const Call& call, const std::string& name) {
         const ByteVector& message = call.message(name);
         return with_octet(message, message.size() - 256 - 2, 0x50);
       },
       {malformed, unspecified, "SIGN", "RFC 3830 6.5"}},
      {"pk-resolve-init-of-another",
       "the signature and the certificate are somebody else's",
       kCertified,
       "RESOLVE_INIT",
       [](const Call& call, const std::string& name) {
         return resigned(call, name, "alice", [&call](Pieces& message) {
           const Pieces of_alice(call.message("REQUEST_INIT"));
           const auto is_cert = [](const Pieces::Piece& piece) {
             return piece.type == PayloadType::cert;
           };
           *std::ranges::find_if(message.payloads, is_cert) =
               *std::ranges::find_if(of_alice.payloads, is_cert);
         });
       },
       {unauthenticated, invalid_cert, "CERT", "RFC 3830 6.7"}},
  };
  return kRows;
}

// Every MAC and every signature of every exchange, with its last octet changed.
std::vector<Row> broken_macs(const Calls& calls) {
  std::vector<Row> rows;
  for (const auto& [id, call] : calls) {
    for (const auto& [message, unused] : call.messages()) {
      // With key forking the responder sees it before it has keys: Vi repeats the MAC.
      const bool vi = message.starts_with("TRANSFER_INIT") && call.forking();
      const bool sign = call.uses_certificates(message);
      rows.push_back({id + "-" + message + (sign ? "-signature" : "-mac"),
                      sign ? "the last octet of the signature is changed"
                           : "the last octet of the MAC is changed",
                      id,
                      message,
                      with_last_octet_changed,
                      {Category::unauthenticated, ErrorNo::auth_failure,
                       sign ? "SIGN" : (vi ? "Initiator Data" : "V"),
                       vi ? "RFC 6043 4.2.3.6" : "RFC 6043 5.5"}});
    }
  }
  return rows;
}

Json entry(const Call& call, const Row& row) {
  const ByteVector octets = row.octets(call, row.message);
  const Result<void> result = call.receive(row.message, octets, row.instead);
  Json json{{"id", row.id},
            {"title", row.title},
            {"exchange", row.exchange},
            {"message", row.message},
            {"receiver", Call::receiver_of(row.message)}};
  if (!row.instead.is_null()) json["instead"] = row.instead;
  json["octets"] = to_hex(octets);
  const auto unexpected = [&](const std::string& what) {
    throw std::runtime_error("refusal " + row.id + ": " + what);
  };
  if (result) unexpected("is accepted");
  json["refused"] = refused(result.error());
  const Json expected{{"category", category_name(row.reason.category)},
                      {"error_no", static_cast<int>(row.reason.number)},
                      {"payload", row.reason.payload},
                      {"clause", row.reason.clause}};
  for (const auto& [member, value] : expected.items()) {
    if (json["refused"].value(member, Json()) != value) {
      unexpected(member + " is not " + value.dump() + ": " + result.error().describe());
    }
  }
  return json;
}

}  // namespace

Json refused(const Error& error) {
  Json json{{"category", category_name(error.category())}};
  const ErrorNo number = error_no_for(error);
  json["error_no"] = static_cast<int>(number);
  json["error"] = name_of(number);
  if (error.place()) {
    json["payload"] = error.place()->payload;
    json["clause"] = error.place()->clause;
    json["offset"] = error.place()->offset;
  }
  return json;
}

Json refusals(const Calls& calls) {
  Json all = Json::array();
  for (const Row& row : rows()) all.push_back(entry(calls.at(row.exchange), row));
  for (const Row& row : broken_macs(calls)) all.push_back(entry(calls.at(row.exchange), row));
  return all;
}

}  // namespace keystub::vectors
