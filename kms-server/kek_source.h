// Where the KEK comes from when a KMS starts. One source is configured; there is no default, and
// nothing is asked of a person at a terminal.
//
//   file         a file of 32 octets, 0600
//   credential   a systemd credential (LoadCredential=, LoadCredentialEncrypted=): a file of 32
//                octets in the folder that CREDENTIALS_DIRECTORY names
//   environment  a file of 32 octets, 0600, whose path an environment variable holds
//   passphrase   scrypt (RFC 7914) over a passphrase from a file; salt and cost stand in a file
//                beside it, which is not secret
//   pkcs11       a file with the KEK encrypted by an AES key in a PKCS #11 token, which decrypts it
//                and never gives its own key out; the PIN comes from a file
//
// Passphrase and PIN files are 0600; a line end at their end does not count.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "kms-server/kek.h"
#include "service/config.h"

namespace keystub::kms {

struct KekSource {
  enum class Kind : std::uint8_t { file, credential, environment, passphrase, pkcs11 };

  Kind kind = Kind::file;
  // The KEK; with passphrase its salt and cost; with pkcs11 the encrypted KEK.
  std::filesystem::path file = {};
  std::string credential = {};   // name of the systemd credential
  std::string environment = {};  // name of the variable
  std::filesystem::path passphrase_file = {};
  std::filesystem::path module = {};  // the token's PKCS #11 library
  std::string token = {};             // its label
  std::string key = {};               // label of the AES key in it
  std::filesystem::path pin_file = {};

  // Reads a table such as [kek]; faults are recorded there.
  static KekSource read(service::Config& config, const std::string& table);
  // The table [kek], as read() reads it.
  std::string to_toml() const;
};

// The tables [kek] and, while keys are moved to another KEK (kek_rewrap.h), [kek_next].
struct KekSources {
  KekSource current;
  std::optional<KekSource> next;

  static KekSources read(service::Config& config);
};

// Errors: not_found, denied (permissions, wrong PIN, wrong passphrase of a token), malformed,
// unavailable; each says what to do. A wrong passphrase gives a wrong KEK, which the check value of
// the database recognises. scrypt takes about a second, on purpose.
Result<Kek> open_kek(const KekSource& source);
// The current one, with the next one beside it if there is one.
Result<Kek> open_kek(const KekSources& sources);

// Makes a new KEK and what the source needs to give it again: the file; for passphrase, salt and
// cost; for pkcs11, the encrypted KEK, and the AES key in the token if it has none with that label.
// Overwrites nothing (conflict). A systemd credential is made by other means (denied).
Result<Kek> create_kek(const KekSource& source, RandomSource& random);

}  // namespace keystub::kms
