// A certificate authority for tests: keys and certificates made at run time, valid around
// kTestTime.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mikey/public_key/certificate.h"
#include "tests/support/fake_clock.h"

namespace keystub::testing {

// A key pair in OpenSSL's hands.
using RawKey = std::shared_ptr<evp_pkey_st>;
RawKey make_rsa(unsigned bits);
RawKey make_elliptic();
std::string to_pem(evp_pkey_st& private_key, const char* password = nullptr);
std::string to_pem(const mikey::Certificate& certificate);

// An RSA key of 2048 bits. Made once per program and label, because making one takes long.
const mikey::PrivateKey& rsa_key(const std::string& label);

// RSA without padding, and RSA PKCS #1 v1.5 as OpenSSL does it.
ByteVector rsa_raw_encrypt(const mikey::Certificate& to, Bytes encoded_message);
ByteVector rsa_pkcs1_encrypt(const mikey::Certificate& to, Bytes message);
ByteVector rsa_pkcs1_decrypt(const mikey::PrivateKey& key, Bytes data);

// What a certificate says. Extensions are in OpenSSL's notation; an empty one is left out.
struct CertificateText {
  std::string name;               // of the subject, its CN
  std::string alternative_names;  // "URI:sip:alice@example.com"
  std::string key_usage = "critical,digitalSignature,keyEncipherment";
  std::string extended_key_usage = {};
  WallTime not_before = kTestTime - std::chrono::days(1);
  WallTime not_after = kTestTime + std::chrono::days(365);
};

// A CA with an elliptic-curve key, which is made fast. Not thread-safe.
class TestCa {
 public:
  explicit TestCa(const std::string& name, const TestCa* issuer = nullptr);

  const mikey::Certificate& certificate() const noexcept { return certificate_; }
  mikey::Certificate issue(const CertificateText& text, evp_pkey_st& key) const;
  mikey::Certificate issue(const CertificateText& text, const mikey::PrivateKey& key) const {
    return issue(text, *key.handle());
  }
  // By whoever holds `issuer_key`, whether `issuer` is a CA or not.
  static mikey::Certificate issue_by(const mikey::Certificate& issuer, evp_pkey_st& issuer_key,
                                     const CertificateText& text, evp_pkey_st& key);
  // A revocation list in PEM form, valid for a day after kTestTime - 1 h.
  std::string revocation_list(const std::vector<mikey::Certificate>& revoked = {}) const;

 private:
  RawKey key_;
  mikey::Certificate certificate_;
};

}  // namespace keystub::testing
