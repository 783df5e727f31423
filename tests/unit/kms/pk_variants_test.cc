// REQUEST_INIT_PK and RESOLVE_INIT_PK through the heart of the KMS: KMS-1 and KMS-2 for holders of
// certificates, KMS-6 and KMS-7 for everybody else.
#include <sys/stat.h>

#include "mikey/message_builder.h"
#include "tests/support/certificates.h"
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using mikey::CertificateChain;
using mikey::Identity;
using mikey::PkCredentials;
using mikey::TicketRequest;
using testing::CertificateText;
using ::testing::HasSubstr;
using testing::rsa_key;
using testing::TestCa;
using testing::to_pem;
using namespace std::chrono_literals;

class PkVariants : public KmsFixture {
 protected:
  PkVariants() {
    pk_settings.enabled = true;
    pk_settings.certificate = folder.write("pk.pem", to_pem(kms_certificate));
    pk_settings.private_key = write_key("pk.key", "kms");
    pk_settings.trust_anchors = folder.write("anchors.pem", to_pem(ca.certificate()));
    restart();
  }

  std::filesystem::path write_key(std::string_view name, const std::string& label) const {
    const auto file = folder.write(name, to_pem(*rsa_key(label).handle()));
    ::chmod(file.c_str(), 0600);
    return file;
  }
  // A file with a time of its own, so that it is seen to have changed.
  void replace(std::string_view name, std::string_view content) {
    const auto file = folder.write(name, content);
    std::filesystem::last_write_time(
        file, std::filesystem::file_time_type::clock::now() + ++replaced * 1s);
  }

  static CertificateText text_for(std::string_view uri) {
    return {std::string(uri), "URI:" + std::string(uri)};
  }
  PkCredentials holder(const char* uri, CertificateChain chain, const std::string& label) const {
    return {Identity::uri(uri), settings.kms, std::move(chain), rsa_key(label),
            mikey::KmsCertificate::pinned(kms_certificate).value()};
  }
  PkCredentials alice() const {
    return holder(kAlice, {ca.issue(text_for(kAlice), rsa_key("alice"))}, "alice");
  }
  PkCredentials bob() const {
    return holder(kBob, {ca.issue(text_for(kBob), rsa_key("bob"))}, "bob");
  }
  ByteVector request_init(const PkCredentials& own) {
    mikey::TicketPolicy wished = wish({kBob});
    wished.idr_i = own.self;
    return to_vector(TicketRequest::start(env(), own, std::move(wished)).value().message());
  }
  // The same, but with this certificate or none, or without IDRi: what our own side would not send.
  ByteVector odd_request_init(const PkCredentials& own,
                              const std::optional<mikey::Certificate>& certificate,
                              bool with_identity = true) {
    const ByteVector plain = request_init(own);
    const auto message = mikey::Message::parse(plain).value();
    mikey::MessageBuilder builder(message.header);
    auto walker = message.payloads();
    while (const mikey::Payload* payload = walker.next().value()) {
      if (std::holds_alternative<mikey::CertificateView>(payload->value)) {
        if (certificate) builder.cert(mikey::CertType::x509v3, certificate->der());
        continue;
      }
      const auto* identity = std::get_if<mikey::RoleIdentity>(&payload->value);
      if (!with_identity && identity != nullptr && identity->role == mikey::IdRole::initiator) {
        continue;
      }
      if (std::holds_alternative<mikey::SignatureView>(payload->value)) break;
      builder.payload(payload->value);
    }
    const Bytes covered = builder.begin_sign(own.signature, own.key.octets());
    const auto signature = mikey::sign(own.key, own.signature, mikey::HashFunc::sha_256,
                                       {covered, own.self.bytes(), own.kms.bytes()});
    return std::move(builder).end_sign(signature.value()).value();
  }
  Result<mikey::GrantedTicket> request_as(const PkCredentials& own) {
    mikey::TicketPolicy wished = wish({kBob});
    wished.idr_i = own.self;
    const auto exchange = TRY(TicketRequest::start(env(), own, std::move(wished)));
    last_answer = ask(exchange.message());
    if (!last_answer) return fail(last_answer.error().category, last_answer.error().reason);
    return exchange.finish(*last_answer);
  }
  // Refused as somebody who proved nothing, under this rule of the audit.
  void expect_refused(const PkCredentials& own, const std::string& rule) {
    expect_refused(request_init(own), rule);
  }
  void expect_refused(const ByteVector& message, const std::string& rule) {
    last_answer = ask(message);
    ASSERT_FALSE(last_answer.has_value()) << rule;
    EXPECT_EQ(last_answer.error().category, Category::unauthenticated) << rule;
    EXPECT_TRUE(last_answer.error().mikey_error.empty()) << rule;
    EXPECT_EQ(audit_lines().back()["rule"], rule) << audit_lines().back();
  }
  std::string fingerprint(const mikey::Certificate& certificate) const {
    return to_hex(fingerprint_of(certificate).value());
  }
  void pin(const char* uri, const mikey::Certificate& certificate) {
    const auto pinned = admin->add_certificate(operator_caller, uri, certificate.der());
    ASSERT_TRUE(pinned.has_value()) << pinned.error().text();
  }

