// The KMS receives REQUEST_INIT_PK and RESOLVE_INIT_PK that are signed by somebody it trusts. The
// input is a message up to SIGN: what is left of it after the last payload that can be read is cut
// off, and a signature is put there, so that the fuzzer gets past it.
#include <cstdint>
#include <cstdlib>

#include "mikey/message_builder.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"

using namespace keystub;
using namespace keystub::mikey;

namespace {

const Identity kSender = Identity::uri("sip:alice@example.com");
const Identity kKms = Identity::uri("sip:kms@example.com");

// One CA, one user, one KMS; made once.
struct Parties {
  testing::TestCa ca{"root"};
  CertificateChain sender{
      ca.issue({kSender.data, "URI:" + kSender.data}, testing::rsa_key("sender"))};
  std::vector<KmsKeyPair> keys{
      KmsKeyPair::make(ca.issue({kKms.data, "URI:" + kKms.data}, testing::rsa_key("kms")),
                       testing::rsa_key("kms"))
          .value()};
  TrustAnchors anchors = TrustAnchors::make({ca.certificate()}).value();

  PkAuthentication pk() const { return {anchors, keys, testing::kTestTime, sender}; }
};

// The input's payloads as far as they can be read, ended by SIGN.
std::optional<ByteVector> signed_message(Bytes input) {
  ByteReader reader("input", input);
  const auto header = decode_header(reader);
  if (!header) return std::nullopt;
  MessageBuilder builder(*header);
  PayloadWalker walker(reader, header->next_payload);
  bool any = false;
  for (;;) {
    const auto payload = walker.next();
    if (!payload || !*payload || (*payload)->type == PayloadType::sign) break;
    builder.payload((*payload)->value);
    any = true;
  }
  if (!any) return std::nullopt;
  // The last octet of the input picks the scheme.
  const auto type = (input.back() & 1) != 0 ? SignatureType::rsa_pss : SignatureType::rsa_pkcs1;
  const PrivateKey& key = testing::rsa_key("sender");
  const Bytes covered = builder.begin_sign(type, key.octets());
  const HashFunc hash = header->prf == PrfFunc::mikey_1 ? hash_of(kSuite128) : hash_of(kSuite256);
  const auto signature = sign(key, type, hash, {covered, kSender.bytes(), kKms.bytes()});
  auto message = std::move(builder).end_sign(signature.value());
  if (!message) return std::nullopt;
  return std::move(*message);
}

// The signature is genuine and the sender's certificate known: SIGN is never what is refused, and
// every refusal says where.
template <class T>
void check_refusal(const Result<T>& result) {
  if (result) return;
  const Error& error = result.error();
  if (!error.place() || error.place()->payload.empty() || error.place()->payload == "SIGN") {
    std::abort();
  }
}

void check_answer(const Result<ByteVector>& answer) {
  if (answer && !Message::parse(*answer)) std::abort();
}

void receive_request(const Parties& parties, const Environment& env, Bytes message) {
  const auto received = ReceivedRequest::parse(message);
  if (!received) return;
  const auto authenticated = received->authenticate(parties.pk(), kSender, kKms);
  check_refusal(authenticated);
  if (!authenticated) return;
  TicketPolicy policy = authenticated->wish();
  const std::vector<KeyWish> keys = std::exchange(policy.keys, {});
  const auto grant =
      authenticated->grant(env, std::move(policy), keys, {Tpk(ByteVector(32, 9)), "tpk", ""});
  if (grant) check_answer(grant->message);
  check_answer(authenticated->refuse(env, ErrorNo::invalid_tppar));
}

void receive_resolve(const Parties& parties, const Environment& env, Bytes message) {
  const auto received = ReceivedResolve::parse(message);
  if (!received) return;
  const auto authenticated = received->authenticate(parties.pk(), kSender, kKms);
  check_refusal(authenticated);
  if (!authenticated) return;
  const auto opened = authenticated->open(Tpk(ByteVector(32, 9)));
  if (opened) check_answer(opened->respond(env, kSender));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Parties parties;
  const auto message = signed_message({data, size});
  if (!message) return 0;
  const testing::FakeClock clock;
  testing::ScriptedRandom random;
  const Environment env{clock, random};
  receive_request(parties, env, *message);
  receive_resolve(parties, env, *message);
  return 0;
}
