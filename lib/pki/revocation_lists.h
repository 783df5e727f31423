// Certificate revocation lists (RFC 5280) of the CAs that clients have their certificates from.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace keystub::pki {

// Immutable. Threads: safe from several threads.
class RevocationLists {
 public:
  // Reads `file`, one or more lists in PEM, and the certificates of their issuers from `ca`.
  // not_found, or malformed: no list in it, or one that none of `ca` signed.
  static Result<std::shared_ptr<const RevocationLists>> read(const std::filesystem::path& file,
                                                             const std::filesystem::path& ca);
  ~RevocationLists();
  RevocationLists(const RevocationLists&) = delete;
  RevocationLists& operator=(const RevocationLists&) = delete;

  // `chain_pem`: a certificate that was verified already, and what stands between it and the CA.
  // denied when one of them is revoked, or when there is no current list of its issuer: without
  // one nobody can tell. `now` decides what is current.
  Result<void> check(std::string_view chain_pem, WallTime now) const;

 private:
  struct Lists;
  explicit RevocationLists(std::unique_ptr<const Lists> lists);
  const std::unique_ptr<const Lists> lists_;
};

}  // namespace keystub::pki