  TestCa ca{"users"};
  TestCa elsewhere{"elsewhere"};
  mikey::Certificate kms_certificate = ca.issue(text_for("sip:kms@example.com"), rsa_key("kms"));
  int replaced = 0;
};

// ---------------------------------------------------------------------------------- KMS-1, KMS-2

TEST_F(PkVariants, KMS_1_KMS_2_AHolderOfACertificateGetsATicketAndAnotherResolvesIt) {
  auto granted = request_as(alice());
  ASSERT_TRUE(granted.has_value()) << granted.error().describe();
  EXPECT_EQ(granted->policy.idr_i, Identity::uri(kAlice));
  auto line = audit_lines().back();
  EXPECT_EQ(line["method"], "pk");
  EXPECT_EQ(line["identity"], kAlice);
  EXPECT_EQ(line["certificate"].get<std::string>().size(), 64U);

  const auto made =
      offer(std::make_shared<const mikey::GrantedTicket>(std::move(*granted)), kAlice, kBob)
          .value();
  const auto received = mikey::ReceivedTransfer::parse(made.message()).value();
  const PkCredentials responder = bob();
  const auto exchange = mikey::TicketResolve::start(env(), responder, received.ticket()).value();
  last_answer = ask(exchange.message());
  ASSERT_TRUE(last_answer.has_value()) << audit_lines().back();
  auto resolved = exchange.finish(*last_answer);
  ASSERT_TRUE(resolved.has_value()) << resolved.error().describe();
  EXPECT_TRUE(received.verify(std::move(*resolved), Identity::uri(kBob)).has_value());
  line = audit_lines().back();
  EXPECT_EQ(line["method"], "pk");
  EXPECT_EQ(line["certificate"], fingerprint(responder.certificates.front()));
  EXPECT_EQ(line["ticket_id"].get<std::string>().size(), 32U);

  ASSERT_TRUE(request(kAlice, wish({kBob})).has_value()) << "with the pre-shared key as before";
  EXPECT_EQ(audit_lines().back()["method"], "psk");
  EXPECT_FALSE(audit_lines().back().contains("certificate"));
}

TEST_F(PkVariants, KMS_1_ThePolicyIsThatOfTheIdentityHoweverItProvesItself) {
  PolicyRule rule;
  rule.scope = RuleScope::identity;
  rule.subject = kAlice;
  rule.responders = std::vector<std::string>{kCarol};
  ASSERT_TRUE(policy_admin->set(operator_caller, rule).has_value());
  ASSERT_FALSE(request_as(alice()).has_value());
  EXPECT_EQ(last_answer.error().category, Category::denied);
  EXPECT_EQ(audit_lines().back()["policy"], std::string("identity ") + kAlice);
  EXPECT_FALSE(last_answer.error().mikey_error.empty()) << "it is authenticated: it may know why";
}

TEST_F(PkVariants, ACertificateSpeaksForTheUriThatItNames) {
  ASSERT_TRUE(admin->add_alias(operator_caller, kAlice, "tel:+4989123").has_value());
  const auto by_alias = ca.issue(text_for("tel:+4989123"), rsa_key("alice"));
  EXPECT_TRUE(request_as(holder("tel:+4989123", {by_alias}, "alice")).has_value());

  // The library would not send it: an identity that is not in the certificate.
  PkCredentials other_name = alice();
  const ByteVector message = request_init(other_name);
  const std::string name = kAlice;
  ByteVector renamed = message;
  const auto at = std::ranges::search(renamed, as_bytes(name)).begin();
  std::ranges::copy(as_bytes("sip:carol@example.com"), at);
  expect_refused(renamed, "certificate");
}

