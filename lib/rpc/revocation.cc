#include "rpc/revocation.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "base/openssl_ptr.h"

namespace keystub::rpc {
namespace {

using Path = std::filesystem::path;

Result<OpenSslPtr<BIO>> open_file(const Path& file) {
  OpenSslPtr<BIO> bio(BIO_new_file(file.c_str(), "r"));
  if (bio == nullptr) {
    ERR_clear_error();
    return fail(Category::not_found, file.string() + " cannot be read");
  }
  return bio;
}

std::vector<OpenSslPtr<X509>> read_certificates(BIO& bio) {
  std::vector<OpenSslPtr<X509>> out;
  while (OpenSslPtr<X509> one{PEM_read_bio_X509(&bio, nullptr, nullptr, nullptr)}) {
    out.push_back(std::move(one));
  }
  ERR_clear_error();  // the end of the file is an error to OpenSSL
  return out;
}

bool signed_by_one_of(X509_CRL& list, const std::vector<OpenSslPtr<X509>>& issuers) {
  return std::ranges::any_of(issuers, [&](const OpenSslPtr<X509>& issuer) {
    return X509_NAME_cmp(X509_get_subject_name(issuer.get()), X509_CRL_get_issuer(&list)) == 0 &&
           X509_CRL_verify(&list, X509_get0_pubkey(issuer.get())) == 1;
  });
}

bool is_current(const X509_CRL& list, WallTime now) {
  std::time_t time = std::chrono::system_clock::to_time_t(now);
  const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(&list);
  return X509_cmp_time(X509_CRL_get0_lastUpdate(&list), &time) < 0 && next != nullptr &&
         X509_cmp_time(next, &time) > 0;
}

}  // namespace

struct RevocationLists::Lists {
  std::vector<OpenSslPtr<X509_CRL>> all;

  static Result<std::shared_ptr<const Lists>> read(const Path& file, const Path& ca) {
    const OpenSslPtr<BIO> ca_bio = TRY(open_file(ca));
    const std::vector<OpenSslPtr<X509>> issuers = read_certificates(*ca_bio);
    const OpenSslPtr<BIO> bio = TRY(open_file(file));
    auto lists = std::make_shared<Lists>();
    while (OpenSslPtr<X509_CRL> one{PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
      if (!signed_by_one_of(*one, issuers)) {
        ERR_clear_error();
        return fail(Category::malformed, "a revocation list in " + file.string() +
                                             " was signed by no certificate in " + ca.string());
      }
      lists->all.push_back(std::move(one));
    }
    ERR_clear_error();
    if (lists->all.empty()) {
      return fail(Category::malformed, file.string() + " holds no revocation list in PEM");
    }
    return lists;
  }

  Result<void> check(X509& certificate, WallTime now) const {
    bool has_current = false;
    for (const OpenSslPtr<X509_CRL>& list : all) {
      if (X509_NAME_cmp(X509_CRL_get_issuer(list.get()), X509_get_issuer_name(&certificate)) != 0) {
        continue;
      }
      has_current = has_current || is_current(*list, now);
      X509_REVOKED* entry = nullptr;
      // 2: taken off the list again (a delta list).
      if (X509_CRL_get0_by_cert(list.get(), &entry, &certificate) == 1) {
        return fail(Category::denied, "the client certificate is revoked");
      }
    }
    if (!has_current) {
      return fail(Category::denied,
                  "there is no current revocation list of the client certificate's issuer");
    }
    return {};
  }
};

RevocationLists::RevocationLists(Path file, Path ca) : file_(std::move(file)), ca_(std::move(ca)) {}
RevocationLists::~RevocationLists() = default;

Result<std::unique_ptr<RevocationLists>> RevocationLists::open(const Path& file, const Path& ca) {
  std::unique_ptr<RevocationLists> lists(new RevocationLists(file, ca));
  std::error_code ignored;
  lists->read_time_ = std::filesystem::last_write_time(file, ignored);
  lists->lists_ = TRY(Lists::read(file, ca));
  return lists;
}

void RevocationLists::read_if_changed() {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(file_, error);
  if (error || time == read_time_) return;
  auto lists = Lists::read(file_, ca_);
  if (!lists) return;
  lists_ = std::move(*lists);
  read_time_ = time;
}

Result<void> RevocationLists::check(std::string_view chain_pem, WallTime now) {
  std::shared_ptr<const Lists> lists;
  {
    const std::lock_guard lock(mutex_);
    read_if_changed();
    lists = lists_;
  }
  const OpenSslPtr<BIO> bio(BIO_new_mem_buf(chain_pem.data(), static_cast<int>(chain_pem.size())));
  if (bio == nullptr) return fail(Category::internal, "OpenSSL is out of memory");
  const std::vector<OpenSslPtr<X509>> chain = read_certificates(*bio);
  if (chain.empty()) return fail(Category::denied, "the client certificate cannot be read");
  for (const OpenSslPtr<X509>& certificate : chain) {
    // The CA itself, should a client send it along: nobody stands above it.
    if (X509_NAME_cmp(X509_get_subject_name(certificate.get()),
                      X509_get_issuer_name(certificate.get())) == 0) {
      continue;
    }
    TRY(lists->check(*certificate, now));
  }
  return {};
}

}  // namespace keystub::rpc
