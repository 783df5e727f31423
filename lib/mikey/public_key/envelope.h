// The envelope key and the PKE payload that carries it to the KMS: RSA PKCS #1 v1.5
// (RFC 3830 3.2, 4.2.5 and 6.3, RFC 8017 7.2).
#pragma once

#include "base/random.h"
#include "mikey/payload/envelope.h"
#include "mikey/public_key/signature.h"

namespace keystub::mikey {

using EnvelopeKey = Secret<struct EnvelopeKeyTag>;

// A certificate for whose key an envelope key may be encrypted. Copies share it.
class KmsCertificate {
 public:
  // Trusted because the caller says so: it is part of the configuration.
  static Result<KmsCertificate> pinned(Certificate certificate);
  // Trusted because `anchors` vouch for it, now, and it names `kms`.
  static Result<KmsCertificate> validated(const TrustAnchors& anchors,
                                          const CertificateChain& chain, const Identity& kms,
                                          WallTime now);

  const Certificate& certificate() const noexcept { return certificate_; }

 private:
  explicit KmsCertificate(Certificate certificate) : certificate_(std::move(certificate)) {}

  Certificate certificate_;
};

// E(PKkms, env_key), as long as the modulus. The key has 16 or 32 octets. Draws the padding from
// `random`: its octets at once, then each zero among them again.
Result<ByteVector> seal_envelope(RandomSource& random, const KmsCertificate& kms,
                                 const EnvelopeKey& key);

// One of the key pairs of a KMS. Copies share it. Threads: const use from several is safe.
class KmsKeyPair {
 public:
  // Refuses (malformed) a key that is not the certificate's.
  static Result<KmsKeyPair> make(Certificate certificate, PrivateKey key);

  const Certificate& certificate() const noexcept { return certificate_; }

  // Opens what PKE carries. The envelope key has the length `octets`, at most 32. Data that was
  // not encrypted for this key, or does not hold a key of that length, opens to another key that
  // only the owner of this key pair can compute, always the same one for the same data: whether
  // the padding was right shows neither in the result nor in the time that it takes, so that
  // nobody can use the KMS to decrypt somebody else's PKE (Bleichenbacher's attack). The work
  // then goes on, and ends as with a wrong envelope key. Refused (malformed) is only what anybody
  // can see to be wrong: data of another length than the modulus, or no number below it.
  Result<EnvelopeKey> open_envelope(const EnvelopeView& pke, std::size_t octets,
                                    const Place& place) const;

 private:
  // Makes the keys that stand in for those that do not open.
  using SubstituteKey = Secret<struct SubstituteKeyTag>;

  KmsKeyPair(Certificate certificate, PrivateKey key,
             std::shared_ptr<const SubstituteKey> substitutes)
      : certificate_(std::move(certificate)),
        key_(std::move(key)),
        substitutes_(std::move(substitutes)) {}

  Certificate certificate_;
  PrivateKey key_;
  std::shared_ptr<const SubstituteKey> substitutes_;
};

}  // namespace keystub::mikey
