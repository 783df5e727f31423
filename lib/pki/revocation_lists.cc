#include "pki/revocation_lists.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "pki/pem_file.h"

namespace keystub::pki {
namespace {

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

RevocationLists::RevocationLists(std::unique_ptr<const Lists> lists) : lists_(std::move(lists)) {}
RevocationLists::~RevocationLists() = default;

Result<std::shared_ptr<const RevocationLists>> RevocationLists::read(
    const std::filesystem::path& file, const std::filesystem::path& ca) {
  const PemText ca_text = TRY(read_pem(ca, "CA"));
  const auto issuers = certificates_in(ca_text.reveal());
  const PemText text = TRY(read_pem(file, "revocation list"));
  const OpenSslPtr<BIO> bio = open_pem(text.reveal());
  auto lists = std::make_unique<Lists>();
  while (OpenSslPtr<X509_CRL> one{
      bio == nullptr ? nullptr : PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
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
  return std::shared_ptr<const RevocationLists>(new RevocationLists(std::move(lists)));
}

Result<void> RevocationLists::check(std::string_view chain_pem, WallTime now) const {
  const auto chain = certificates_in(as_bytes(chain_pem));
  if (chain.empty()) return fail(Category::denied, "the client certificate cannot be read");
  for (const OpenSslPtr<X509>& certificate : chain) {
    // The CA itself, should a client send it along: nobody stands above it.
    if (X509_NAME_cmp(X509_get_subject_name(certificate.get()),
                      X509_get_issuer_name(certificate.get())) == 0) {
      continue;
    }
    TRY(lists_->check(*certificate, now));
  }
  return {};
}

}  // namespace keystub::pki
