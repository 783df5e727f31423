// The public-key variants: REQUEST_INIT_PK and RESOLVE_INIT_PK (RFC 6043 4.2.1.3 and 4.2.3.3,
// RFC 3830 3.2, 4.2.5, 4.2.6, 6.3, 6.5, 6.7, 6.8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mikey/message_builder.h"
#include "mikey/protection.h"
#include "tests/support/certificates.h"
#include "tests/unit/mikey/exchanges.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;
using testing::CertificateText;
using ::testing::HasSubstr;
using testing::rsa_key;
using testing::TestCa;

// The parties of Exchanges with certificates in place of pre-shared keys.
class PublicKeyVariants : public Exchanges {
 protected:
  static CertificateText text_for(std::string_view uri) {
    return {std::string(uri), "URI:" + std::string(uri)};
  }

  static KmsKeyPair key_pair(const TestCa& ca, const std::string& label) {
    return KmsKeyPair::make(ca.issue(text_for(kKms), rsa_key(label)), rsa_key(label)).value();
  }

  PkCredentials credentials_of(std::string_view uri, const std::string& label) const {
    return {Identity::uri(std::string(uri)),
            Identity::uri(std::string(kKms)),
            {intermediate_.issue(text_for(uri), rsa_key(label)), intermediate_.certificate()},
            rsa_key(label),
            KmsCertificate::pinned(keys_.front().certificate()).value()};
  }

  PkAuthentication pk() const { return {anchors_, keys_, clock_.now()}; }

  TicketRequest start(const PkCredentials& credentials, const TicketPolicy& wished) {
    return TicketRequest::start(env_, credentials, wished).value();
  }
  TicketRequest start() { return start(alice_pk_, wish()); }

  // A ticket for Bob that Alice got by pre-shared key, as it arrives at Bob.
  ByteVector transfer_init() { return to_vector(offer(request(wish(), wish()).value()).message()); }
  TicketResolve start_resolve(const PkCredentials& credentials) {
    transfer_init_ = transfer_init();
    return TicketResolve::start(env_, credentials,
                                ReceivedTransfer::parse(transfer_init_).value().ticket())
        .value();
  }

  Result<AuthenticatedRequest> receive(Bytes message) const { return receive(message, pk()); }
  Result<AuthenticatedRequest> receive(Bytes message, const PkAuthentication& pk) const {
    const ReceivedRequest received = TRY(ReceivedRequest::parse(message));
    return received.authenticate(pk, alice_pk_.self, alice_pk_.kms);
  }
  Result<AuthenticatedResolve> receive_resolve(Bytes message) const {
    const ReceivedResolve received = TRY(ReceivedResolve::parse(message));
    return received.authenticate(pk(), bob_pk_.self, bob_pk_.kms);
  }
  Result<ByteVector> grant(const AuthenticatedRequest& authenticated) {
    return TRY(authenticated.grant(env_, wish(), wish().keys, protection())).message;
  }

  // Where a part of a message is.
  static std::size_t offset_of(Bytes message, Bytes part) {
    return static_cast<std::size_t>(part.data() - message.data());
  }

  // Signs again what was changed, as Alice.
  ByteVector signed_again(ByteVector changed) const {
    const Message message = Message::parse(changed).value();
    const ByteVector signature =
        sign(alice_pk_.key, message.sign->type, hash_of(suite_of(message.header.prf)),
             {message.without_signature(), alice_pk_.self.bytes(), alice_pk_.kms.bytes()})
            .value();
    std::ranges::copy(signature, changed.end() - static_cast<std::ptrdiff_t>(signature.size()));
    return changed;
  }

  // What Alice sends, with another PKE of the same length.
  ByteVector with_pke(const TicketRequest& request, Bytes data) const {
    ByteVector changed = to_vector(request.message());
    const Message message = Message::parse(changed).value();
    const std::size_t at = offset_of(changed, message.pke->data);
    std::ranges::copy(data, changed.begin() + static_cast<std::ptrdiff_t>(at));
    return signed_again(std::move(changed));
  }

  // A message of Alice's, put together by hand: certificates, then `more`, then her signature.
  struct Parts {
    DataType type = DataType::request_init_pk;
    PrfFunc prf = PrfFunc::hmac_sha_256;
    std::size_t rand_octets = 32;
    CertType cert_type = CertType::x509v3;
    std::vector<ByteVector> certificates;
    std::optional<CertificateHashView> chash;
    EnvelopeCache cache = EnvelopeCache::no_cache;
    SignatureType signature = SignatureType::rsa_pkcs1;
  };
  Parts parts() const {
    Parts parts;
    for (const Certificate& certificate : alice_pk_.certificates) {
      parts.certificates.push_back(to_vector(certificate.der()));
    }
    return parts;
  }
  ByteVector build(const Parts& parts) {
    TicketPolicy policy = wish();
    policy.prf = parts.prf;
    MessageBuilder builder(parts.type, true, parts.prf, 7);
    builder.t(Timestamp::from(clock_.now()))
        .randr(RandRole::initiator, ByteVector(parts.rand_octets, 5))
        .idr(IdRole::initiator, alice_pk_.self);
    for (const ByteVector& der : parts.certificates) builder.cert(parts.cert_type, der);
    builder.tp(policy);
    if (parts.chash) builder.chash(parts.chash->hash, parts.chash->value);
    const EnvelopeKey key(suite_of(parts.prf).key_octets);
    builder.pke(parts.cache, seal_envelope(random_, alice_pk_.kms_certificate, key).value());
    const Bytes covered = builder.begin_sign(parts.signature, alice_pk_.key.octets());
    const ByteVector signature = sign(alice_pk_.key, parts.signature, hash_of(suite_of(parts.prf)),
                                      {covered, alice_pk_.self.bytes(), alice_pk_.kms.bytes()})
                                     .value();
    return std::move(builder).end_sign(signature).value();
  }

