// ct-mikey: runs the library with its secrets marked as undefined memory, under valgrind. Memcheck
// follows what is computed from them and reports every branch and every address that depends on it:
// what would take another time for another key.
//
//   valgrind --suppressions=memcheck.supp ct-mikey          prints `ok NAME` or `LEAKS NAME` per
//   case valgrind ct-mikey CONTROL                               code that leaks, so that it is
//   known to
//                                                           be found: early-exit, table-lookup
//
// Messages are public: what goes out is marked as defined again. A KEMAC is deciphered to octets
// that all depend on the key, also those that say how long a key is; so the parties that open one
// hold defined keys, and the key octets inside are marked instead (hide_carried_keys).
#include <valgrind/memcheck.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

#include "mikey/protection.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"

namespace keystub::mikey {
namespace {

constexpr std::size_t kKeyOctets = 32;

void hide(MutableBytes octets) { VALGRIND_MAKE_MEM_UNDEFINED(octets.data(), octets.size()); }
template <class Tag>
void hide(Secret<Tag>& secret) {
  hide(secret.reveal_mutable());
}
void publish(Bytes octets) { VALGRIND_MAKE_MEM_DEFINED(octets.data(), octets.size()); }
// The outcome of a comparison; what it was computed from stays hidden.
bool published(bool outcome) {
  VALGRIND_MAKE_MEM_DEFINED(&outcome, sizeof outcome);
  return outcome;
}

// Whether each octet still depends on something hidden: a case that loses track proves nothing.
bool hidden(Bytes octets) {
  ByteVector undefined_bits(octets.size());
  VALGRIND_GET_VBITS(octets.data(), undefined_bits.data(), octets.size());
  return std::ranges::none_of(undefined_bits, [](std::uint8_t bits) { return bits == 0; });
}

void check(bool truth, const char* what) {
  if (!truth) throw std::logic_error(what);
}

ByteVector octets(std::uint8_t first, std::size_t size = kKeyOctets) {
  ByteVector out(size);
  for (std::uint8_t& octet : out) octet = first++;
  return out;
}
template <class Key>
Key hidden_key(std::uint8_t first) {
  Key key(octets(first));
  hide(key);
  return key;
}

// --- Comparisons ---------------------------------------------------------------------------

// The octets differ nowhere, at the front, and at the end.
template <class Compare>
void compare(std::size_t size, const Compare& equal_octets) {
  for (const std::size_t different_at : {size, std::size_t{0}, size - 1}) {
    ByteVector a = octets(1, size);
    ByteVector b = a;
    if (different_at < size) b[different_at] ^= 1;
    hide(a);
    hide(b);
    check(published(equal_octets(a, b)) == (different_at == size), "the comparison is wrong");
  }
}

void compare_octets() {
  for (const std::size_t size : {1U, 16U, 20U, 32U, 33U, 256U}) compare(size, equal_constant_time);
}
void compare_secrets() {
  for (const std::size_t size : {16U, 32U, 65U}) {  // inside the object and on the heap
    compare(size, [](Bytes a, Bytes b) { return Tek(a) == Tek(b); });
  }
}
void verify_macs() {
  for (const Suite& suite : {kSuite128, kSuite256}) {
    AuthKey key(octets(3, suite.auth_octets));
    hide(key);
    const ByteVector message = octets(7, 300);
    Mac mac = compute_mac(suite, key, {message}).value();
    check(hidden(mac.bytes()), "the MAC lost track of its key");
    publish(mac.octets);
    check(verify_mac(suite, key, {message}, mac.bytes(), {}).has_value(), "a MAC is refused");
    for (const std::size_t different_at : {std::size_t{0}, mac.size - 1}) {
      Mac forged = mac;
      forged.octets[different_at] ^= 1;
      check(!verify_mac(suite, key, {message}, forged.bytes(), {}).has_value(),
            "a forged MAC is accepted");
    }
  }
}

// --- Derivations and encryption ------------------------------------------------------------

void derive_keys() {
  const ByteVector rand = octets(40);
  for (const PrfFunc prf : {PrfFunc::mikey_1, PrfFunc::hmac_sha_256}) {
    const Suite& suite = suite_of(prf);
    const Psk psk = hidden_key<Psk>(1);
    derive_message_keys(suite, psk.reveal(), {5, true, rand, rand}, Protects::integrity_and_keys)
        .value();
    derive_ticket_keys(suite, hidden_key<Tpk>(2), rand).value();
    const MpkPair pair = derive_mpk_pair(prf, hidden_key<Mpk>(3), rand).value();
    derive_initiator_data_key(suite, pair.mpkr).value();
    fork_mpkr(prf, pair.mpkr, as_bytes("sip:bob@example.com"), rand).value();
    SessionKey tgk{KeyType::tgk, hidden_key<CarriedKey>(4), {}, {1}};
    fork_session_key(prf, tgk, as_bytes("sip:bob@example.com"), rand).value();
    const Tek tek = derive_tek(prf, tgk, 1, rand, rand, suite.key_octets).value();
    check(hidden(tek.reveal()), "the TEK lost track of its TGK");
  }
}

void encipher_keys() {
  for (const Suite& suite : {kSuite128, kSuite256}) {
    const MessageKeys keys = derive_ticket_keys(suite, hidden_key<Tpk>(2), octets(40)).value();
    const Mpk mpk = hidden_key<Mpk>(5);
    std::vector<SessionKey> session_keys;
    session_keys.push_back({KeyType::tgk, hidden_key<CarriedKey>(6), {}, {1}});
    const PlainKeyData plain = encode_kemac_keys({&mpk}, octets(9, 4), session_keys);
    const ByteVector sealed = seal_kemac(suite, keys, 5, Timestamp{}, plain).value();
    check(hidden(sealed), "the KEMAC lost track of its key");
  }
}

// --- Whole exchanges -----------------------------------------------------------------------

// Marks what it hands out for keys and RANDs, and leaves CSB IDs and SPIs defined.
class HidingRandom final : public RandomSource {
 public:
  Result<void> fill(MutableBytes out) override {
    TRY(octets_.fill(out));
    if (out.size() >= 16) hide(out);
    return {};
  }

