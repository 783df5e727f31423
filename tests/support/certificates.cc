#include "tests/support/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <map>
#include <stdexcept>

namespace keystub::testing {
namespace {

using mikey::Certificate;
using mikey::PrivateKey;
using mikey::PrivateKeyPem;

void require(bool done, const char* what) {
  if (!done) throw std::runtime_error(std::string("test certificates: OpenSSL failed at ") + what);
}

template <class Write>
std::string written(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  require(write(out.get()) == 1, "writing PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::time_t seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

void extend(X509& certificate, X509& issuer, int nid, const std::string& text) {
  if (text.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, text.c_str()), &X509_EXTENSION_free);
  require(extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1,
          text.c_str());
}

// `issuer` null: signed by itself.
Certificate make(const CertificateText& text, bool ca, EVP_PKEY* key, X509* issuer,
                 EVP_PKEY* issuer_key) {
  static long serial = 1000;
  const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), &X509_free);
  X509_NAME* const name = X509_get_subject_name(x.get());
  X509* const by = issuer == nullptr ? x.get() : issuer;
  require(X509_set_version(x.get(), X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(x.get()), ++serial) == 1 &&
              ASN1_TIME_set(X509_getm_notBefore(x.get()), seconds(text.not_before)) != nullptr &&
              ASN1_TIME_set(X509_getm_notAfter(x.get()), seconds(text.not_after)) != nullptr &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, as_bytes(text.name).data(), -1,
                                         -1, 0) == 1 &&
              X509_set_issuer_name(x.get(), X509_get_subject_name(by)) == 1 &&
              X509_set_pubkey(x.get(), key) == 1,
          "a certificate");
  extend(*x, *by, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(*x, *by, NID_key_usage, text.key_usage);
  extend(*x, *by, NID_ext_key_usage, text.extended_key_usage);
  extend(*x, *by, NID_subject_key_identifier, "hash");
  extend(*x, *by, NID_authority_key_identifier, issuer == nullptr ? "" : "keyid:always");
  extend(*x, *by, NID_subject_alt_name, text.alternative_names);
  require(X509_sign(x.get(), issuer_key, EVP_sha256()) != 0, "signing a certificate");
  return Certificate::from_pem(written([&](BIO* out) { return PEM_write_bio_X509(out, x.get()); }))
      .value()
      .front();
}

ByteVector rsa(EVP_PKEY* key, int (*init)(EVP_PKEY_CTX*),
               int (*run)(EVP_PKEY_CTX*, unsigned char*, std::size_t*, const unsigned char*,
                          std::size_t),
               int padding, Bytes in) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new(key, nullptr), &EVP_PKEY_CTX_free);
  ByteVector out(static_cast<std::size_t>(EVP_PKEY_get_size(key)));
  std::size_t size = out.size();
  require(init(context.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(context.get(), padding) == 1 &&
              run(context.get(), out.data(), &size, in.data(), in.size()) == 1,
          "RSA");
  out.resize(size);
  return out;
}

Certificate make_ca(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  CertificateText text;
  text.name = name;
  text.key_usage = "critical,keyCertSign,cRLSign";
  return make(text, true, key, issuer, issuer_key);
}

}  // namespace

RawKey make_rsa(unsigned bits) {
  RawKey key(EVP_RSA_gen(bits), &EVP_PKEY_free);
  require(key != nullptr, "an RSA key");
  return key;
}

RawKey make_elliptic() {
  RawKey key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  require(key != nullptr, "an elliptic-curve key");
  return key;
}

std::string to_pem(evp_pkey_st& private_key, const char* password) {
  const EVP_CIPHER* const cipher = password == nullptr ? nullptr : EVP_aes_256_cbc();
  return written([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, &private_key, cipher, nullptr, 0, nullptr,
                                    const_cast<char*>(password));
  });
}

std::string to_pem(const Certificate& certificate) {
  return written([&](BIO* out) { return PEM_write_bio_X509(out, certificate.handle()); });
}

const PrivateKey& rsa_key(const std::string& label) {
  static std::map<std::string, PrivateKey> made;
  const auto found = made.find(label);
  if (found != made.end()) return found->second;
  std::string pem = to_pem(*make_rsa(2048));
  return made.emplace(label, PrivateKey::from_pem(PrivateKeyPem::take(pem)).value()).first->second;
}

ByteVector rsa_raw_encrypt(const Certificate& to, Bytes encoded_message) {
  return rsa(to.public_key(), &EVP_PKEY_encrypt_init, &EVP_PKEY_encrypt, RSA_NO_PADDING,
             encoded_message);
}

ByteVector rsa_pkcs1_encrypt(const Certificate& to, Bytes message) {
  return rsa(to.public_key(), &EVP_PKEY_encrypt_init, &EVP_PKEY_encrypt, RSA_PKCS1_PADDING,
             message);
}

ByteVector rsa_pkcs1_decrypt(const PrivateKey& key, Bytes data) {
  return rsa(key.handle(), &EVP_PKEY_decrypt_init, &EVP_PKEY_decrypt, RSA_PKCS1_PADDING, data);
}

TestCa::TestCa(const std::string& name, const TestCa* issuer)
    : key_(make_elliptic()),
      certificate_(make_ca(name, key_.get(),
                           issuer == nullptr ? nullptr : issuer->certificate_.handle(),
                           issuer == nullptr ? key_.get() : issuer->key_.get())) {}

Certificate TestCa::issue(const CertificateText& text, evp_pkey_st& key) const {
  return issue_by(certificate_, *key_, text, key);
}

Certificate TestCa::issue_by(const Certificate& issuer, evp_pkey_st& issuer_key,
                             const CertificateText& text, evp_pkey_st& key) {
  return make(text, false, &key, issuer.handle(), &issuer_key);
}

std::string TestCa::revocation_list(const std::vector<Certificate>& revoked) const {
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), &X509_CRL_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> since(
      ASN1_TIME_set(nullptr, seconds(kTestTime - std::chrono::hours(1))), &ASN1_TIME_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> until(
      ASN1_TIME_set(nullptr, seconds(kTestTime + std::chrono::hours(23))), &ASN1_TIME_free);
  require(
      X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
          X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.handle())) == 1 &&
          X509_CRL_set1_lastUpdate(list.get(), since.get()) == 1 &&
          X509_CRL_set1_nextUpdate(list.get(), until.get()) == 1,
      "a revocation list");
  for (const Certificate& certificate : revoked) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    require(
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.handle())) == 1 &&
            X509_REVOKED_set_revocationDate(entry, since.get()) == 1 &&
            X509_CRL_add0_revoked(list.get(), entry) == 1,
        "an entry of a revocation list");
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate_.handle(), nullptr, nullptr, list.get(), 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> identifier(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"),
      &X509_EXTENSION_free);
  const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> number(ASN1_INTEGER_new(),
                                                                           &ASN1_INTEGER_free);
  require(identifier != nullptr && X509_CRL_add_ext(list.get(), identifier.get(), -1) == 1 &&
              ASN1_INTEGER_set(number.get(), 1) == 1 &&
              X509_CRL_add1_ext_i2d(list.get(), NID_crl_number, number.get(), 0, 0) == 1 &&
              X509_CRL_sort(list.get()) == 1 &&
              X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) != 0,
          "signing a revocation list");
  return written([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list.get()); });
}

}  // namespace keystub::testing