  template <class T>
  static void expect_refused(const Result<T>& result, Category category, ErrorNo number,
                             const Place& place, const std::string& text) {
    ASSERT_FALSE(result.has_value()) << text;
    const Error& error = result.error();
    EXPECT_EQ(error.category(), category) << error.describe();
    EXPECT_EQ(error_no_for(error), number) << error.describe();
    ASSERT_TRUE(error.place().has_value()) << error.describe();
    EXPECT_EQ(error.place()->message, place.message) << error.describe();
    EXPECT_EQ(error.place()->payload, place.payload) << error.describe();
    EXPECT_EQ(error.place()->clause, place.clause) << error.describe();
    EXPECT_THAT(error.text(), HasSubstr(text));
  }

  TestCa root_{"root"};
  TestCa intermediate_{"intermediate", &root_};
  TrustAnchors anchors_ = TrustAnchors::make({root_.certificate()}).value();
  std::vector<KmsKeyPair> keys_{key_pair(root_, "kms")};
  PkCredentials alice_pk_ = credentials_of(kAlice, "alice");
  PkCredentials bob_pk_ = credentials_of(kBob, "bob");
  ByteVector transfer_init_;
};

// ------------------------------------------------------------------------------- whole exchanges

// [6043-4.2.1-01] [6043-4.2.1-02] [3830-4.2.5-01] [3830-4.2.6-01] [3830-4.2.6-02]
TEST_F(PublicKeyVariants, TicketIsGrantedUnderBothSuitesAndBothSignatureSchemes) {
  for (const PrfFunc prf : {PrfFunc::mikey_1, PrfFunc::hmac_sha_256}) {
    for (const SignatureType type : {SignatureType::rsa_pkcs1, SignatureType::rsa_pss}) {
      alice_pk_.signature = type;
      TicketPolicy wished = wish();
      wished.prf = prf;
      wished.keys[0].key_octets = static_cast<std::uint16_t>(suite_of(prf).key_octets);
      const TicketRequest request = start(alice_pk_, wished);
      const auto authenticated = receive(request.message());
      ASSERT_TRUE(authenticated.has_value()) << authenticated.error().describe();
      EXPECT_EQ(authenticated->wish(), wished);
      const auto response =
          authenticated->grant(env_, wished, wished.keys, {Tpk(ByteVector(32, 9)), "tpk-1", ""})
              .value();
      const auto granted = request.finish(response.message);
      ASSERT_TRUE(granted.has_value()) << granted.error().describe();
      EXPECT_EQ(granted->session_keys.size(), 1U);
    }
  }
}

// [6043-4.2.3-02] [6043-4.2.3-03]
TEST_F(PublicKeyVariants, TicketIsResolvedAndBothEndsShareTheKeys) {
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const ReceivedTransfer received = ReceivedTransfer::parse(offered.message()).value();
  const TicketResolve resolve = TicketResolve::start(env_, bob_pk_, received.ticket()).value();
  const auto authenticated = receive_resolve(resolve.message());
  ASSERT_TRUE(authenticated.has_value()) << authenticated.error().describe();
  const ByteVector response =
      authenticated->open(Tpk(ByteVector(32, 9))).value().respond(env_, bob_pk_.self).value();
  const VerifiedTransfer verified =
      received.verify(resolve.finish(response).value(), bob_pk_.self).value();
  const TransferAnswer answered = verified.respond(env_, {bob_pk_.self, {}, {}}).value();
  EXPECT_EQ(offered.accept(answered.message).value().sessions[0].tek,
            answered.established.sessions[0].tek);
}