// RFC 6043 4.2.1.3: IDRi may be left out.
TEST_F(PkVariants, WithoutAnIdentityInTheMessageTheCertificateSaysWhoItIs) {
  const PkCredentials own = alice();
  last_answer = ask(odd_request_init(own, own.certificates.front(), false));
  EXPECT_TRUE(last_answer.has_value()) << audit_lines().back();
  EXPECT_EQ(audit_lines().back()["identity"], kAlice);
}

// ------------------------------------------------------------------------------------------ KMS-6

TEST_F(PkVariants, KMS_6_TheReplayWindowHoldsThemToo) {
  const ByteVector message = request_init(alice());
  EXPECT_TRUE(ask(message).has_value());
  last_answer = ask(message);
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(error_no(), mikey::ErrorNo::invalid_ts);
  restart();
  last_answer = ask(message);
  EXPECT_EQ(last_category(), Category::expired) << "after a restart as well";

  const ByteVector late = request_init(alice());
  clock.advance(2min);
  last_answer = ask(late);
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(error_no(), mikey::ErrorNo::invalid_ts);
  EXPECT_EQ(last_answer.error().clock_skew, -2min);
}

// ------------------------------------------------------------------------------------------ KMS-7

TEST_F(PkVariants, KMS_7_WhoIsNotProvenGetsOneAnswerWhateverWasWrong) {
  const PkCredentials good = alice();
  ByteVector tampered = request_init(good);
  tampered.back() ^= 1;
  CertificateText expired = text_for(kAlice);
  expired.not_after = clock.now() - 1s;
  CertificateText not_yet = text_for(kAlice);
  not_yet.not_before = clock.now() + 1s;
  const auto signed_by = [&](const mikey::Certificate& certificate) {
    return odd_request_init(good, certificate);
  };
  const char* const nobody = "sip:nobody@example.com";
  const PkCredentials unknown =
      holder(nobody, {ca.issue(text_for(nobody), rsa_key("alice"))}, "alice");

  std::vector<std::pair<ByteVector, std::string>> attempts = {
      {request_init(unknown), "unknown"},
      {tampered, "signature"},
      {signed_by(ca.issue(expired, rsa_key("alice"))), "certificate"},
      {signed_by(ca.issue(not_yet, rsa_key("alice"))), "certificate"},
      {signed_by(elsewhere.issue(text_for(kAlice), rsa_key("alice"))), "certificate"},
      {signed_by(ca.issue(text_for(kCarol), rsa_key("alice"))), "certificate"},
      {signed_by(kms_certificate), "certificate"},
  };
  std::vector<Refusal> refusals;
  for (const auto& [message, rule] : attempts) {
    const std::size_t before = store->look_ups();
    expect_refused(message, rule);
    EXPECT_EQ(store->look_ups() - before, 1U) << rule << ": the same look-ups";
    refusals.push_back(last_answer.error());
  }
  ASSERT_TRUE(admin->suspend(operator_caller, kAlice).has_value());
  expect_refused(good, "suspended");
  refusals.push_back(last_answer.error());
  for (const Refusal& refusal : refusals) {
    EXPECT_EQ(refusal.reason, refusals[0].reason);
    EXPECT_EQ(refusal.retry_after, refusals[0].retry_after);
    EXPECT_EQ(refusal.server_time, refusals[0].server_time);
    EXPECT_FALSE(refusal.clock_skew.has_value());
  }
}

TEST_F(PkVariants, KMS_7_NothingIsRememberedAboutASenderThatProvedNothing) {
  const ByteVector message = request_init(alice());
  ByteVector forged = message;
  forged[30] ^= 1;
  EXPECT_FALSE(ask(forged).has_value());
  EXPECT_TRUE(ask(message).has_value());
}

