// A certificate authority for a lab and a first start: EC P-256, files with mode 0600. Not for
// production: its key lies unencrypted beside the certificates. Free of gRPC headers.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace keystub::rpc {

struct LabCertificate {
  // File name without ending (FOLDER/name.pem, FOLDER/name.key) and common name.
  std::string name;
  // Subject alternative names. A server needs the names or addresses that clients connect to.
  std::vector<std::string> dns_names = {};
  std::vector<std::string> ip_addresses = {};
  std::vector<std::string> uris = {};
  // Extended key usage.
  bool server = true;
  bool client = true;
};

class LabCa {
 public:
  // Makes FOLDER/ca.pem and FOLDER/ca.key. conflict when either exists. The folder must exist.
  static Result<LabCa> create(const std::filesystem::path& folder, const std::string& common_name,
                              std::chrono::days validity = std::chrono::days{3650});
  // Opens what create() made.
  static Result<LabCa> open(const std::filesystem::path& folder);

  // Makes a key and a certificate, written as FOLDER/name.key and FOLDER/name.pem. conflict when
  // either exists; malformed for a name or address that cannot stand in a certificate.
  Result<void> issue(const LabCertificate& certificate,
                     std::chrono::days validity = std::chrono::days{825}) const;

  std::filesystem::path certificate_file() const { return folder_ / "ca.pem"; }
  std::filesystem::path certificate_file(const std::string& name) const {
    return folder_ / (name + ".pem");
  }
  std::filesystem::path key_file(const std::string& name) const {
    return folder_ / (name + ".key");
  }

 private:
  explicit LabCa(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace keystub::rpc