// [6043-4.2.1.3-01] [6043-4.2.1.3-03] [6043-4.2.1.3-04]
TEST_F(PublicKeyVariants, RequestHoldsThePayloadsOfTheClauseInTheirOrder) {
  const TicketRequest request = start();
  const Message message = Message::parse(request.message()).value();
  EXPECT_EQ(message.header.data_type, DataType::request_init_pk);
  EXPECT_TRUE(message.header.v_flag);
  using enum PayloadType;
  const std::vector<PayloadType> expected{t,   randr, idr,   cert, cert,
                                          idr, tp,    chash, pke,  PayloadType::sign};
  std::vector<PayloadType> found;
  std::vector<ByteVector> certificates;
  PayloadWalker walker = message.payloads();
  while (const auto payload = walker.next().value()) {
    found.push_back(payload->type);
    if (const auto* view = std::get_if<CertificateView>(&payload->value)) {
      EXPECT_EQ(view->type, CertType::x509v3);
      certificates.push_back(to_vector(view->data));
    }
  }
  EXPECT_EQ(found, expected);
  ASSERT_EQ(certificates.size(), 2U);
  EXPECT_TRUE(equal(certificates[0], alice_pk_.certificates[0].der())) << "the initiator's first";
  EXPECT_TRUE(equal(certificates[1], alice_pk_.certificates[1].der()));
  EXPECT_EQ(message.pke->cache, EnvelopeCache::no_cache);
}

// [6043-4.2.3.3-01] [6043-4.2.3.3-03] [6043-4.2.3.3-04]
TEST_F(PublicKeyVariants, ResolveHoldsThePayloadsOfTheClauseInTheirOrder) {
  const TicketResolve resolve = start_resolve(bob_pk_);
  const Message message = Message::parse(resolve.message()).value();
  EXPECT_EQ(message.header.data_type, DataType::resolve_init_pk);
  EXPECT_TRUE(message.header.v_flag);
  using enum PayloadType;
  const std::vector<PayloadType> expected{t,   randr,  idr,   cert, cert,
                                          idr, ticket, chash, pke,  PayloadType::sign};
  std::vector<PayloadType> found;
  PayloadWalker walker = message.payloads();
  while (const auto payload = walker.next().value()) found.push_back(payload->type);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(message.idr_r->text(), kBob);
}

// With nothing of ours but the PRF: OpenSSL opens PKE, and the keys of REQUEST_RESP come from it.
// [6043-4.2.1-02] [6043-4.2.1.5-06] [6043-4.2.1.5-13]
TEST_F(PublicKeyVariants, ResponseIsProtectedWithKeysFromTheEnvelopeKey) {
  const TicketRequest request = start();
  const ByteVector response = grant(receive(request.message()).value()).value();
  const Message init = Message::parse(request.message()).value();
  const Message answer = Message::parse(response).value();
  const ByteVector envelope_key = testing::rsa_pkcs1_decrypt(rsa_key("kms"), init.pke->data);
  ASSERT_EQ(envelope_key.size(), 32U);
  const MessageKeys keys =
      derive_message_keys(kSuite256, envelope_key, {init.header.csb_id, true, *init.randr_i, {}},
                          Protects::integrity_and_keys)
          .value();
  const Mac expected =
      compute_mac(kSuite256, keys.auth, {answer.without_mac(), request.message()}).value();
  EXPECT_TRUE(equal(expected.bytes(), answer.v->mac));
  const auto carried =
      open_kemac(kSuite256, keys, init.header.csb_id, *answer.t, *answer.kemac, {});
  ASSERT_TRUE(carried.has_value()) << carried.error().describe();
  EXPECT_EQ(carried->mpks.size(), 2U);
}

// [6043-4.2.3-03] [6043-4.2.3.5-06] [6043-4.2.3.5-15] The same for RESOLVE_RESP.
TEST_F(PublicKeyVariants, ResolveResponseIsProtectedWithKeysFromTheEnvelopeKey) {
  const TicketResolve resolve = start_resolve(bob_pk_);
  const auto opened =
      receive_resolve(resolve.message()).value().open(Tpk(ByteVector(32, 9))).value();
  const ByteVector response = opened.respond(env_, bob_pk_.self).value();
  const Message init = Message::parse(resolve.message()).value();
  const Message answer = Message::parse(response).value();
  const ByteVector envelope_key = testing::rsa_pkcs1_decrypt(rsa_key("kms"), init.pke->data);
  const MessageKeys keys =
      derive_message_keys(kSuite256, envelope_key, {init.header.csb_id, true, {}, *init.randr_r},
                          Protects::integrity_and_keys)
          .value();
  const Mac expected =
      compute_mac(kSuite256, keys.auth, {answer.without_mac(), resolve.message()}).value();
  EXPECT_TRUE(equal(expected.bytes(), answer.v->mac));
  const auto carried =
      open_kemac(kSuite256, keys, init.header.csb_id, *answer.t, *answer.kemac, {});
  ASSERT_TRUE(carried.has_value()) << carried.error().describe();
  EXPECT_EQ(carried->mpks.size(), 2U);
}

TEST_F(PublicKeyVariants, EnvelopeKeyIsAsLongAsTheKeysOfTheSuite) {
  TicketPolicy wished = wish();
  wished.prf = PrfFunc::mikey_1;
  const TicketRequest request = start(alice_pk_, wished);
  const Message init = Message::parse(request.message()).value();
  EXPECT_EQ(testing::rsa_pkcs1_decrypt(rsa_key("kms"), init.pke->data).size(), 16U);
}

