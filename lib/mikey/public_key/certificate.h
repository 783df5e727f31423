// X.509 certificates of the public-key variants: reading them, and validating a chain against
// trust anchors (RFC 3830 4.3 and 6.7, RFC 6043 4.2.1.3 and 4.2.3.3, RFC 5280).
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "mikey/payload/identity.h"
#include "mikey/public_key/private_key.h"

struct x509_st;        // OpenSSL's X509
struct x509_store_st;  // OpenSSL's X509_STORE

namespace keystub::mikey {

// A parsed certificate. Immutable; copies share it. Threads: const use from several is safe.
class Certificate {
 public:
  // Exactly one certificate. Errors are malformed.
  static Result<Certificate> from_der(Bytes der);
  // All certificates of a PEM text, in their order; at least one.
  static Result<std::vector<Certificate>> from_pem(std::string_view pem);

  // As it travels in a CERT payload.
  Bytes der() const noexcept { return *der_; }
  // Hash over the DER form, as CHASH carries it. MD5 is refused (malformed, Invalid HA).
  Result<ByteVector> hash(HashFunc func) const;

  // Whether its subjectAltName holds `identity`: a URI as uniformResourceIdentifier, an NAI as
  // rfc822Name, compared octet by octet, without wildcards. The subject's distinguished name is
  // not consulted; a byte string names nobody.
  bool names(const Identity& identity) const;
  // The uniformResourceIdentifiers of its subjectAltName.
  std::vector<std::string> uris() const;
  // The subject's distinguished name, for people: "CN=Alice,O=Example" (RFC 4514).
  std::string subject() const;
  // To the second; later than a WallTime can say: the last one that it can. What cannot be read is
  // 1970.
  WallTime not_after() const;
  // Refuses (expired) before notBefore and after notAfter.
  Result<void> check_validity(WallTime now) const;

  x509_st* handle() const noexcept { return certificate_.get(); }
  // Borrowed; null if it cannot be read.
  evp_pkey_st* public_key() const noexcept;
  // Whether `key` is the private half of its public key.
  bool certifies(const PrivateKey& key) const noexcept;

 private:
  explicit Certificate(std::shared_ptr<x509_st> certificate, ByteVector der)
      : certificate_(std::move(certificate)),
        der_(std::make_shared<const ByteVector>(std::move(der))) {}

  std::shared_ptr<x509_st> certificate_;
  std::shared_ptr<const ByteVector> der_;
};

// The owner's certificate first, then each one that directly certifies the one before it; the
// trust anchor itself may be left out.
using CertificateChain = std::vector<Certificate>;
inline constexpr std::size_t kMaximumChain = 8;

// What the owner's key is used for: decides which bit a keyUsage extension must have.
enum class CertificateUse : std::uint8_t {
  signature,  // SIGN: digitalSignature
  envelope,   // PKE: keyEncipherment
};

// The certificates that are trusted without being certified by another: CAs (roots or not), or
// single peers (the two models of RFC 3830 4.3.2). Copies share them. Threads: const use from
// several threads is safe.
class TrustAnchors {
 public:
  // At least one anchor. With revocation lists (a PEM text with all of them) each certificate of
  // a chain, the anchor too, must be on the current list of its issuer, unrevoked; an issuer
  // without a list, or with an outdated one, is refused. Without any, revocation is not looked at.
  static Result<TrustAnchors> make(const std::vector<Certificate>& anchors,
                                   std::string_view revocation_lists_pem = {});

  // Whether the chain leads to an anchor at `now` and its first certificate may be used as `use`
  // by `subject`: signatures of 112 bits of strength or more (no SHA-1), CA flags, path lengths,
  // name constraints and unknown critical extensions as RFC 5280 says (OpenSSL's strict mode); an
  // RSA key of 2048 to 8192 bits; a keyUsage, where there is one, that allows `use`; an
  // extendedKeyUsage, where there is one, that allows anything (no purpose names MIKEY); `subject`
  // among its names. Errors are unauthenticated, with Invalid Cert.
  Result<void> validate(const CertificateChain& chain, CertificateUse use, const Identity& subject,
                        WallTime now) const;

  // Whether one of the revocation lists names the certificate, however old the list is. For a
  // certificate that is trusted for itself, whose issuer need not be an anchor.
  bool revokes(const Certificate& certificate) const;

 private:
  TrustAnchors(std::shared_ptr<x509_store_st> store, bool revocation)
      : store_(std::move(store)), revocation_(revocation) {}

  std::shared_ptr<x509_store_st> store_;
  bool revocation_;
};

}  // namespace keystub::mikey