TEST_F(PkVariants, KMS_7_FailuresBackOffBeforeAnyRsa) {
  limit_settings.free_failures = 2;
  restart();
  const PkCredentials stranger =
      holder(kAlice, {elsewhere.issue(text_for(kAlice), rsa_key("alice"))}, "alice");
  expect_refused(stranger, "certificate");
  expect_refused(stranger, "certificate");
  EXPECT_FALSE(request_as(alice()).has_value());
  EXPECT_EQ(last_category(), Category::busy);
  EXPECT_EQ(audit_lines().back()["rule"], "backoff");
}

TEST_F(PkVariants, KMS_7_AMessageWithACertificateCountsAsMany) {
  limit_settings.per_peer = {1, 41};
  limit_settings.public_key_cost = 20;
  restart();
  EXPECT_TRUE(request_as(alice()).has_value());
  EXPECT_TRUE(request_as(alice()).has_value());
  EXPECT_FALSE(request_as(alice()).has_value());
  EXPECT_EQ(last_category(), Category::busy);
  EXPECT_EQ(last_answer.error().retry_after, 19s);
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value()) << "one with a key still fits";
}

TEST_F(PkVariants, KMS_7_TooManyThatWaitForAThreadAreRefusedAsBusy) {
  executor_waiting = 0;
  restart();
  EXPECT_FALSE(request_as(alice()).has_value());
  EXPECT_EQ(last_category(), Category::busy);
}

// -------------------------------------------------------------------------------------- revocation

TEST_F(PkVariants, ARevokedCertificateIsRefusedFromTheNextLookAtTheListOn) {
  const PkCredentials own = alice();
  pk_settings.crl = folder.write("crl.pem", ca.revocation_list());
  restart();
  EXPECT_TRUE(request_as(own).has_value());

  replace("crl.pem", ca.revocation_list({own.certificates.front()}));
  EXPECT_TRUE(request_as(own).has_value()) << "the file is not looked at each time";
  pk->reload(pk_settings);
  expect_refused(own, "certificate");
  EXPECT_THAT(audit_lines().back()["reason"].get<std::string>(), HasSubstr("certificate revoked"));

  replace("crl.pem", ca.revocation_list());
  clock.advance(kPkInterval);
  EXPECT_TRUE(request_as(own).has_value()) << "noticed without a signal";
}

TEST_F(PkVariants, AListThatIsOutOfDateRefusesAllOfItsIssuer) {
  pk_settings.crl = folder.write("crl.pem", ca.revocation_list());
  restart();
  clock.advance(24h);
  expect_refused(alice(), "certificate");
  EXPECT_THAT(audit_lines().back()["reason"].get<std::string>(), HasSubstr("CRL has expired"));
}

TEST_F(PkVariants, FilesThatCannotBeUsedLeaveWhatWasThere) {
  replace("pk.pem", to_pem(ca.issue(text_for("sip:kms@example.com"), rsa_key("other"))));
  clock.advance(kPkInterval);
  EXPECT_TRUE(request_as(alice()).has_value());
  ASSERT_FALSE(log_lines.empty());
  EXPECT_THAT(log_lines.back(), HasSubstr("pk.key"));
  const std::size_t told = log_lines.size();
  clock.advance(kPkInterval);
  EXPECT_TRUE(request_as(alice()).has_value());
  EXPECT_EQ(log_lines.size(), told) << "said once";
}

// ---------------------------------------------------------------------------------------- the KMS

TEST_F(PkVariants, ThePairBeforeOpensWhatIsStillEncryptedForIt) {
  const ByteVector for_the_old_one = request_init(alice());
  const ByteVector another = request_init(alice());
  pk_settings.previous_certificate = pk_settings.certificate;
  pk_settings.previous_private_key = pk_settings.private_key;
  const auto next = ca.issue(text_for("sip:kms@example.com"), rsa_key("next"));
  pk_settings.certificate = folder.write("next.pem", to_pem(next));
  pk_settings.private_key = write_key("next.key", "next");
  pk->reload(pk_settings);
  EXPECT_TRUE(ask(for_the_old_one).has_value());

  pk_settings.previous_certificate.clear();
  pk_settings.previous_private_key.clear();
  pk->reload(pk_settings);
  last_answer = ask(another);
  ASSERT_FALSE(last_answer.has_value());
  EXPECT_EQ(last_answer.error().category, Category::malformed);
  EXPECT_THAT(last_answer.error().reason, HasSubstr("get its present one"));
}

