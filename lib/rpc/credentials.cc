// TLS credentials from watched PEM files, see credentials.h.
#include "rpc/credentials.h"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/openssl_ptr.h"
#include "rpc/revocation.h"

namespace keystub::rpc {
namespace {

using Path = std::filesystem::path;
using FileWatcher = grpc::experimental::FileWatcherCertificateProvider;

Result<OpenSslPtr<BIO>> open_file(const Path& file, const char* what) {
  OpenSslPtr<BIO> bio(BIO_new_file(file.c_str(), "r"));
  if (bio == nullptr) {
    return fail(Category::not_found, std::string(what) + " file " +
                                         (file.empty() ? "(not set)" : file.string()) +
                                         " cannot be read");
  }
  return bio;
}

Result<OpenSslPtr<X509>> read_certificate(const Path& file, const char* what) {
  const OpenSslPtr<BIO> bio = TRY(open_file(file, what));
  OpenSslPtr<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return fail(Category::malformed,
                std::string(what) + " file " + file.string() + " holds no certificate in PEM");
  }
  return certificate;
}

// No pass phrase is ever asked for: a daemon has nobody to ask.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Result<void> check_pair(const Path& certificate_file, const Path& key_file) {
  const OpenSslPtr<X509> certificate = TRY(read_certificate(certificate_file, "certificate"));
  const OpenSslPtr<BIO> bio = TRY(open_file(key_file, "private key"));
  const OpenSslPtr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  if (key == nullptr) {
    return fail(Category::malformed,
                "private key file " + key_file.string() + " holds no unencrypted key in PEM");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return fail(Category::malformed, "the key in " + key_file.string() +
                                         " does not belong to the certificate in " +
                                         certificate_file.string());
  }
  return {};
}

// Asked after the chain was verified, for clients that presented a certificate.
class RevocationVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit RevocationVerifier(std::unique_ptr<RevocationLists> lists) : lists_(std::move(lists)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* sync_status) override {
    const grpc::string_ref leaf = request->peer_cert();
    if (leaf.empty()) return true;  // it presented none
    // On the server's side OpenSSL leaves the peer's own certificate out of the chain.
    const grpc::string_ref chain = request->peer_cert_full_chain();
    std::string pem(leaf.data(), leaf.size());
    pem.append("\n").append(chain.data(), chain.size());
    const auto good = lists_->check(pem, clock_.now());
    if (!good) *sync_status = {grpc::StatusCode::UNAUTHENTICATED, good.error().text()};
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const SystemClock clock_;
  const std::unique_ptr<RevocationLists> lists_;
};

unsigned interval(std::chrono::seconds time) { return static_cast<unsigned>(time.count()); }

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const ServerTls& tls) {
  TRY(check_pair(tls.certificate, tls.private_key));
  const bool asks = tls.client_certificate != ClientCertificate::none;
  if (asks) TRY(read_certificate(tls.ca, "CA"));
  auto watcher =
      std::make_shared<FileWatcher>(tls.private_key.string(), tls.certificate.string(),
                                    asks ? tls.ca.string() : "", interval(tls.reload_interval));
  grpc::experimental::TlsServerCredentialsOptions options(std::move(watcher));
  options.watch_identity_key_cert_pairs();
  if (asks) options.watch_root_certs();
  switch (tls.client_certificate) {
    case ClientCertificate::none:
      options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
      break;
    case ClientCertificate::optional:
      options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
      break;
    case ClientCertificate::required:
      options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
      break;
  }
  if (asks && !tls.crl.empty()) {
    options.set_certificate_verifier(RevocationVerifier::Create<RevocationVerifier>(
        TRY(RevocationLists::open(tls.crl, tls.ca))));
  }
  return grpc::experimental::TlsServerCredentials(options);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const ChannelTls& tls) {
  TRY(read_certificate(tls.ca, "CA"));
  const bool has_own = !tls.certificate.empty() || !tls.private_key.empty();
  if (has_own) TRY(check_pair(tls.certificate, tls.private_key));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<FileWatcher>(tls.private_key.string(), tls.certificate.string(),
                                    tls.ca.string(), interval(tls.reload_interval)));
  options.watch_root_certs();
  if (has_own) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace keystub::rpc