 private:
  testing::ScriptedRandom octets_;
};

const Identity kAlice = Identity::uri("sip:alice@example.com");
const Identity kBob = Identity::uri("sip:bob@example.com");
const Identity kKms = Identity::uri("sip:kms@example.com");

TicketPolicy policy_of(PrfFunc prf) {
  TicketPolicy policy;
  policy.prf = prf;
  policy.flags = kMode1Flags;
  policy.idr_kms = kKms;
  policy.idr_i = kAlice;
  policy.idr_r = {kBob};
  const auto size = static_cast<std::uint16_t>(suite_of(prf).key_octets);
  policy.keys = {{KeyType::tgk, size, 0, {1, 2, 3}}};
  return policy;
}

// One ticket's way from initiator to responder; the KMS is in it.
struct Call {
  explicit Call(PrfFunc func) : prf(func) {}

  PrfFunc prf;
  testing::FakeClock clock;
  testing::ScriptedRandom random;
  Environment env{clock, random};
  KmsCredentials alice{kAlice, kKms, "alice", Psk(octets(11))};
  KmsCredentials bob{kBob, kKms, "bob", Psk(octets(22))};
  TicketProtection tpk{Tpk(octets(33)), "tpk", {}};

  AuthenticatedRequest authenticated(const TicketRequest& request) const {
    return ReceivedRequest::parse(request.message())
        .value()
        .authenticate(alice.psk, kAlice, kKms)
        .value();
  }
  ByteVector grant(const TicketRequest& request, const Environment& with) const {
    return authenticated(request)
        .grant(with, policy_of(prf), policy_of(prf).keys, tpk)
        .value()
        .message;
  }
  AuthenticatedResolve authenticated(const TicketResolve& resolve) const {
    return ReceivedResolve::parse(resolve.message())
        .value()
        .authenticate(bob.psk, kBob, kKms)
        .value();
  }
};

// Sending and proving who one is: every long-term key and every fresh key is hidden.
void prove_and_seal(PrfFunc prf) {
  Call call(prf);
  HidingRandom hiding;
  const Environment env{call.clock, hiding};
  const TicketRequest plain_request =
      TicketRequest::start(call.env, call.alice, policy_of(prf)).value();
  const GrantedTicket plain_ticket =
      plain_request.finish(call.grant(plain_request, call.env)).value();
  const TransferOffer plain_offer =
      TransferOffer::start(call.env,
                           std::make_shared<GrantedTicket>(GrantedTicket{plain_ticket.body,
                                                                         plain_ticket.policy,
                                                                         plain_ticket.mpki.clone(),
                                                                         plain_ticket.mpkr.clone(),
                                                                         plain_ticket.mpk_spi,
                                                                         {}}),
                           {kAlice, kBob, {}, {}, {}, false})
          .value();

  hide(call.alice.psk);
  hide(call.bob.psk);
  call.tpk.key = hidden_key<Tpk>(33);
  const TicketRequest request = TicketRequest::start(env, call.alice, policy_of(prf)).value();
  publish(request.message());
  publish(call.grant(request, env));
  publish(call.authenticated(request).refuse(env, ErrorNo::invalid_tppar).value());

  const Message transfer_init = Message::parse(plain_offer.message()).value();
  const TicketResolve resolve = TicketResolve::start(env, call.bob, *transfer_init.ticket).value();
  publish(resolve.message());
  publish(call.authenticated(resolve).refuse(env, ErrorNo::invalid_ticket).value());

  TicketPolicy own = policy_of(prf);
  own.flags = kMode3Flags;
  publish(issue_ticket(env, own, call.tpk).value().body);
}

// Hides the key octets of a KEMAC, in its enciphered form: counter mode keeps positions. The MPKs
// come first.
void hide_carried_keys(Bytes enciphered, std::size_t mpks, const Suite& suite) {
  // RFC 3830 6.13: Next Payload, Type and KV, length; the key; with KV = SPI a length and the SPI.
  constexpr std::size_t kBeforeKey = 4;
  constexpr std::size_t kMpkSpiOctets = 4;
  const auto writable =
      MutableBytes(const_cast<std::uint8_t*>(enciphered.data()), enciphered.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < mpks; ++i) {
    hide(writable.subspan(at + kBeforeKey, suite.key_octets));
    at += kBeforeKey + suite.key_octets + 1 + kMpkSpiOctets;
  }
  hide(writable.subspan(at + kBeforeKey, suite.key_octets));  // the TGK
}

// Opening what was received: the keys inside are hidden, and all that is made from them.
void open_and_derive(PrfFunc prf) {
  const Suite& suite = suite_of(prf);
  Call call(prf);
  const TicketRequest request = TicketRequest::start(call.env, call.alice, policy_of(prf)).value();
  const ByteVector request_resp = call.grant(request, call.env);
  hide_carried_keys(Message::parse(request_resp).value().kemac->encr_data, 2, suite);
  const auto ticket = std::make_shared<GrantedTicket>(request.finish(request_resp).value());

  const TransferOffer offer =
      TransferOffer::start(call.env, ticket,
                           {kAlice, kBob, tls_session(ticket->session_keys), {}, {}, false})
          .value();
  publish(offer.message());
  const ReceivedTransfer received = ReceivedTransfer::parse(offer.message()).value();

  const TicketResolve resolve = TicketResolve::start(call.env, call.bob, received.ticket()).value();
  const AuthenticatedResolve authenticated = call.authenticated(resolve);
  const TicketView& sealed = *authenticated.message().ticket;
  hide_carried_keys(parse_ticket_data(sealed, "RESOLVE_INIT").value().kemac.encr_data, 1, suite);
  const OpenedResolve opened = authenticated.open(call.tpk.key).value();
  publish(resolve.message());
  const ByteVector resolve_resp = opened.respond(call.env, kBob).value();
  publish(resolve_resp);
  hide_carried_keys(Message::parse(resolve_resp).value().kemac->encr_data, 2, suite);

  const VerifiedTransfer verified =
      received.verify(resolve.finish(resolve_resp).value(), kBob).value();
  const TransferAnswer answer = verified.respond(call.env, {kBob, {}, {}}).value();
  publish(answer.message);
  const EstablishedTransfer established = offer.accept(answer.message).value();
  check(hidden(established.sessions[0].tek.reveal()), "the TEK lost track of its ticket");
  check(published(established.sessions[0].tek == answer.established.sessions[0].tek),
        "the ends do not share a key");
}

// --- Code that leaks -----------------------------------------------------------------------

[[gnu::noinline]] bool equal_early_exit(Bytes a, Bytes b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}
[[gnu::noinline]] std::uint8_t look_up(Bytes table, std::uint8_t secret) { return table[secret]; }

void leak_by_early_exit() {
  compare(kKeyOctets, [](Bytes a, Bytes b) { return equal_early_exit(a, b); });
}
void leak_by_table_lookup() {
  const Psk psk = hidden_key<Psk>(1);
  std::uint8_t found = look_up(octets(0, 256), psk.reveal()[0]);
  publish({&found, 1});
  check(found == 1, "the table is wrong");
}

// -------------------------------------------------------------------------------------------

using Case = std::pair<std::string, std::function<void()>>;

const std::array<Case, 9> kCases{{
    {"equal_constant_time", compare_octets},
    {"Secret ==", compare_secrets},
    {"verify_mac", verify_macs},
    {"key derivations", derive_keys},
    {"enciphering a KEMAC", encipher_keys},
    {"proving and sealing, 128-bit suite", [] { prove_and_seal(PrfFunc::mikey_1); }},
    {"proving and sealing, 256-bit suite", [] { prove_and_seal(PrfFunc::hmac_sha_256); }},
    {"opening and deriving, 128-bit suite", [] { open_and_derive(PrfFunc::mikey_1); }},
    {"opening and deriving, 256-bit suite", [] { open_and_derive(PrfFunc::hmac_sha_256); }},
}};
const std::map<std::string, void (*)()> kControls{
    {"early-exit", leak_by_early_exit},
    {"table-lookup", leak_by_table_lookup},
};

int run(const std::string& control) {
  if (!control.empty()) {
    kControls.at(control)();
    return 0;
  }
  for (const auto& [name, function] : kCases) {
    const auto before = VALGRIND_COUNT_ERRORS;
    function();
    std::cout << (VALGRIND_COUNT_ERRORS == before ? "ok " : "LEAKS ") << name << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace keystub::mikey

int main(int argc, char** argv) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::cerr << "ct-mikey proves nothing without valgrind\n";
    return 2;
  }
  return keystub::mikey::run(argc > 1 ? argv[1] : "");
}
