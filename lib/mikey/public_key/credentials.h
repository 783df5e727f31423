// What the two ends of the public-key variants (REQUEST_INIT_PK, RESOLVE_INIT_PK) hold.
#pragma once

#include <span>

#include "mikey/public_key/envelope.h"

namespace keystub::mikey {

// How an initiator or a responder is known to its KMS by certificate; the counterpart of
// KmsCredentials. All its certificates travel in CERT payloads.
struct PkCredentials {
  Identity self;                  // the identity that requests or resolves; in its certificate
  Identity kms;                   // IDRkms
  CertificateChain certificates;  // of `self`, at most kMaximumChain
  PrivateKey key;                 // of the first certificate
  KmsCertificate kms_certificate;
  SignatureType signature = SignatureType::rsa_pkcs1;  // the mandatory one (RFC 3830 4.2.6)
};

// What a KMS authenticates a sender with who holds a certificate. The references must outlive the
// call that takes it.
struct PkAuthentication {
  const TrustAnchors& anchors;
  std::span<const KmsKeyPair> keys;  // CHASH picks one of them; without CHASH it is the first
  WallTime now;                      // certificates must be valid then
  // The sender's certificates, where the message has no CERT payload and the KMS knows them
  // (RFC 6043 4.2.1.3); otherwise empty.
  CertificateChain known_certificates = {};
};

}  // namespace keystub::mikey
