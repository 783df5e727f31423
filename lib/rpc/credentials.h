// TLS credentials of servers and channels, from PEM files. TLS 1.2 and 1.3 only (gRPC's range).
//
// The files are watched: when they change (looked at every reload_interval) new handshakes use the
// new ones, at the latest a second later; connections that stand are left alone. On a server's side
// files that cannot be used, or do not fit together, leave in force what was there (pki::TlsFiles).
// On a channel's side replace certificate and key together, by renaming a folder or a symbolic
// link.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include "base/error.h"
#include "pki/tls_files.h"

namespace keystub::rpc {

enum class ClientCertificate : std::uint8_t {
  none,      // not asked for
  optional,  // asked for; one that is sent must verify against `ca`
  required,
};

struct ServerTls {
  std::filesystem::path certificate;  // the server's, then its chain
  std::filesystem::path private_key;
  std::filesystem::path ca;  // of the clients; needed unless client_certificate is none
  ClientCertificate client_certificate = ClientCertificate::required;
  std::chrono::seconds reload_interval{10};
  // Revocation lists of the clients' CAs, in PEM; looked at with each handshake too. Empty: none. A
  // connection that stands when its certificate is revoked goes on: what ends it is its idle time.
  std::filesystem::path crl = {};
};

struct ChannelTls {
  std::filesystem::path ca;           // of the server; required
  std::filesystem::path certificate;  // our own, with chain; empty: we present none
  std::filesystem::path private_key;
  std::chrono::seconds reload_interval{10};
};

// Reads and checks the files first: not_found or malformed (not PEM, key does not belong to the
// certificate, a list that nobody signed) with the path, instead of handshakes that fail later.
Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const ServerTls& tls);
Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const ChannelTls& tls);

// The first of them in two steps, for who wants to know what becomes of the files later.
Result<std::shared_ptr<pki::TlsFiles>> open_files(const ServerTls& tls);
std::shared_ptr<grpc::ServerCredentials> server_credentials(std::shared_ptr<pki::TlsFiles> files,
                                                            ClientCertificate client_certificate);

}  // namespace keystub::rpc
