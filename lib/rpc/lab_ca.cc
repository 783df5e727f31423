// A lab's certificate authority over libcrypto, see lab_ca.h.
#include "rpc/lab_ca.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include <openssl/ec.h>
#include <openssl/pem.h>

#include "base/openssl_ptr.h"

namespace keystub::rpc {
namespace {

using Path = std::filesystem::path;

struct CloseFile {
  void operator()(std::FILE* p) const noexcept { std::fclose(p); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;

struct Pair {
  OpenSslPtr<X509> certificate;
  OpenSslPtr<EVP_PKEY> key;
};

std::unexpected<Error> openssl_fault(const std::string& what) {
  return fail(Category::internal, "lab CA: OpenSSL failed at " + what);
}

Result<FilePtr> new_file(const Path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    return fail(Category::conflict, file.string() + " exists already and is not overwritten");
  }
  FilePtr out(fd < 0 ? nullptr : ::fdopen(fd, "w"));
  if (out == nullptr) {
    return fail(Category::unavailable, file.string() + " cannot be made: does the folder exist?");
  }
  return out;
}

Result<FilePtr> old_file(const Path& file) {
  FilePtr in(std::fopen(file.c_str(), "re"));
  if (in == nullptr) return fail(Category::not_found, file.string() + " cannot be read");
  return in;
}

Result<void> add_extension(X509& certificate, X509& issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const OpenSslPtr<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (extension == nullptr || X509_add_ext(&certificate, extension.get(), -1) != 1) {
    return openssl_fault(std::string("the extension ") + OBJ_nid2sn(nid));
  }
  return {};
}

// The names are built as objects and not as OpenSSL's configuration text, in which a comma in a
// name would begin another one.
Result<void> add_name(GENERAL_NAMES& names, int type, const std::string& text) {
  const auto printable = [](char c) { return c > 0x20 && c < 0x7f; };
  if (text.empty() || !std::ranges::all_of(text, printable)) {
    return fail(Category::malformed, "\"" + text + "\" cannot stand in a certificate");
  }
  std::string octets = text;
  if (type == GEN_IPADD) {
    unsigned char address[16];
    if (::inet_pton(AF_INET, text.c_str(), address) == 1) {
      octets.assign(reinterpret_cast<const char*>(address), 4);
    } else if (::inet_pton(AF_INET6, text.c_str(), address) == 1) {
      octets.assign(reinterpret_cast<const char*>(address), 16);
    } else {
      return fail(Category::malformed, "\"" + text + "\" is not an IP address");
    }
  }
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_STRING* value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value, octets.data(), static_cast<int>(octets.size())) != 1) {
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return openssl_fault("a subject alternative name");
  }
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(&names, name) <= 0) {
    GENERAL_NAME_free(name);
    return openssl_fault("a subject alternative name");
  }
  return {};
}

// A key and a certificate for it, unsigned and without extensions. `issuer` null: its own.
Result<Pair> new_pair(const std::string& common_name, std::chrono::days validity, X509* issuer) {
  if (common_name.empty() || common_name.size() > 64) {
    return fail(Category::malformed, "a certificate's common name has 1 to 64 octets");
  }
  Pair pair{OpenSslPtr<X509>(X509_new()), OpenSslPtr<EVP_PKEY>(EVP_EC_gen("P-256"))};
  const OpenSslPtr<BIGNUM> serial(BN_new());
  X509* const x = pair.certificate.get();
  if (x == nullptr || pair.key == nullptr || serial == nullptr) return openssl_fault("a new key");
  constexpr long kBackdating = 3'600;  // for machines whose clocks are a little behind
  X509_NAME* const name = X509_get_subject_name(x);
  const bool good =
      X509_set_version(x, X509_VERSION_3) == 1 &&
      BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ODD) == 1 &&
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x)) != nullptr &&
      X509_gmtime_adj(X509_getm_notBefore(x), -kBackdating) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(x), static_cast<int>(validity.count()), 0, nullptr) !=
          nullptr &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) == 1 &&
      X509_set_issuer_name(x, issuer == nullptr ? name : X509_get_subject_name(issuer)) == 1 &&
      X509_set_pubkey(x, pair.key.get()) == 1;
  if (!good) return openssl_fault("a new certificate");
  return pair;
}