TEST_F(PublicKeyVariants, RefusalByTheKmsReachesTheSender) {
  const TicketRequest request = start();
  const auto authenticated = receive(request.message()).value();
  const auto refused = request.finish(authenticated.refuse(env_, ErrorNo::invalid_tppar).value());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(error_no_for(refused.error()), ErrorNo::invalid_tppar);
}

// --------------------------------------------------------------------------------- what is signed

TEST_F(PublicKeyVariants, AnyChangedOctetOfARequestIsRefused) {
  const TicketRequest request = start();
  for (std::size_t i = 0; i < request.message().size(); ++i) {
    ByteVector changed = to_vector(request.message());
    changed[i] ^= 0x01;
    const auto result = receive(changed);
    ASSERT_FALSE(result.has_value()) << "octet " << i;
    ASSERT_TRUE(result.error().place().has_value()) << i << ": " << result.error().text();
    EXPECT_FALSE(result.error().place()->message.empty()) << i;
    EXPECT_FALSE(result.error().place()->payload.empty()) << i;
    EXPECT_FALSE(result.error().place()->clause.empty()) << i;
  }
}

TEST_F(PublicKeyVariants, AnyChangedOctetOfAResolveIsRefused) {
  bob_pk_.certificates = {root_.issue(text_for(kBob), rsa_key("bob"))};
  const TicketResolve resolve = start_resolve(bob_pk_);
  for (std::size_t i = 0; i < resolve.message().size(); ++i) {
    ByteVector changed = to_vector(resolve.message());
    changed[i] ^= 0x80;
    const auto result = receive_resolve(changed);
    ASSERT_FALSE(result.has_value()) << "octet " << i;
    ASSERT_TRUE(result.error().place().has_value()) << i << ": " << result.error().text();
    EXPECT_FALSE(result.error().place()->payload.empty()) << i;
    EXPECT_FALSE(result.error().place()->clause.empty()) << i;
  }
}

// RFC 6043 5.5: the identities follow the message, also where IDR payloads are left out.
TEST_F(PublicKeyVariants, SignatureCoversBothIdentities) {
  const TicketRequest request = start();
  const ReceivedRequest received = ReceivedRequest::parse(request.message()).value();
  expect_refused(
      received.authenticate(pk(), alice_pk_.self, Identity::uri("sip:other-kms@example.com")),
      Category::unauthenticated, ErrorNo::auth_failure,
      {"REQUEST_INIT_PK", "SIGN", "RFC 6043 5.5", 0}, "the signature does not verify");

  CertificateText both = text_for(kAlice);
  both.alternative_names += ",URI:sip:alice@home.example.com";
  alice_pk_.certificates = {root_.issue(both, rsa_key("alice"))};
  const TicketRequest as_alice = start();
  expect_refused(
      ReceivedRequest::parse(as_alice.message())
          .value()
          .authenticate(pk(), Identity::uri("sip:alice@home.example.com"), alice_pk_.kms),
      Category::unauthenticated, ErrorNo::auth_failure,
      {"REQUEST_INIT_PK", "SIGN", "RFC 6043 5.5", 0}, "the signature does not verify");
}

TEST_F(PublicKeyVariants, SignatureOfAnotherSchemeOrHashIsRefused) {
  for (const SignatureType type : {SignatureType::rsa_pkcs1, SignatureType::rsa_pss}) {
    const ByteVector signature =
        sign(alice_pk_.key, type, HashFunc::sha_256, {as_bytes("text")}).value();
    const auto verified = [&](SignatureType as, HashFunc hash) {
      return verify_signature(alice_pk_.certificates[0], as, hash, {as_bytes("te"), as_bytes("xt")},
                              signature, {})
          .has_value();
    };
    EXPECT_TRUE(verified(type, HashFunc::sha_256));
    EXPECT_FALSE(verified(type, HashFunc::sha_1));
    EXPECT_FALSE(
        verified(type == SignatureType::rsa_pss ? SignatureType::rsa_pkcs1 : SignatureType::rsa_pss,
                 HashFunc::sha_256));
  }
}

// [3830-4.2.1-01] SHA-1 is the default hash; the 256-bit suite has only SHA-256 (RFC 6043 12.1).
TEST_F(PublicKeyVariants, HashOfTheSignatureIsThatOfTheSuite) {
  EXPECT_EQ(hash_of(kSuite128), HashFunc::sha_1);
  EXPECT_EQ(hash_of(kSuite256), HashFunc::sha_256);
  for (const PrfFunc prf : {PrfFunc::mikey_1, PrfFunc::hmac_sha_256}) {
    TicketPolicy wished = wish();
    wished.prf = prf;
    const TicketRequest request = start(alice_pk_, wished);
    const Message message = Message::parse(request.message()).value();
    const auto verified = [&](HashFunc hash) {
      return verify_signature(
                 alice_pk_.certificates[0], message.sign->type, hash,
                 {message.without_signature(), alice_pk_.self.bytes(), alice_pk_.kms.bytes()},
                 message.sign->data, {})
          .has_value();
    };
    EXPECT_EQ(verified(HashFunc::sha_1), prf == PrfFunc::mikey_1);
    EXPECT_EQ(verified(HashFunc::sha_256), prf == PrfFunc::hmac_sha_256);
    EXPECT_EQ(message.chash->hash, hash_of(suite_of(prf)));
  }
}

