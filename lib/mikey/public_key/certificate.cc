#include "mikey/public_key/certificate.h"

#include <openssl/pem.h>

#include <algorithm>

#include "base/openssl_ptr.h"
#include "mikey/public_key/openssl_errors.h"

namespace keystub::mikey {
namespace {

// The names of a certificate, null where it has none.
OpenSslPtr<GENERAL_NAMES> alternative_names(x509_st* certificate) {
  return OpenSslPtr<GENERAL_NAMES>(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
}

// The octets of a name of a type that is an IA5String.
Bytes octets_of(const void* value) {
  const auto* const text = static_cast<const ASN1_IA5STRING*>(value);
  return {ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text))};
}

constexpr int k112Bits = 2;  // OpenSSL's name for that strength

std::time_t to_time_t(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

OpenSslPtr<BIO> reader_of(std::string_view text) {
  return OpenSslPtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Whether the last PEM_read_bio_… failed because there is nothing more.
bool ended_cleanly() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

std::unexpected<Error> out_of_memory() {
  return fail(Category::internal, "OpenSSL cannot hold the certificates; is there memory left?");
}

std::unexpected<Error> not_trusted(std::string text) {
  return std::unexpected(Error(Category::unauthenticated, std::move(text))
                             .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_cert)));
}

// The part of the subjectAltName that a name of this type is in.
std::optional<int> alternative_name_of(IdType type) {
  switch (type) {
    case IdType::uri: return GEN_URI;
    case IdType::nai: return GEN_EMAIL;
    case IdType::byte_string: return std::nullopt;
  }
  return std::nullopt;
}

// "Each following certificate MUST directly certify the one preceding it" (RFC 6043 4.2.1.3).
// By name and key identifier; the signatures are verified with the path.
Result<void> check_order(const CertificateChain& chain) {
  if (chain.empty() || chain.size() > kMaximumChain) {
    return not_trusted("a chain of " + std::to_string(chain.size()) + " certificates; 1 to " +
                       std::to_string(kMaximumChain) + " are accepted");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (X509_check_issued(chain[i].handle(), chain[i - 1].handle()) != X509_V_OK) {
      return not_trusted("certificate " + std::to_string(i + 1) +
                         " of the chain does not certify the one before it: send the owner's "
                         "first, then each one's issuer");
    }
  }
  return {};
}

Result<void> check_use(const Certificate& owner, CertificateUse use) {
  if (const auto rsa = check_rsa(owner.public_key()); !rsa) return not_trusted(rsa.error().text());
  const bool signs = use == CertificateUse::signature;
  // Both are all ones where the extension is missing.
  const std::uint32_t usage = X509_get_key_usage(owner.handle());
  const std::uint32_t extended = X509_get_extended_key_usage(owner.handle());
  if ((usage & (signs ? KU_DIGITAL_SIGNATURE : KU_KEY_ENCIPHERMENT)) == 0) {
    return not_trusted(signs ? "its keyUsage lacks digitalSignature: it must not sign messages"
                             : "its keyUsage lacks keyEncipherment: no key may be sent to it");
  }
  if ((extended & XKU_ANYEKU) == 0) {
    return not_trusted(
        "its extendedKeyUsage keeps it for other purposes; leave the extension out or add "
        "anyExtendedKeyUsage");
  }
  return {};
}

}  // namespace

Result<Certificate> Certificate::from_der(Bytes der) {
  const OpenSslErrorsDropped quiet;
  const std::uint8_t* at = der.data();
  std::shared_ptr<x509_st> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())),
                                       &X509_free);
  if (certificate == nullptr || at != der.data() + der.size()) {
    return fail(Category::malformed, "not one X.509 certificate in DER form");
  }
  return Certificate(std::move(certificate), to_vector(der));
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view pem) {
  const OpenSslErrorsDropped quiet;
  const OpenSslPtr<BIO> in = reader_of(pem);
  if (in == nullptr) return out_of_memory();
  std::vector<Certificate> certificates;
  for (;;) {
    std::shared_ptr<x509_st> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                         &X509_free);
    if (certificate == nullptr) break;
    ByteVector der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)));
    std::uint8_t* at = der.data();
    i2d_X509(certificate.get(), &at);
    certificates.push_back(Certificate(std::move(certificate), std::move(der)));
  }
  if (certificates.empty() || !ended_cleanly()) {
    return fail(Category::malformed, "after " + std::to_string(certificates.size()) +
                                         " certificates in PEM form something else follows, or "
                                         "one that cannot be read");
  }
  return certificates;
}

Result<ByteVector> Certificate::hash(HashFunc func) const {
  if (func == HashFunc::md5) {
    return std::unexpected(
        Error(Category::malformed, "MD5 is not accepted as the hash of a certificate")
            .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::invalid_ha)));
  }
  const EVP_MD* const algorithm = func == HashFunc::sha_1 ? EVP_sha1() : EVP_sha256();
  ByteVector out(static_cast<std::size_t>(EVP_MD_get_size(algorithm)));
  if (EVP_Digest(der_->data(), der_->size(), out.data(), nullptr, algorithm, nullptr) != 1) {
    return fail(Category::internal, "OpenSSL cannot hash a certificate; check its configuration");
  }
  return out;
}

bool Certificate::names(const Identity& identity) const {
  const OpenSslErrorsDropped quiet;
  const auto type = alternative_name_of(identity.type);
  const auto names = alternative_names(certificate_.get());
  if (!type || names == nullptr) return false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int found = 0;
    const void* const value =
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &found);
    if (found == *type && equal(octets_of(value), identity.bytes())) return true;
  }
  return false;
}

