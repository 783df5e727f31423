// Certificates and private keys: what is read, what a chain must be to be trusted, and whom a
// certificate names (RFC 3830 4.3, RFC 5280).
#include "mikey/public_key/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mikey/error_message.h"
#include "tests/support/certificates.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;
using testing::CertificateText;
using ::testing::HasSubstr;
using testing::kTestTime;
using testing::rsa_key;
using testing::TestCa;
using testing::to_pem;

constexpr const char* kAliceUri = "URI:sip:alice@example.com";
const Identity kAlice = Identity::uri("sip:alice@example.com");

class Certificates : public ::testing::Test {
 protected:
  TrustAnchors anchors(std::string_view revocation_lists = {}) const {
    return TrustAnchors::make({root_.certificate()}, revocation_lists).value();
  }

  CertificateChain chain(const CertificateText& text) const {
    return {intermediate_.issue(text, rsa_key("alice")), intermediate_.certificate()};
  }

  static Result<void> validate(const TrustAnchors& anchors, const CertificateChain& chain,
                               CertificateUse use = CertificateUse::signature,
                               WallTime now = kTestTime) {
    return anchors.validate(chain, use, kAlice, now);
  }

  // Refused as somebody who proves nothing, with this in the text.
  static void expect_refused(const Result<void>& result, const std::string& text) {
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().category(), Category::unauthenticated);
    EXPECT_EQ(error_no_for(result.error()), ErrorNo::invalid_cert);
    EXPECT_THAT(result.error().text(), HasSubstr(text));
  }

  TestCa root_{"root"};
  TestCa intermediate_{"intermediate", &root_};
  CertificateText alice_{"Alice", kAliceUri};
};

TEST_F(Certificates, ChainThatLeadsToAnAnchorIsTrusted) {
  EXPECT_TRUE(validate(anchors(), chain(alice_)).has_value());
  EXPECT_TRUE(validate(anchors(), chain(alice_), CertificateUse::envelope).has_value());
  CertificateChain with_root = chain(alice_);
  with_root.push_back(root_.certificate());
  EXPECT_TRUE(validate(anchors(), with_root).has_value());
}

// RFC 3830 4.3.2 has both models: a trusted root, and peers that are trusted one by one.
TEST_F(Certificates, AnchorMayBeAnyCaOrTheCertificateItself) {
  const auto below = TrustAnchors::make({intermediate_.certificate()}).value();
  EXPECT_TRUE(validate(below, chain(alice_)).has_value());
  const Certificate own = chain(alice_).front();
  const auto alone = TrustAnchors::make({own}).value();
  EXPECT_TRUE(validate(alone, {own}).has_value());
  EXPECT_FALSE(validate(alone, {chain(alice_).front()}).has_value())
      << "another certificate for the same key is another certificate";
}

TEST_F(Certificates, ChainToAnotherAnchorIsRefused) {
  const TestCa other("root");
  expect_refused(validate(TrustAnchors::make({other.certificate()}).value(), chain(alice_)),
                 "not trusted");
}

TEST_F(Certificates, ChainWithAGapIsRefused) {
  expect_refused(validate(anchors(), {chain(alice_).front()}), "local issuer");
}

// [6043-4.2.1.3-05] [6043-4.2.3.3-05]
TEST_F(Certificates, CertificateThatDoesNotCertifyTheOneBeforeItIsRefused) {
  const CertificateChain good = chain(alice_);
  const TestCa other("other");
  expect_refused(validate(anchors(), {good[0], good[1], other.certificate()}),
                 "certificate 3 of the chain does not certify");
  expect_refused(validate(anchors(), {good[0], root_.certificate(), good[1]}),
                 "certificate 2 of the chain does not certify");
}

TEST_F(Certificates, EmptyAndOverlongChainsAreRefused) {
  expect_refused(validate(anchors(), {}), "0 certificates");
  expect_refused(validate(anchors(), CertificateChain(kMaximumChain + 1, root_.certificate())),
                 "9 certificates");
}

TEST_F(Certificates, IssuerThatIsNoCaIsRefused) {
  CertificateText text = alice_;
  text.key_usage = "critical,digitalSignature,keyCertSign";
  const PrivateKey& mallory = rsa_key("bob");
  const Certificate no_ca = intermediate_.issue(text, mallory);
  const CertificateChain forged{
      TestCa::issue_by(no_ca, *mallory.handle(), alice_, *rsa_key("alice").handle()), no_ca,
      intermediate_.certificate()};
  expect_refused(validate(anchors(), forged), "invalid CA certificate");
}

