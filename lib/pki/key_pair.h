// What one end of TLS proves itself with, and whom it trusts, from PEM files (RFC 7468): read whole
// and checked before anybody uses it. Free of gRPC. Threads: safe from several threads.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"

namespace keystub::pki {

// The text of a PEM file: it may hold a private key, whatever it is read for.
using PemText = Secret<struct PemTextTag>;

// A certificate with its chain, and the private key that belongs to it.
struct KeyPair {
  PemText certificates;  // its own, then the chain
  PemText private_key;   // not encrypted: a daemon has nobody to ask
  WallTime not_after;    // of its own certificate

  // Errors name the file: not_found, or malformed (no PEM, an encrypted key, a key that does not
  // belong to the certificate). Whether the certificate is valid now is not looked at.
  static Result<KeyPair> read(const std::filesystem::path& certificate,
                              const std::filesystem::path& private_key);
  bool operator==(const KeyPair&) const = default;
};

// The PEM text of a file of CA certificates, one at least. Errors as above.
Result<std::string> read_authorities(const std::filesystem::path& file);

}  // namespace keystub::pki