std::vector<std::string> Certificate::uris() const {
  const OpenSslErrorsDropped quiet;
  std::vector<std::string> uris;
  const auto names = alternative_names(certificate_.get());
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names.get());
  for (int i = 0; i < count; ++i) {
    int found = 0;
    const void* const value =
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &found);
    if (found == GEN_URI) uris.emplace_back(as_text(octets_of(value)));
  }
  return uris;
}

std::string Certificate::subject() const {
  const OpenSslErrorsDropped quiet;
  const OpenSslPtr<BIO> out(BIO_new(BIO_s_mem()));
  if (out == nullptr || X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate_.get()), 0,
                                           XN_FLAG_RFC2253) < 0) {
    return {};
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

WallTime Certificate::not_after() const {
  const OpenSslErrorsDropped quiet;
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate_.get()), &end) != 1) return {};
  constexpr auto kLast = std::chrono::floor<std::chrono::seconds>(WallTime::max());
  return std::min(kLast, std::chrono::sys_seconds(std::chrono::seconds(::timegm(&end))));
}

Result<void> Certificate::check_validity(WallTime now) const {
  std::time_t time = to_time_t(now);
  const int since = X509_cmp_time(X509_get0_notBefore(certificate_.get()), &time);
  const int until = X509_cmp_time(X509_get0_notAfter(certificate_.get()), &time);
  if (since >= 0 || until <= 0) {
    return fail(Category::expired,
                "the certificate is not valid now: before its notBefore or after its notAfter");
  }
  return {};
}

evp_pkey_st* Certificate::public_key() const noexcept {
  const OpenSslErrorsDropped quiet;
  return X509_get0_pubkey(certificate_.get());
}

bool Certificate::certifies(const PrivateKey& key) const noexcept {
  const OpenSslErrorsDropped quiet;
  return EVP_PKEY_eq(public_key(), key.handle()) == 1;
}

Result<TrustAnchors> TrustAnchors::make(const std::vector<Certificate>& anchors,
                                        std::string_view revocation_lists_pem) {
  const OpenSslErrorsDropped quiet;
  if (anchors.empty()) {
    return fail(Category::malformed, "no trust anchor: nobody could be authenticated");
  }
  std::shared_ptr<x509_store_st> store(X509_STORE_new(), &X509_STORE_free);
  if (store == nullptr) return out_of_memory();
  for (const Certificate& anchor : anchors) {
    if (X509_STORE_add_cert(store.get(), anchor.handle()) != 1) return out_of_memory();
  }
  if (revocation_lists_pem.empty()) return TrustAnchors(std::move(store), false);

  const OpenSslPtr<BIO> in = reader_of(revocation_lists_pem);
  if (in == nullptr) return out_of_memory();
  bool any = false;
  for (;;) {
    const OpenSslPtr<X509_CRL> list(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
    if (list == nullptr) break;
    if (X509_STORE_add_crl(store.get(), list.get()) != 1) return out_of_memory();
    any = true;
  }
  if (!any || !ended_cleanly()) {
    return fail(Category::malformed,
                "the revocation lists are not, or not only, X.509 CRLs in PEM form");
  }
  return TrustAnchors(std::move(store), true);
}

Result<void> TrustAnchors::validate(const CertificateChain& chain, CertificateUse use,
                                    const Identity& subject, WallTime now) const {
  const OpenSslErrorsDropped quiet;
  TRY(check_order(chain));
  const OpenSslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  const OpenSslPtr<STACK_OF(X509)> issuers(sk_X509_new_null());
  if (context == nullptr || issuers == nullptr) return out_of_memory();
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (sk_X509_push(issuers.get(), chain[i].handle()) <= 0) return out_of_memory();
  }
  const Certificate& owner = chain.front();
  if (X509_STORE_CTX_init(context.get(), store_.get(), owner.handle(), issuers.get()) != 1) {
    return out_of_memory();
  }
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
  unsigned long flags = X509_V_FLAG_X509_STRICT | X509_V_FLAG_PARTIAL_CHAIN;
  if (revocation_) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(rules, flags);
  X509_VERIFY_PARAM_set_auth_level(rules, k112Bits);
  X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaximumChain));
  X509_VERIFY_PARAM_set_time(rules, to_time_t(now));
  if (X509_verify_cert(context.get()) != 1) {
    const int reason = X509_STORE_CTX_get_error(context.get());
    const int depth = X509_STORE_CTX_get_error_depth(context.get());
    return not_trusted("certificate " + std::to_string(depth + 1) +
                       " of the chain is not trusted: " + X509_verify_cert_error_string(reason));
  }
  TRY(check_use(owner, use));
  if (!owner.names(subject)) {
    return not_trusted("the certificate names somebody else: its subjectAltName lacks " +
                       subject.data);
  }
  return {};
}

bool TrustAnchors::revokes(const Certificate& certificate) const {
  const OpenSslErrorsDropped quiet;
  // Nothing is added to the store after make(): it may be read without its lock.
  STACK_OF(X509_OBJECT)* const held = X509_STORE_get0_objects(store_.get());
  for (int i = 0; i < sk_X509_OBJECT_num(held); ++i) {
    X509_CRL* const list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(held, i));
    X509_REVOKED* entry = nullptr;
    if (list != nullptr && X509_CRL_get0_by_cert(list, &entry, certificate.handle()) == 1) {
      return true;
    }
  }
  return false;
}

}  // namespace keystub::mikey