// ------------------------------------------------------------------------------------ who is who

constexpr Place kAtCert{"REQUEST_INIT_PK", "CERT", "RFC 3830 6.7", 0};

TEST_F(PublicKeyVariants, CertificateOfSomebodyElseIsRefused) {
  PkCredentials mallory = credentials_of("sip:mallory@example.com", "bob");
  const TicketRequest honest = start(mallory, wish());
  expect_refused(receive(honest.message()), Category::unauthenticated, ErrorNo::invalid_cert,
                 kAtCert, "names somebody else: its subjectAltName lacks sip:alice@example.com");
}

TEST_F(PublicKeyVariants, UntrustedCertificatesAreRefused) {
  const TestCa other("root");
  alice_pk_.certificates = {other.issue(text_for(kAlice), rsa_key("alice"))};
  expect_refused(receive(start().message()), Category::unauthenticated, ErrorNo::invalid_cert,
                 kAtCert, "is not trusted");
}

TEST_F(PublicKeyVariants, ExpiredAndRevokedCertificatesAreRefused) {
  const TicketRequest request = start();
  clock_.set_now(testing::kTestTime + std::chrono::days(366));
  expect_refused(receive(request.message()), Category::unauthenticated, ErrorNo::invalid_cert,
                 kAtCert, "has expired");
  clock_.set_now(testing::kTestTime);

  const auto with_lists =
      TrustAnchors::make(
          {root_.certificate()},
          root_.revocation_list() + intermediate_.revocation_list({alice_pk_.certificates[0]}))
          .value();
  expect_refused(receive(request.message(), {with_lists, keys_, clock_.now()}),
                 Category::unauthenticated, ErrorNo::invalid_cert, kAtCert, "certificate revoked");
}

// [6043-4.2.1.3-05]
TEST_F(PublicKeyVariants, ChainInAnotherOrderIsRefused) {
  Parts mixed = parts();
  mixed.certificates.push_back(to_vector(root_.certificate().der()));
  EXPECT_TRUE(receive(build(mixed)).has_value());
  std::swap(mixed.certificates[1], mixed.certificates[2]);
  expect_refused(receive(build(mixed)), Category::unauthenticated, ErrorNo::invalid_cert, kAtCert,
                 "certificate 2 of the chain does not certify the one before it");
}

TEST_F(PublicKeyVariants, CertPayloadsThatCannotBeUsedAreRefused) {
  Parts odd = parts();
  for (const CertType type : {CertType::url, CertType::encr, CertType{9}}) {
    odd.cert_type = type;
    expect_refused(receive(build(odd)), Category::malformed, ErrorNo::invalid_cert, kAtCert,
                   "send X.509v3 (0) or X.509v3 Sign (2)");
  }
  odd.cert_type = CertType::sign;
  EXPECT_TRUE(receive(build(odd)).has_value());

  odd = parts();
  odd.certificates[1] = {1, 2, 3};
  expect_refused(receive(build(odd)), Category::malformed, ErrorNo::invalid_cert, kAtCert,
                 "not one X.509 certificate");
  odd = parts();
  odd.certificates.resize(kMaximumChain + 1, odd.certificates[1]);
  expect_refused(receive(build(odd)), Category::malformed, ErrorNo::invalid_cert, kAtCert,
                 "more than 8 certificates");
}

// [6043-4.2.1.3-02] [6043-4.2.3.3-02]
TEST_F(PublicKeyVariants, CertificatesMayBeLeftOutWhereTheKmsKnowsThem) {
  Parts none = parts();
  none.certificates.clear();
  const ByteVector message = build(none);
  expect_refused(receive(message), Category::unauthenticated, ErrorNo::invalid_cert,
                 {"REQUEST_INIT_PK", "CERT", "RFC 6043 4.2.1.3", 0}, "carries no certificate");
  EXPECT_TRUE(
      receive(message, {anchors_, keys_, clock_.now(), alice_pk_.certificates}).has_value());
  EXPECT_FALSE(receive(message, {anchors_, keys_, clock_.now(), bob_pk_.certificates}).has_value());
}

// ------------------------------------------------------------------------------- the envelope key

TEST_F(PublicKeyVariants, ChashPicksTheKeyPairOfTheKms) {
  const KmsKeyPair older = key_pair(root_, "older kms");
  keys_.insert(keys_.begin(), older);
  const TicketRequest request = start();
  const auto granted = request.finish(grant(receive(request.message()).value()).value());
  EXPECT_TRUE(granted.has_value()) << granted.error().describe();
}

