// Keys from and to files, or from standard input; never from the command line.
//
// Two encodings, chosen by the caller and never guessed: hex (an even number of hex digits, either
// case; white space at the end is dropped) and raw (the octets of the file, all of them).
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "base/secret.h"

namespace keystub::service {

enum class SecretEncoding : std::uint8_t { hex, raw };

// Who else may have access to the file.
enum class SecretFileMode : std::uint8_t {
  owner_only,  // 0600 or less
  // 0640 or less: systemd lets the user of a service in by an access control list, whose mask
  // stands where the mode of the group does.
  systemd_credential,
};

using FileSecret = Secret<struct FileSecretTag>;

// Reads a key of min_octets to max_octets (of the key, not of its hex form; max 8192) from `file`,
// or from standard input up to its end if `file` is "-". A file that more people may read or write
// than `mode` says is refused (denied): chmod 600. not_found, malformed.
Result<FileSecret> read_file_secret(const std::filesystem::path& file, SecretEncoding encoding,
                                    std::size_t min_octets, std::size_t max_octets,
                                    SecretFileMode mode = SecretFileMode::owner_only);

template <class Tag>
Result<Secret<Tag>> read_secret(const std::filesystem::path& file, SecretEncoding encoding,
                                std::size_t min_octets, std::size_t max_octets,
                                SecretFileMode mode = SecretFileMode::owner_only) {
  return TRY(read_file_secret(file, encoding, min_octets, max_octets, mode)).template retag<Tag>();
}

// Makes a new file with mode 0600 and writes the key (hex: with a line end). conflict when the
// file exists: a key is never overwritten. Durable (fsync) when it returns.
Result<void> write_secret(const std::filesystem::path& file, SecretEncoding encoding,
                          Bytes secret_octets);

}  // namespace keystub::service
