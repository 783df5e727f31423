// Reading PEM files with OpenSSL: for the sources of this room.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/openssl_ptr.h"
#include "pki/key_pair.h"

namespace keystub::pki {

// All of `file`, 64 MiB at most. `what` it should hold stands in the errors: not_found, malformed
// (too large, not a file).
Result<PemText> read_pem(const std::filesystem::path& file, std::string_view what);

// Of a PEM text that `pem` must outlive. Null: OpenSSL is out of memory.
OpenSslPtr<BIO> open_pem(Bytes pem);

// The certificates of a PEM text, in order; other blocks are skipped.
std::vector<OpenSslPtr<X509>> certificates_in(Bytes pem);

}  // namespace keystub::pki