TEST_F(PublicKeyVariants, WithoutChashTheFirstKeyPairIsTaken) {
  const ByteVector message = build(parts());
  EXPECT_TRUE(receive(message).has_value());
}

TEST_F(PublicKeyVariants, ChashOfACertificateThatTheKmsDoesNotHaveIsRefused) {
  const TicketRequest request = start();
  keys_ = {key_pair(root_, "older kms")};
  expect_refused(receive(request.message()), Category::not_found, ErrorNo::invalid_cert,
                 {"REQUEST_INIT_PK", "CHASH", "RFC 3830 6.8", 0}, "this KMS does not have");
  keys_.clear();
  EXPECT_EQ(receive(request.message()).error().category(), Category::internal);
}

TEST_F(PublicKeyVariants, ChashByOtherHashes) {
  Parts hashed = parts();
  const ByteVector sha_1 = keys_[0].certificate().hash(HashFunc::sha_1).value();
  hashed.chash = {HashFunc::sha_1, sha_1};
  EXPECT_TRUE(receive(build(hashed)).has_value());
  const ByteVector md5(16);
  hashed.chash = {HashFunc::md5, md5};
  expect_refused(receive(build(hashed)), Category::malformed, ErrorNo::invalid_ha,
                 {"REQUEST_INIT_PK", "CHASH", "RFC 3830 6.8", 0}, "MD5");
}

// The answer to a PKE with wrong padding is that to a wrong envelope key, in every respect that
// shows: the KMS goes on, and the initiator cannot verify what comes back.
TEST_F(PublicKeyVariants, WrongPaddingAndWrongEnvelopeKeyGetTheSameAnswer) {
  const TicketRequest request = start();
  const ByteVector right = to_vector(Message::parse(request.message()).value().pke->data);
  const Certificate& kms = keys_[0].certificate();
  ByteVector zero_in_padding(256, 0xAA);
  zero_in_padding[0] = 0;
  zero_in_padding[1] = 2;
  zero_in_padding[223] = 0;
  zero_in_padding[100] = 0;
  ByteVector wrong_type = zero_in_padding;
  wrong_type[100] = 0xAA;
  wrong_type[1] = 1;
  ByteVector no_padding(256, 0);
  no_padding[255] = 1;
  const std::pair<const char*, ByteVector> rows[] = {
      {"another envelope key", testing::rsa_pkcs1_encrypt(kms, ByteVector(32, 1))},
      {"a shorter one", testing::rsa_pkcs1_encrypt(kms, ByteVector(16, 1))},
      {"a longer one", testing::rsa_pkcs1_encrypt(kms, ByteVector(33, 1))},
      {"none", testing::rsa_pkcs1_encrypt(kms, {})},
      {"zero in the padding", testing::rsa_raw_encrypt(kms, zero_in_padding)},
      {"block type 1", testing::rsa_raw_encrypt(kms, wrong_type)},
      {"no padding", testing::rsa_raw_encrypt(kms, no_padding)},
      {"encrypted for another key",
       [&] {
         ByteVector data = testing::rsa_pkcs1_encrypt(bob_pk_.certificates[0], ByteVector(32, 1));
         data[0] = 0;  // below any modulus
         return data;
       }()},
  };
  std::optional<Error> first;
  std::size_t response_size = 0;
  for (const auto& [what, pke] : rows) {
    const ByteVector message = with_pke(request, pke);
    const auto authenticated = receive(message);
    ASSERT_TRUE(authenticated.has_value()) << what << ": " << authenticated.error().describe();
    const ByteVector response = grant(*authenticated).value();
    const auto result = request.finish(response);
    ASSERT_FALSE(result.has_value()) << what;
    if (!first) {
      first = result.error();
      response_size = response.size();
    }
    EXPECT_EQ(result.error().category(), Category::unauthenticated) << what;
    EXPECT_EQ(result.error().category(), first->category()) << what;
    EXPECT_EQ(error_no_for(result.error()), error_no_for(*first)) << what;
    EXPECT_EQ(result.error().describe(), first->describe()) << what;
    EXPECT_EQ(response.size(), response_size) << what;
  }
  EXPECT_TRUE(receive(with_pke(request, right)).has_value());
}

