// Revoked client certificates: certificate revocation lists (RFC 5280) from a PEM file that is read
// again when it changes. Free of gRPC.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace keystub::rpc {

// Thread-safe.
class RevocationLists {
 public:
  // Reads `file`, one or more lists in PEM, and the certificates of their issuers from `ca`.
  // not_found, or malformed: no list in it, or one that none of `ca` signed.
  static Result<std::unique_ptr<RevocationLists>> open(const std::filesystem::path& file,
                                                       const std::filesystem::path& ca);
  ~RevocationLists();
  RevocationLists(const RevocationLists&) = delete;
  RevocationLists& operator=(const RevocationLists&) = delete;

  // `chain_pem`: a certificate that was verified already, and what stands between it and the CA.
  // denied when one of them is revoked, or when there is no current list of its issuer: without
  // one nobody can tell. `now` decides what is current. A file that changed is read first; one that
  // cannot be read leaves what was known.
  Result<void> check(std::string_view chain_pem, WallTime now);

 private:
  struct Lists;
  RevocationLists(std::filesystem::path file, std::filesystem::path ca);
  void read_if_changed();

  const std::filesystem::path file_;
  const std::filesystem::path ca_;
  std::mutex mutex_;
  std::filesystem::file_time_type read_time_{};
  std::shared_ptr<const Lists> lists_;
};

}  // namespace keystub::rpc
