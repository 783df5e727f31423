// TLS credentials from watched PEM files, see credentials.h.
#include "rpc/credentials.h"

#include <string>
#include <utility>

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "base/clock.h"

namespace keystub::rpc {
namespace {

using FileWatcher = grpc::experimental::FileWatcherCertificateProvider;

// How often gRPC looks at what TlsFiles has in force.
constexpr unsigned kWatchSeconds = 1;

const Clock& clock_of_this_process() {
  static const SystemClock clock;
  return clock;
}

// Asked after the chain was verified. It holds the files: gRPC lets go of what it verifies with
// after what it reads by their paths.
class RevocationVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit RevocationVerifier(std::shared_ptr<pki::TlsFiles> files) : files_(std::move(files)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* sync_status) override {
    const grpc::string_ref leaf = request->peer_cert();
    if (leaf.empty()) return true;  // it presented none
    const auto lists = files_->lists();
    if (lists == nullptr) return true;
    // On the server's side OpenSSL leaves the peer's own certificate out of the chain.
    const grpc::string_ref chain = request->peer_cert_full_chain();
    std::string pem(leaf.data(), leaf.size());
    pem.append("\n").append(chain.data(), chain.size());
    const auto good = lists->check(pem, clock_of_this_process().now());
    if (!good) *sync_status = {grpc::StatusCode::UNAUTHENTICATED, good.error().text()};
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::shared_ptr<pki::TlsFiles> files_;
};

}  // namespace

Result<std::shared_ptr<pki::TlsFiles>> open_files(const ServerTls& tls) {
  pki::TlsFiles::Paths paths{tls.certificate, tls.private_key, {}, {}};
  if (tls.client_certificate != ClientCertificate::none) {
    paths.ca = tls.ca;
    if (!tls.crl.empty()) paths.crl = tls.crl;
  }
  return pki::TlsFiles::open(std::move(paths), tls.reload_interval, clock_of_this_process());
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<pki::TlsFiles> files,
                                                            ClientCertificate client_certificate) {
  grpc::experimental::TlsServerCredentialsOptions options(std::make_shared<FileWatcher>(
      files->pair_path(), files->pair_path(), files->ca_path(), kWatchSeconds));
  options.watch_identity_key_cert_pairs();
  if (client_certificate != ClientCertificate::none) options.watch_root_certs();
  switch (client_certificate) {
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
  options.set_certificate_verifier(
      RevocationVerifier::Create<RevocationVerifier>(std::move(files)));
  return grpc::experimental::TlsServerCredentials(options);
}

Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const ServerTls& tls) {
  return server_credentials(TRY(open_files(tls)), tls.client_certificate);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const ChannelTls& tls) {
  TRY(pki::read_authorities(tls.ca));
  const bool has_own = !tls.certificate.empty() || !tls.private_key.empty();
  if (has_own) TRY(pki::KeyPair::read(tls.certificate, tls.private_key));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<FileWatcher>(
      tls.private_key.string(), tls.certificate.string(), tls.ca.string(),
      static_cast<unsigned>(tls.reload_interval.count())));
  options.watch_root_certs();
  if (has_own) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace keystub::rpc
