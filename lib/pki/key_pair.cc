#include "pki/key_pair.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>
#include <utility>

#include "pki/pem_file.h"

namespace keystub::pki {
namespace {

using Path = std::filesystem::path;

WallTime to_wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

int no_pass_phrase(char*, int, int, void*) { return -1; }

OpenSslPtr<EVP_PKEY> private_key_in(Bytes pem) {
  const OpenSslPtr<BIO> bio = open_pem(pem);
  OpenSslPtr<EVP_PKEY> key(
      bio == nullptr ? nullptr
                     : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  ERR_clear_error();
  return key;
}

Result<PemText> read_certificate_file(const Path& file, std::string_view what) {
  PemText text = TRY(read_pem(file, what));
  if (certificates_in(text.reveal()).empty()) {
    return fail(Category::malformed,
                std::string(what) + " file " + file.string() + " holds no certificate in PEM");
  }
  return text;
}

}  // namespace

Result<KeyPair> KeyPair::read(const Path& certificate, const Path& private_key) {
  PemText certificates = TRY(read_certificate_file(certificate, "certificate"));
  PemText key_text = TRY(read_pem(private_key, "private key"));
  const OpenSslPtr<EVP_PKEY> key = private_key_in(key_text.reveal());
  if (key == nullptr) {
    return fail(Category::malformed,
                "private key file " + private_key.string() + " holds no unencrypted key in PEM");
  }
  const auto chain = certificates_in(certificates.reveal());
  const bool belongs = X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (!belongs) {
    return fail(Category::malformed, "the key in " + private_key.string() +
                                         " does not belong to the certificate in " +
                                         certificate.string());
  }
  return KeyPair{std::move(certificates), std::move(key_text),
                 to_wall_time(X509_get0_notAfter(chain.front().get()))};
}

Result<std::string> read_authorities(const Path& file) {
  return to_string(TRY(read_certificate_file(file, "CA")).reveal());
}

}  // namespace keystub::pki
