// One method per RPC of KmsOperation: running a KMS.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "keystub/v1/kms_operation.pb.h"
#include "kms-client/kmsctl/connection.h"

namespace keystub::kmsctl {

class OperationClient {
 public:
  static Result<std::unique_ptr<OperationClient>> open(const ConnectionOptions& options);
  ~OperationClient();

  Result<v1::CreateBackupResponse> create_backup(const std::string& name);
  Result<v1::VerifyBackupResponse> verify_backup(const std::string& name);
  Result<v1::DiagnoseResponse> diagnose();
  Result<v1::RewrapKeysResponse> rewrap_keys(bool dry_run);

 private:
  struct Impl;
  explicit OperationClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::kmsctl