TEST_F(PkVariants, CanBeSwitchedOffAndOnWhileItRuns) {
  PkSettings off = pk_settings;
  off.enabled = false;
  pk->reload(off);
  EXPECT_FALSE(request_as(alice()).has_value());
  EXPECT_EQ(last_category(), Category::malformed);
  pk->reload(pk_settings);
  EXPECT_TRUE(request_as(alice()).has_value());
}

TEST_F(PkVariants, AKeyThatOthersMayReadIsRefused) {
  ::chmod(pk_settings.private_key.c_str(), 0644);
  const auto refused = PkMaterial::load(pk_settings);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::denied);
  EXPECT_THAT(refused.error().text(), HasSubstr("chmod 600"));
}

// --------------------------------------------------------------------------------- pinned

TEST_F(PkVariants, APinnedCertificateCountsWhoeverIssuedIt) {
  const auto own = elsewhere.issue(text_for(kAlice), rsa_key("alice"));
  const PkCredentials stranger = holder(kAlice, {own}, "alice");
  expect_refused(stranger, "certificate");
  pin(kAlice, own);
  EXPECT_TRUE(request_as(stranger).has_value());
  EXPECT_EQ(audit_lines().back()["certificate"], fingerprint(own));

  // For nobody else, and for no other certificate of that issuer.
  const auto carol = elsewhere.issue(text_for(kCarol), rsa_key("alice"));
  expect_refused(holder(kCarol, {carol}, "alice"), "certificate");

  ASSERT_TRUE(
      admin->remove_certificate(operator_caller, kAlice, fingerprint_of(own).value()).has_value());
  expect_refused(stranger, "certificate");
  EXPECT_TRUE(request_as(alice()).has_value()) << "certificates of the anchors count as before";
}

TEST_F(PkVariants, OnlyPinnedCertificatesCountWithoutAnchors) {
  pk_settings.trust_anchors.clear();
  restart();
  const PkCredentials own = alice();
  expect_refused(own, "certificate");
  pin(kAlice, own.certificates.front());
  EXPECT_TRUE(request_as(own).has_value());
}

TEST_F(PkVariants, APinnedCertificateThatIsRevokedDoesNotCount) {
  const PkCredentials own = alice();
  pin(kAlice, own.certificates.front());
  pk_settings.crl = folder.write("crl.pem", ca.revocation_list({own.certificates.front()}));
  restart();
  expect_refused(own, "certificate");
}

TEST_F(PkVariants, APinnedCertificateNeedNotTravel) {
  const PkCredentials own = alice();
  const auto without = [&] { return odd_request_init(own, std::nullopt); };
  expect_refused(without(), "certificate");
  pin(kAlice, own.certificates.front());
  last_answer = ask(without());
  EXPECT_TRUE(last_answer.has_value()) << audit_lines().back();
  ByteVector forged = without();
  forged.back() ^= 1;
  expect_refused(forged, "signature");
}

TEST_F(PkVariants, OnlyCertificatesThatCouldAuthenticateAreTakenFromTheOperator) {
  const auto refused = [&](const mikey::Certificate& certificate) {
    const auto added = admin->add_certificate(operator_caller, kAlice, certificate.der());
    return added ? std::string() : added.error().text();
  };
  EXPECT_THAT(refused(ca.issue(text_for(kBob), rsa_key("bob"))), HasSubstr("names no URI of"));
  CertificateText text = text_for(kAlice);
  text.not_after = clock.now() - 1s;
  EXPECT_THAT(refused(ca.issue(text, rsa_key("alice"))), HasSubstr("expired"));
  EXPECT_THAT(refused(ca.issue(text_for(kAlice), *testing::make_elliptic())),
              HasSubstr("no RSA key"));
  const auto junk = admin->add_certificate(operator_caller, kAlice, as_bytes("no certificate"));
  EXPECT_EQ(junk.error().category(), Category::malformed);

  const auto good = ca.issue(text_for(kAlice), rsa_key("alice"));
  EXPECT_EQ(refused(good), "");
  EXPECT_EQ(audit_lines().back()["operation"], "admin.add_certificate");
  EXPECT_EQ(audit_lines().back()["detail"], fingerprint(good));
  EXPECT_THAT(refused(good), HasSubstr("already"));
}

}  // namespace
}  // namespace keystub::kms
