#include "pki/pem_file.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <fstream>
#include <string>
#include <system_error>

namespace keystub::pki {
namespace {

constexpr std::uintmax_t kMaxOctets = 64U << 20;  // revocation lists grow long

}  // namespace

Result<PemText> read_pem(const std::filesystem::path& file, std::string_view what) {
  const std::string name =
      std::string(what) + " file " + (file.empty() ? "(not set)" : file.string());
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream in;
  // Without a buffer of the stream's own: it would keep what may be a private key.
  in.rdbuf()->pubsetbuf(nullptr, 0);
  if (!error) in.open(file, std::ios::binary);
  if (error || !in) return fail(Category::not_found, name + " cannot be read");
  if (size > kMaxOctets) return fail(Category::malformed, name + " is larger than 64 MiB");
  PemText text(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(text.reveal_mutable().data()),
          static_cast<std::streamsize>(text.size()));
  if (static_cast<std::size_t>(in.gcount()) != text.size()) {
    return fail(Category::not_found, name + " became shorter while it was read");
  }
  return text;
}

OpenSslPtr<BIO> open_pem(Bytes pem) {
  return OpenSslPtr<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::vector<OpenSslPtr<X509>> certificates_in(Bytes pem) {
  std::vector<OpenSslPtr<X509>> out;
  const OpenSslPtr<BIO> bio = open_pem(pem);
  while (OpenSslPtr<X509> one{
      bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    out.push_back(std::move(one));
  }
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  return out;
}

}  // namespace keystub::pki