Result<void> write_pair(const Pair& pair, const Path& certificate_file, const Path& key_file) {
  if (std::filesystem::exists(certificate_file)) {
    return fail(Category::conflict,
                certificate_file.string() + " exists already and is not overwritten");
  }
  const auto key_out = TRY(new_file(key_file));
  const auto certificate_out = TRY(new_file(certificate_file));
  if (PEM_write_PrivateKey(key_out.get(), pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1 ||
      PEM_write_X509(certificate_out.get(), pair.certificate.get()) != 1 ||
      std::fflush(key_out.get()) != 0 || std::fflush(certificate_out.get()) != 0) {
    return fail(Category::unavailable, certificate_file.string() + " cannot be written");
  }
  return {};
}

Result<Pair> read_pair(const Path& certificate_file, const Path& key_file) {
  const auto certificate_in = TRY(old_file(certificate_file));
  const auto key_in = TRY(old_file(key_file));
  Pair pair{OpenSslPtr<X509>(PEM_read_X509(certificate_in.get(), nullptr, nullptr, nullptr)),
            OpenSslPtr<EVP_PKEY>(PEM_read_PrivateKey(key_in.get(), nullptr, nullptr, nullptr))};
  if (pair.certificate == nullptr || pair.key == nullptr ||
      X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
    return fail(Category::malformed,
                certificate_file.string() + " and " + key_file.string() + " are not a CA's pair");
  }
  return pair;
}

Result<void> sign(X509& certificate, EVP_PKEY& key) {
  if (X509_sign(&certificate, &key, EVP_sha256()) == 0) return openssl_fault("the signature");
  return {};
}

bool plain_file_name(const std::string& name) {
  return !name.empty() && name != "ca" && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

Result<LabCa> LabCa::create(const Path& folder, const std::string& common_name,
                            std::chrono::days validity) {
  const Pair pair = TRY(new_pair(common_name, validity, nullptr));
  X509& x = *pair.certificate;
  TRY(add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  TRY(add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign"));
  TRY(add_extension(x, x, NID_subject_key_identifier, "hash"));
  TRY(sign(x, *pair.key));
  TRY(write_pair(pair, folder / "ca.pem", folder / "ca.key"));
  return LabCa(folder);
}

Result<LabCa> LabCa::open(const Path& folder) {
  TRY(read_pair(folder / "ca.pem", folder / "ca.key"));
  return LabCa(folder);
}

Result<void> LabCa::issue(const LabCertificate& wish, std::chrono::days validity) const {
  if (!plain_file_name(wish.name)) {
    return fail(Category::malformed,
                "\"" + wish.name + "\" is no name for a certificate: letters, digits, . _ -");
  }
  const Pair ca = TRY(read_pair(folder_ / "ca.pem", folder_ / "ca.key"));
  const Pair pair = TRY(new_pair(wish.name, validity, ca.certificate.get()));
  X509& x = *pair.certificate;
  TRY(add_extension(x, *ca.certificate, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(x, *ca.certificate, NID_key_usage, "critical,digitalSignature"));
  TRY(add_extension(x, *ca.certificate, NID_subject_key_identifier, "hash"));
  TRY(add_extension(x, *ca.certificate, NID_authority_key_identifier, "keyid:always"));
  std::string usage = wish.server ? "serverAuth" : "";
  if (wish.client) usage += usage.empty() ? "clientAuth" : ",clientAuth";
  if (!usage.empty()) TRY(add_extension(x, *ca.certificate, NID_ext_key_usage, usage.c_str()));

  const OpenSslPtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  if (names == nullptr) return openssl_fault("the subject alternative names");
  for (const auto& name : wish.dns_names) TRY(add_name(*names, GEN_DNS, name));
  for (const auto& address : wish.ip_addresses) TRY(add_name(*names, GEN_IPADD, address));
  for (const auto& uri : wish.uris) TRY(add_name(*names, GEN_URI, uri));
  if (sk_GENERAL_NAME_num(names.get()) > 0 &&
      X509_add1_ext_i2d(&x, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) {
    return openssl_fault("the subject alternative names");
  }
  TRY(sign(x, *ca.key));
  return write_pair(pair, certificate_file(wish.name), key_file(wish.name));
}

}  // namespace keystub::rpc
