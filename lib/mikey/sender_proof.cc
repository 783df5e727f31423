#include "mikey/sender_proof.h"

#include <algorithm>

namespace keystub::mikey {
namespace {

constexpr std::size_t kMinimumKeyOctets = 16;  // RFC 6043 12.1 [6043-12.1-04]
constexpr std::size_t kMaximumRandOctets = 255;

bool is_request(const Message& message) {
  return message.header.data_type == DataType::request_init_psk ||
         message.header.data_type == DataType::request_init_pk;
}

// The clause that lists the payloads of a public-key variant.
std::string_view pk_clause(const Message& message) {
  return is_request(message) ? "RFC 6043 4.2.1.3" : "RFC 6043 4.2.3.3";
}

Place at_sign(const Message& message, std::string_view clause) {
  return message.place("SIGN", clause, message.sign->data.data());
}

// The RAND freshens keys that are made from the exchange key (RFC 6043 12.1).
Result<void> check_rand(const Message& message, std::size_t key_octets) {
  const Bytes rand = is_request(message) ? *message.randr_i : *message.randr_r;
  return check_rand_length(rand.size(), key_octets,
                           message.place("RANDR", "RFC 6043 12.1", rand.data()));
}

// One variant was verified as if it were the other.
std::unexpected<Error> other_variant(const Message& message) {
  return refuse(Category::unauthenticated, ErrorNo::unsupported_message_type,
                std::string(message.name()) +
                    " proves its sender in another way than this KMS "
                    "expects: by pre-shared key, or by certificate",
                Place{message.name(), "HDR", "RFC 6043 6.1", 1});
}

// {CERT}, in their order; `place` becomes that of the first one.
Result<CertificateChain> read_certificates(const Message& message, Place& place) {
  CertificateChain chain;
  PayloadWalker walker = message.payloads();
  while (const Payload* payload = TRY(walker.next())) {
    const auto* cert = std::get_if<CertificateView>(&payload->value);
    if (cert == nullptr) continue;
    const Place here = message.place("CERT", "RFC 3830 6.7", payload->bytes.data());
    if (chain.empty()) place = here;
    if (cert->type != CertType::x509v3 && cert->type != CertType::sign) {
      return refuse(Category::malformed, ErrorNo::invalid_cert,
                    "a certificate of type " + std::to_string(static_cast<int>(cert->type)) +
                        "; send X.509v3 (0) or X.509v3 Sign (2), the certificate itself and not "
                        "its URL",
                    here);
    }
    if (chain.size() == kMaximumChain) {
      return refuse(Category::malformed, ErrorNo::invalid_cert,
                    "more than " + std::to_string(kMaximumChain) + " certificates", here);
    }
    auto certificate = Certificate::from_der(cert->data);
    if (!certificate) {
      return refuse(Category::malformed, ErrorNo::invalid_cert, certificate.error().text(), here);
    }
    chain.push_back(std::move(*certificate));
  }
  return chain;
}

// The key pair that the envelope key was encrypted for.
Result<const KmsKeyPair*> find_key_pair(const Message& message, std::span<const KmsKeyPair> keys) {
  if (keys.empty()) return fail(Category::internal, "the KMS has no key pair for envelope keys");
  if (!message.chash) return &keys.front();
  const Place place = message.place("CHASH", "RFC 3830 6.8", message.chash->value.data());
  for (const KmsKeyPair& pair : keys) {
    const ByteVector hash = TRY(at(place, pair.certificate().hash(message.chash->hash)));
    if (equal(hash, message.chash->value)) return &pair;
  }
  return refuse(Category::not_found, ErrorNo::invalid_cert,
                "the envelope key is encrypted for a certificate that this KMS does not have (any "
                "more); get its present one",
                place);
}

}  // namespace

MessageContext initial_context(const Message& message) {
  if (is_request(message)) return {message.header.csb_id, false, *message.randr_i, {}};
  return {message.header.csb_id, false, {}, *message.randr_r};
}

Result<void> check_credentials(const KmsCredentials& credentials, WallTime /*now*/) {
  const Psk& psk = credentials.psk;
  if (psk.size() < kMinimumKeyOctets || psk.size() > kMaximumRandOctets) {
    return fail(Category::malformed, "the pre-shared key has " + std::to_string(psk.bits()) +
                                         " bits; 128 to 2040 are possible (RFC 6043 12.1)");
  }
  return {};
}

Result<void> check_credentials(const PkCredentials& credentials, WallTime now) {
  const CertificateChain& chain = credentials.certificates;
  if (chain.empty() || chain.size() > kMaximumChain) {
    return fail(Category::malformed, "the credentials hold " + std::to_string(chain.size()) +
                                         " certificates; 1 to " + std::to_string(kMaximumChain) +
                                         " are possible");
  }
  if (!chain.front().certifies(credentials.key)) {
    return fail(Category::malformed, "the private key is not that of the first certificate");
  }
  if (!chain.front().names(credentials.self)) {
    return fail(Category::malformed,
                "the certificate's subjectAltName lacks the identity " + credentials.self.data);
  }
  TRY(chain.front().check_validity(now));
  return credentials.kms_certificate.certificate().check_validity(now);
}

std::size_t rand_octets(const Suite& suite, const KmsCredentials& credentials) noexcept {
  return std::max(suite.key_octets, credentials.psk.size());
}

std::size_t rand_octets(const Suite& suite, const PkCredentials& /*credentials*/) noexcept {
  return suite.key_octets;
}

Result<ExchangeKey> make_exchange_key(const Environment& /*env*/, const Suite& /*suite*/,
                                      const KmsCredentials& credentials) {
  return credentials.psk.retag<ExchangeKeyTag>();
}

// No clause says how long an envelope key is. As long as the suite's other keys: RFC 6043 12.1
// forbids shorter ones beside 256-bit algorithms, and the KMS can expect one length.
Result<ExchangeKey> make_exchange_key(const Environment& env, const Suite& suite,
                                      const PkCredentials& /*credentials*/) {
  return env.random.secret<ExchangeKeyTag>(suite.key_octets);
}

void add_identities(MessageBuilder& builder, IdRole sender, const KmsCredentials& credentials) {
  builder.idr(sender, credentials.self).idr(IdRole::kms, credentials.kms);
}

void add_identities(MessageBuilder& builder, IdRole sender, const PkCredentials& credentials) {
  builder.idr(sender, credentials.self);
  for (const Certificate& certificate : credentials.certificates) {
    builder.cert(CertType::x509v3, certificate.der());
  }
  builder.idr(IdRole::kms, credentials.kms);
}

Result<ByteVector> finish_with_proof(const Environment& /*env*/, MessageBuilder&& builder,
                                     const Suite& suite, const MessageContext& context,
                                     const ExchangeKey& key, const KmsCredentials& credentials) {
  if (!credentials.psk_id.empty()) {
    builder.idr(IdRole::psk, Identity::byte_string(credentials.psk_id));
  }
  const MessageKeys keys =
      TRY(derive_message_keys(suite, key.reveal(), context, Protects::integrity));
  return finish_with_mac(std::move(builder), suite, keys.auth,
                         {credentials.self.bytes(), credentials.kms.bytes()});
}

Result<ByteVector> finish_with_proof(const Environment& env, MessageBuilder&& builder,
                                     const Suite& suite, const MessageContext& /*context*/,
                                     const ExchangeKey& key, const PkCredentials& credentials) {
  const HashFunc hash = hash_of(suite);
  const KmsCertificate& kms = credentials.kms_certificate;
  const ByteVector kms_hash = TRY(kms.certificate().hash(hash));
  const ByteVector sealed = TRY(seal_envelope(env.random, kms, key.retag<EnvelopeKeyTag>()));
  builder.chash(hash, kms_hash).pke(EnvelopeCache::no_cache, sealed);
  // RFC 6043 5.5: the message without the Signature field, then Identity_i (or _r) and
  // Identity_kms.
  const Bytes covered = builder.begin_sign(credentials.signature, credentials.key.octets());
  const ByteVector signature =
      TRY(sign(credentials.key, credentials.signature, hash,
               {covered, credentials.self.bytes(), credentials.kms.bytes()}));
  return std::move(builder).end_sign(signature);
}

Result<void> check_pk_payloads(const Message& message) {
  const EnvelopeView pke = TRY(require(message.pke, message, "PKE", pk_clause(message)));
  const SignatureView signature = TRY(require(message.sign, message, "SIGN", pk_clause(message)));
  // RFC 3830 6.3: with 1 or 2 "the envelope key MUST be cached", to stand in for a pre-shared key
  // later. MIKEY-TICKET has no message that would use it, and we keep no state per request.
  if (pke.cache != EnvelopeCache::no_cache) {
    return refuse(Category::denied, ErrorNo::unspecified,
                  "the KMS is told to cache the envelope key (C = " +
                      std::to_string(static_cast<int>(pke.cache)) +
                      "), which it never does; send C = 0",
                  message.place("PKE", "RFC 3830 6.3", pke.data.data()));
  }
  if (signature.type != SignatureType::rsa_pkcs1 && signature.type != SignatureType::rsa_pss) {
    return refuse(Category::malformed, ErrorNo::unspecified,
                  "signature algorithm " + std::to_string(static_cast<int>(signature.type)) +
                      " is not supported; RSA/PKCS#1/1.5 (0) and RSA/PSS (1) are",
                  at_sign(message, "RFC 3830 6.5"));
  }
  return {};
}

Result<SharedPrf> verify_proof(const Message& message, const Identity& sender, const Identity& kms,
                               const Prepared<Psk>& psk) {
  if (!message.v) return other_variant(message);
  const Suite& suite = suite_of(message.header.prf);
  SharedPrf key = TRY(psk.prf(suite.prf));
  const MessageKeys keys =
      TRY(derive_message_keys(suite, *key, initial_context(message), Protects::integrity));
  TRY(verify_mac(suite, keys.auth, {message.without_mac(), sender.bytes(), kms.bytes()},
                 message.v->mac, message.place("V", "RFC 6043 5.5", message.v->mac.data())));
  // After the MAC: who cannot authenticate learns nothing about the key's length.
  TRY(check_rand(message, psk.size()));
  return key;
}

Result<SharedPrf> verify_proof(const Message& message, const Identity& sender, const Identity& kms,
                               const PkAuthentication& pk) {
  if (message.v) return other_variant(message);
  const Suite& suite = suite_of(message.header.prf);
  Place at_certificate{message.name(), "CERT", pk_clause(message), message.bytes.size()};
  CertificateChain chain = TRY(read_certificates(message, at_certificate));
  if (chain.empty()) chain = pk.known_certificates;
  if (chain.empty()) {
    return refuse(Category::unauthenticated, ErrorNo::invalid_cert,
                  "it carries no certificate, and none of its sender is known otherwise",
                  at_certificate);
  }
  TRY(at(at_certificate, pk.anchors.validate(chain, CertificateUse::signature, sender, pk.now)));
  TRY(verify_signature(chain.front(), message.sign->type, hash_of(suite),
                       {message.without_signature(), sender.bytes(), kms.bytes()},
                       message.sign->data, at_sign(message, "RFC 6043 5.5")));

  TRY(check_rand(message, suite.key_octets));
  const KmsKeyPair* pair = TRY(find_key_pair(message, pk.keys));
  const EnvelopeKey key =
      TRY(pair->open_envelope(*message.pke, suite.key_octets,
                              message.place("PKE", "RFC 3830 6.3", message.pke->data.data())));
  return share_prf(suite.prf, key.reveal());
}

}  // namespace keystub::mikey
