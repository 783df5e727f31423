#include "mikey/public_key/envelope.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "base/openssl_ptr.h"
#include "mikey/hmac.h"
#include "mikey/public_key/openssl_errors.h"

namespace keystub::mikey {
namespace {

// EM = 0x00 || 0x02 || PS || 0x00 || M, as long as the modulus (RFC 8017 7.2.1).
using EncodedMessage = Secret<struct EncodedMessageTag>;
constexpr std::size_t kBeforePadding = 2;
constexpr std::size_t kSeparator = 1;

std::unexpected<Error> rsa_failed() {
  return fail(Category::internal, "OpenSSL cannot run RSA with this key; check its configuration");
}

Result<void> fill_without_zeros(RandomSource& random, MutableBytes padding) {
  TRY(random.fill(padding));
  for (std::uint8_t& octet : padding) {
    while (octet == 0) TRY(random.fill({&octet, 1}));
  }
  return {};
}

// 1 for zero, 0 for every other octet value, without a branch.
constexpr unsigned is_zero(unsigned octet) noexcept { return (octet - 1) >> 31; }

// The last octets of a well-formed EM whose M has the length of `substitute`, or `substitute`.
// The octets of EM decide neither a branch nor an address.
EnvelopeKey unpad_or(Bytes em, Bytes substitute) {
  const std::size_t separator = em.size() - substitute.size() - kSeparator;
  unsigned wrong = em[0] | (em[1] ^ 0x02U) | em[separator];
  for (const unsigned octet : em.subspan(kBeforePadding, separator - kBeforePadding)) {
    wrong |= is_zero(octet);
  }
  const unsigned right = 0U - is_zero(wrong);  // all ones or all zeros
  EnvelopeKey key(substitute.size());
  const MutableBytes out = key.reveal_mutable();
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>((em[separator + kSeparator + i] & right) |
                                       (substitute[i] & ~right));
  }
  return key;
}

// The hash of the private exponent: known to every process that holds the key pair, so that the
// same data opens to the same key before and after a restart, and in each of several copies of a
// KMS.
template <class Key>
Result<Key> derive_substitute_key(const PrivateKey& key) {
  BIGNUM* found = nullptr;
  EVP_PKEY_get_bn_param(key.handle(), OSSL_PKEY_PARAM_RSA_D, &found);
  const OpenSslPtr<BIGNUM> exponent(found);
  Secret<struct PrivateExponentTag> octets(key.octets());
  if (exponent == nullptr || BN_bn2binpad(exponent.get(), octets.reveal_mutable().data(),
                                          static_cast<int>(octets.size())) < 0) {
    return rsa_failed();
  }
  Key out(hmac_size(Hash::sha_256));
  if (EVP_Digest(octets.reveal().data(), octets.size(), out.reveal_mutable().data(), nullptr,
                 EVP_sha256(), nullptr) != 1) {
    return rsa_failed();
  }
  return out;
}

// The key that stands in for what `data` should hold: HMAC-SHA-256, cut to length.
Result<EnvelopeKey> substitute_for(Bytes data, Bytes substitute_key, std::size_t octets) {
  const Hmac hmac = TRY(Hmac::keyed(Hash::sha_256, substitute_key));
  EnvelopeKey whole(hmac_size(Hash::sha_256));
  TRY(hmac.compute({data}, whole.reveal_mutable()));
  return EnvelopeKey(whole.reveal().first(octets));
}

}  // namespace

Result<KmsCertificate> KmsCertificate::pinned(Certificate certificate) {
  TRY(check_rsa(certificate.public_key()));
  return KmsCertificate(std::move(certificate));
}

Result<KmsCertificate> KmsCertificate::validated(const TrustAnchors& anchors,
                                                 const CertificateChain& chain, const Identity& kms,
                                                 WallTime now) {
  TRY(anchors.validate(chain, CertificateUse::envelope, kms, now));
  return KmsCertificate(chain.front());
}

Result<ByteVector> seal_envelope(RandomSource& random, const KmsCertificate& kms,
                                 const EnvelopeKey& key) {
  const OpenSslErrorsDropped quiet;
  EVP_PKEY* const public_key = kms.certificate().public_key();
  EncodedMessage em(static_cast<std::size_t>(EVP_PKEY_get_size(public_key)));
  const MutableBytes octets = em.reveal_mutable();
  octets[1] = 0x02;
  TRY(fill_without_zeros(random, octets.subspan(kBeforePadding, octets.size() - kBeforePadding -
                                                                    kSeparator - key.size())));
  std::ranges::copy(key.reveal(), octets.last(key.size()).begin());

  // The padding is made here and not by OpenSSL because randomness is handed in.
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(public_key, nullptr));
  ByteVector sealed(em.size());
  std::size_t size = sealed.size();
  const bool done =
      context != nullptr && EVP_PKEY_encrypt_init(context.get()) == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_NO_PADDING) == 1 &&
      EVP_PKEY_encrypt(context.get(), sealed.data(), &size, octets.data(), octets.size()) == 1 &&
      size == sealed.size();
  if (!done) return rsa_failed();
  return sealed;
}

Result<KmsKeyPair> KmsKeyPair::make(Certificate certificate, PrivateKey key) {
  const OpenSslErrorsDropped quiet;
  if (!certificate.certifies(key)) {
    return fail(Category::malformed, "the private key is not that of the KMS's certificate");
  }
  SubstituteKey made = TRY(derive_substitute_key<SubstituteKey>(key));
  auto substitutes = std::make_shared<const SubstituteKey>(std::move(made));
  return KmsKeyPair(std::move(certificate), std::move(key), std::move(substitutes));
}

Result<EnvelopeKey> KmsKeyPair::open_envelope(const EnvelopeView& pke, std::size_t octets,
                                              const Place& place) const {
  const OpenSslErrorsDropped quiet;
  const Bytes data = pke.data;
  if (data.size() != key_.octets()) {
    return fail(Category::malformed,
                "the encrypted envelope key has " + std::to_string(data.size()) +
                    " octets, the modulus of the KMS's key " + std::to_string(key_.octets()) +
                    ": it was encrypted for another key",
                place);
  }
  const EnvelopeKey substitute = TRY(substitute_for(data, substitutes_->reveal(), octets));

  // Without padding: what OpenSSL 3.0 says about a wrong one could be told apart.
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key_.handle(), nullptr));
  EncodedMessage em(data.size());
  std::size_t size = em.size();
  if (context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_NO_PADDING) != 1) {
    return rsa_failed();
  }
  if (EVP_PKEY_decrypt(context.get(), em.reveal_mutable().data(), &size, data.data(),
                       data.size()) != 1 ||
      size != em.size()) {
    return fail(Category::malformed,
                "the encrypted envelope key is no number below the modulus of the KMS's key",
                place);
  }
  return unpad_or(em.reveal(), substitute.reveal());
}

}  // namespace keystub::mikey