TEST_F(Certificates, ValidityIsThatOfTheClock) {
  const CertificateChain good = chain(alice_);
  const auto trust = anchors();
  expect_refused(validate(trust, good, CertificateUse::signature, alice_.not_before - 1s),
                 "not yet valid");
  expect_refused(validate(trust, good, CertificateUse::signature, alice_.not_after + 1s),
                 "has expired");
  EXPECT_TRUE(good.front().check_validity(kTestTime).has_value());
  EXPECT_EQ(good.front().check_validity(alice_.not_before - 1s).error().category(),
            Category::expired);
  EXPECT_EQ(good.front().check_validity(alice_.not_after + 1s).error().category(),
            Category::expired);
}

// RFC 3830 4.3.1: lists are looked at where the local policy has some, and then all of them.
TEST_F(Certificates, RevokedCertificatesAreRefused) {
  const CertificateChain good = chain(alice_);
  const std::string none = root_.revocation_list() + intermediate_.revocation_list();
  EXPECT_TRUE(validate(anchors(none), good).has_value());
  expect_refused(
      validate(anchors(root_.revocation_list() + intermediate_.revocation_list({good[0]})), good),
      "certificate 1 of the chain is not trusted: certificate revoked");
  expect_refused(
      validate(anchors(root_.revocation_list({good[1]}) + intermediate_.revocation_list()), good),
      "certificate 2 of the chain is not trusted: certificate revoked");
}

TEST_F(Certificates, RevocationListsMustBeThereForEachIssuerAndCurrent) {
  const CertificateChain good = chain(alice_);
  expect_refused(validate(anchors(root_.revocation_list()), good), "unable to get certificate CRL");
  const auto trust = anchors(root_.revocation_list() + intermediate_.revocation_list());
  expect_refused(validate(trust, good, CertificateUse::signature, kTestTime + 24h),
                 "CRL has expired");
}

TEST_F(Certificates, UseMustBeAllowed) {
  CertificateText text = alice_;
  text.key_usage = "critical,keyEncipherment";
  expect_refused(validate(anchors(), chain(text)), "lacks digitalSignature");
  EXPECT_TRUE(validate(anchors(), chain(text), CertificateUse::envelope).has_value());
  text.key_usage = "critical,digitalSignature";
  EXPECT_TRUE(validate(anchors(), chain(text)).has_value());
  expect_refused(validate(anchors(), chain(text), CertificateUse::envelope),
                 "lacks keyEncipherment");
  text.key_usage.clear();
  EXPECT_TRUE(validate(anchors(), chain(text)).has_value()) << "no keyUsage restricts nothing";

  text = alice_;
  text.extended_key_usage = "serverAuth";
  expect_refused(validate(anchors(), chain(text)), "extendedKeyUsage");
  text.extended_key_usage = "serverAuth,anyExtendedKeyUsage";
  EXPECT_TRUE(validate(anchors(), chain(text)).has_value());
}

// [3830-9.1-02] As strong as what is protected.
TEST_F(Certificates, WeakAndOtherKeysAreRefused) {
  const auto weak = testing::make_rsa(1024);
  expect_refused(validate(anchors(), {root_.issue(alice_, *weak)}), "key too weak");
  const Certificate elliptic = root_.issue(alice_, *testing::make_elliptic());
  expect_refused(validate(anchors(), {elliptic}), "no RSA key");
}

TEST_F(Certificates, NameIsTheAlternativeNameToTheOctet) {
  CertificateText text = alice_;
  text.alternative_names = "URI:sip:alice@example.com,email:alice@example.com,DNS:example.com";
  const Certificate certificate = chain(text).front();
  EXPECT_TRUE(certificate.names(kAlice));
  EXPECT_TRUE(certificate.names({IdType::nai, "alice@example.com"}));
  EXPECT_FALSE(certificate.names({IdType::nai, "sip:alice@example.com"}));
  EXPECT_FALSE(certificate.names({IdType::byte_string, "sip:alice@example.com"}));
  EXPECT_FALSE(certificate.names({IdType{9}, "sip:alice@example.com"}));
  for (const char* other : {"sip:alice@example.co", "sip:alice@example.com2",
                            "sip:Alice@example.com", "alice@example.com", "example.com", ""}) {
    EXPECT_FALSE(certificate.names(Identity::uri(other))) << other;
  }
  expect_refused(anchors().validate(chain(text), CertificateUse::signature,
                                    Identity::uri("sip:bob@example.com"), kTestTime),
                 "its subjectAltName lacks sip:bob@example.com");
}