TEST_F(PublicKeyVariants, EnvelopeThatDoesNotOpenGivesAKeyOfItsOwnAlwaysTheSame) {
  const Certificate& kms = keys_[0].certificate();
  const auto open = [&](Bytes data, std::size_t octets = 32) {
    return keys_[0].open_envelope({EnvelopeCache::no_cache, data}, octets, {}).value();
  };
  const EnvelopeKey key(ByteVector(32, 7));
  const ByteVector good = seal_envelope(random_, KmsCertificate::pinned(kms).value(), key).value();
  EXPECT_EQ(open(good), key);
  EXPECT_EQ(open(testing::rsa_pkcs1_encrypt(kms, key.reveal())), key);
  EXPECT_EQ(open(good, 16).size(), 16U);
  EXPECT_FALSE(equal(open(good, 16).reveal(), key.reveal().first(16)));

  ByteVector em(256, 0xAA);  // PKCS #1 v1.5, right but for one octet
  em[0] = 0;
  em[1] = 2;
  em[223] = 0;
  EXPECT_EQ(open(testing::rsa_raw_encrypt(kms, em)), EnvelopeKey(Bytes(em).last(32)));
  std::vector<EnvelopeKey> seen;
  for (const auto& [at, octet] :
       {std::pair(1, 0), {1, 1}, {1, 3}, {2, 0}, {9, 0}, {222, 0}, {223, 1}, {223, 0x80}}) {
    ByteVector wrong = em;
    wrong[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(octet);
    const ByteVector data = testing::rsa_raw_encrypt(kms, wrong);
    EnvelopeKey opened = open(data);
    EXPECT_FALSE(opened == EnvelopeKey(Bytes(em).last(32))) << at << " = " << octet;
    EXPECT_EQ(opened, open(data)) << "the same data, the same key: " << at << " = " << octet;
    EXPECT_EQ(std::ranges::count(seen, opened), 0) << at << " = " << octet;
    seen.push_back(std::move(opened));
  }
}

TEST_F(PublicKeyVariants, EnvelopeThatAnybodySeesToBeWrongIsRefused) {
  const Place place{"REQUEST_INIT_PK", "PKE", "RFC 3830 6.3", 0};
  const auto open = [&](const ByteVector& data) {
    return keys_[0].open_envelope({EnvelopeCache::no_cache, data}, 32, place);
  };
  expect_refused(open(ByteVector(255, 1)), Category::malformed, ErrorNo::unspecified, place,
                 "has 255 octets, the modulus of the KMS's key 256");
  expect_refused(open(ByteVector(256, 0xFF)), Category::malformed, ErrorNo::unspecified, place,
                 "no number below the modulus");
}

// Certificates, then signature, then PKE: the first thing that is wrong is what is named.
TEST_F(PublicKeyVariants, PkeIsOpenedOnlyAfterCertificateAndSignature) {
  const TicketRequest request = start();
  const ByteVector no_number(256, 0xFF);
  const ByteVector message = with_pke(request, no_number);
  expect_refused(receive(message), Category::malformed, ErrorNo::unspecified,
                 {"REQUEST_INIT_PK", "PKE", "RFC 3830 6.3", 0}, "no number below the modulus");

  ByteVector badly_signed = message;
  badly_signed.back() ^= 1;
  expect_refused(receive(badly_signed), Category::unauthenticated, ErrorNo::auth_failure,
                 {"REQUEST_INIT_PK", "SIGN", "RFC 6043 5.5", 0}, "the signature does not verify");

  const TestCa other("root");
  const TrustAnchors others = TrustAnchors::make({other.certificate()}).value();
  expect_refused(receive(badly_signed, {others, keys_, clock_.now()}), Category::unauthenticated,
                 ErrorNo::invalid_cert, kAtCert, "is not trusted");
}

// [3830-6.3-01] [3830-6.3-02] [3830-6.3-03] What is not cached must not be promised.
TEST_F(PublicKeyVariants, EnvelopeKeyThatIsToBeCachedIsRefused) {
  Parts cached = parts();
  for (const EnvelopeCache cache :
       {EnvelopeCache::cache, EnvelopeCache::cache_for_csb, EnvelopeCache{3}}) {
    cached.cache = cache;
    expect_refused(ReceivedRequest::parse(build(cached)), Category::denied, ErrorNo::unspecified,
                   {"REQUEST_INIT_PK", "PKE", "RFC 3830 6.3", 0}, "send C = 0");
  }
}

// [6043-12.1-05]
TEST_F(PublicKeyVariants, RandShorterThanTheEnvelopeKeyIsRefused) {
  Parts short_rand = parts();
  short_rand.rand_octets = 31;
  expect_refused(receive(build(short_rand)), Category::malformed, ErrorNo::unspecified,
                 {"REQUEST_INIT_PK", "RANDR", "RFC 6043 12.1", 0}, "too short");
  short_rand.rand_octets = 32;
  EXPECT_TRUE(receive(build(short_rand)).has_value());
}

// ------------------------------------------------------------------------- what is no such message

TEST_F(PublicKeyVariants, MessageWithoutPkeOrSignIsRefused) {
  MessageBuilder no_pke(DataType::request_init_pk, true, PrfFunc::hmac_sha_256, 7);
  no_pke.t(Timestamp::from(clock_.now())).randr(RandRole::initiator, ByteVector(32, 5)).tp(wish());
  MessageBuilder no_sign = no_pke;
  no_pke.begin_sign(SignatureType::rsa_pkcs1, 256);
  const ByteVector without_pke = std::move(no_pke).end_sign(ByteVector(256)).value();
  expect_refused(ReceivedRequest::parse(without_pke), Category::malformed, ErrorNo::unspecified,
                 {"REQUEST_INIT_PK", "PKE", "RFC 6043 4.2.1.3", 0}, "lacks its PKE");
  no_sign.pke(EnvelopeCache::no_cache, ByteVector(256));
  const ByteVector without_sign = std::move(no_sign).end_without_v().value();
  expect_refused(ReceivedRequest::parse(without_sign), Category::malformed, ErrorNo::unspecified,
                 {"REQUEST_INIT_PK", "SIGN", "RFC 6043 4.2.1.3", 0}, "lacks its SIGN");
}

TEST_F(PublicKeyVariants, UnknownSignatureAlgorithmIsRefused) {
  ByteVector message = build(parts());
  const Message parsed = Message::parse(message).value();
  message[offset_of(message, parsed.sign->data) - 2] |= 0x70;
  expect_refused(ReceivedRequest::parse(message), Category::malformed, ErrorNo::unspecified,
                 {"REQUEST_INIT_PK", "SIGN", "RFC 3830 6.5", 0},
                 "signature algorithm 7 is not supported");
}

// Neither variant passes for the other.
TEST_F(PublicKeyVariants, EachVariantIsAuthenticatedInItsOwnWayOnly) {
  const TicketRequest by_psk = TicketRequest::start(env_, alice_, wish()).value();
  expect_refused(receive(by_psk.message()), Category::unauthenticated,
                 ErrorNo::unsupported_message_type, {"REQUEST_INIT_PSK", "HDR", "RFC 6043 6.1", 1},
                 "in another way");
  const TicketRequest by_certificate = start();
  expect_refused(ReceivedRequest::parse(by_certificate.message())
                     .value()
                     .authenticate(alice_.psk, alice_.self, alice_.kms),
                 Category::unauthenticated, ErrorNo::unsupported_message_type,
                 {"REQUEST_INIT_PK", "HDR", "RFC 6043 6.1", 1}, "in another way");
  EXPECT_FALSE(ReceivedResolve::parse(by_certificate.message()).has_value());
  const TicketResolve resolve = start_resolve(bob_pk_);
  EXPECT_FALSE(ReceivedRequest::parse(resolve.message()).has_value());
}

// ------------------------------------------------------------------------------ before it is sent

TEST_F(PublicKeyVariants, CredentialsThatNoKmsWouldAcceptAreRefusedBeforeAnythingIsSent) {
  const auto refused = [&](auto change, const std::string& text) {
    PkCredentials credentials = alice_pk_;
    change(credentials);
    const auto request = TicketRequest::start(env_, credentials, wish());
    ASSERT_FALSE(request.has_value()) << text;
    EXPECT_THAT(request.error().text(), HasSubstr(text));
  };
  refused([](PkCredentials& c) { c.certificates.clear(); }, "0 certificates");
  refused([](PkCredentials& c) { c.certificates.resize(9, c.certificates[0]); }, "9 certificates");
  refused([](PkCredentials& c) { c.key = rsa_key("bob"); }, "not that of the first certificate");
  refused([](PkCredentials& c) { c.self = Identity::uri("sip:eve@example.com"); },
          "lacks the identity sip:eve@example.com");
  clock_.advance(std::chrono::days(366));
  refused([](PkCredentials&) {}, "not valid now");
}

TEST_F(PublicKeyVariants, ExpiredCertificateOfTheKmsIsRefusedBeforeAnythingIsSent) {
  CertificateText old = text_for(kKms);
  old.not_after = testing::kTestTime - 1s;
  alice_pk_.kms_certificate = KmsCertificate::pinned(root_.issue(old, rsa_key("kms"))).value();
  EXPECT_EQ(TicketRequest::start(env_, alice_pk_, wish()).error().category(), Category::expired);
}

TEST_F(PublicKeyVariants, CertificateOfTheKmsMayBeValidated) {
  const Identity kms = Identity::uri(std::string(kKms));
  const CertificateChain chain{keys_[0].certificate()};
  EXPECT_TRUE(KmsCertificate::validated(anchors_, chain, kms, clock_.now()).has_value());
  EXPECT_FALSE(KmsCertificate::validated(anchors_, chain, alice_.self, clock_.now()).has_value());
  EXPECT_FALSE(
      KmsCertificate::validated(anchors_, chain, kms, clock_.now() + std::chrono::days(366))
          .has_value());
  EXPECT_FALSE(
      KmsCertificate::pinned(root_.issue(text_for(kKms), *testing::make_elliptic())).has_value());
}

TEST_F(PublicKeyVariants, KeyPairOfTheKmsMustBelongTogether) {
  EXPECT_FALSE(KmsKeyPair::make(keys_[0].certificate(), rsa_key("alice")).has_value());
}

TEST_F(PublicKeyVariants, FailingRandomnessIsAnErrorAndNoMessage) {
  random_.fail_from_now_on();
  EXPECT_EQ(TicketRequest::start(env_, alice_pk_, wish()).error().category(), Category::internal);
}

}  // namespace
}  // namespace keystub::mikey