TEST_F(Certificates, CommonNameAndWildcardsNameNobody) {
  CertificateText text = alice_;
  text.alternative_names.clear();
  text.name = kAlice.data;
  EXPECT_FALSE(chain(text).front().names(kAlice));
  text.alternative_names = "URI:sip:*@example.com";
  EXPECT_FALSE(chain(text).front().names(kAlice));
}

TEST_F(Certificates, ReadsDerAndPem) {
  const CertificateChain good = chain(alice_);
  const auto again = Certificate::from_pem(to_pem(good[0]) + to_pem(good[1])).value();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_TRUE(equal(again[1].der(), good[1].der()));
  EXPECT_TRUE(equal(Certificate::from_der(good[0].der()).value().der(), good[0].der()));

  ByteVector longer = to_vector(good[0].der());
  longer.push_back(0);
  EXPECT_FALSE(Certificate::from_der(longer).has_value());
  EXPECT_FALSE(Certificate::from_der(good[0].der().first(100)).has_value());
  EXPECT_FALSE(Certificate::from_der({}).has_value());
  EXPECT_FALSE(Certificate::from_pem("").has_value());
  EXPECT_FALSE(Certificate::from_pem("no certificate").has_value());
  EXPECT_FALSE(
      Certificate::from_pem(to_pem(good[0]) + "-----BEGIN CERTIFICATE-----\nAAAA\n").has_value());
}

TEST_F(Certificates, HashIsThatOfTheDerForm) {
  EXPECT_EQ(root_.certificate().hash(HashFunc::sha_256).value().size(), 32U);
  EXPECT_EQ(root_.certificate().hash(HashFunc::sha_1).value().size(), 20U);
  EXPECT_EQ(error_no_for(root_.certificate().hash(HashFunc::md5).error()), ErrorNo::invalid_ha);
}

TEST_F(Certificates, SayWhoseTheyAreAndForHowLong) {
  alice_.alternative_names = "URI:sip:alice@example.com,email:alice@example.com,URI:tel:+4989123";
  const Certificate alice = chain(alice_).front();
  EXPECT_EQ(alice.subject(), "CN=Alice");
  EXPECT_EQ(alice.uris(), (std::vector<std::string>{"sip:alice@example.com", "tel:+4989123"}));
  EXPECT_EQ(alice.not_after(), alice_.not_after);
  EXPECT_TRUE(root_.certificate().uris().empty());
}

TEST_F(Certificates, AListNamesWhatItsIssuerRevoked) {
  const CertificateChain good = chain(alice_);
  const Certificate by_root = root_.issue(alice_, rsa_key("alice"));
  const auto trust = anchors(root_.revocation_list() + intermediate_.revocation_list({good[0]}));
  EXPECT_TRUE(trust.revokes(good[0]));
  EXPECT_FALSE(trust.revokes(good[1]));
  EXPECT_FALSE(trust.revokes(by_root));
  EXPECT_FALSE(anchors().revokes(good[0])) << "there is no list";
}

TEST_F(Certificates, AnchorsAndListsThatAreNoneAreRefused) {
  EXPECT_FALSE(TrustAnchors::make({}).has_value());
  EXPECT_FALSE(TrustAnchors::make({root_.certificate()}, "no list").has_value());
  EXPECT_FALSE(TrustAnchors::make({root_.certificate()}, to_pem(root_.certificate())).has_value());
}

TEST(PrivateKeys, ArePlainRsaKeysOfSufficientLength) {
  const auto read = [](std::string pem) { return PrivateKey::from_pem(PrivateKeyPem::take(pem)); };
  EXPECT_EQ(read(to_pem(*rsa_key("alice").handle())).value().octets(), 256U);
  EXPECT_THAT(read(to_pem(*testing::make_rsa(1024))).error().text(), HasSubstr("1024 bits"));
  EXPECT_THAT(read(to_pem(*testing::make_elliptic())).error().text(), HasSubstr("no RSA key"));
  EXPECT_THAT(read("").error().text(), HasSubstr("no private key"));
  // OpenSSL must not ask for a password.
  EXPECT_THAT(read(to_pem(*rsa_key("alice").handle(), "password")).error().text(),
              HasSubstr("encrypted"));
  EXPECT_THAT(read("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                   "-----END ENCRYPTED PRIVATE KEY-----\n")
                  .error()
                  .text(),
              HasSubstr("encrypted"));
}

}  // namespace
}  // namespace keystub::mikey
