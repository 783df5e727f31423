// KmsOperation over gRPC: backups and diagnosis, on the store executor.
#pragma once

#include <functional>
#include <string_view>

#include "keystub/v1/kms_operation.grpc.pb.h"
#include "kms-server/audit.h"
#include "kms-server/kek.h"
#include "kms-server/settings.h"
#include "kms-server/store_executor.h"
#include "rpc/guard.h"

namespace keystub::kms {

class KmsOperationService final : public v1::KmsOperation::CallbackService {
 public:
  // All must outlive the server that this is registered with.
  struct Parts {
    const Settings& settings;
    const Kek& kek;
    Audit& audit;
    const Clock& clock;
    StoreExecutor& executor;
    const rpc::Guard& guard;
  };
  explicit KmsOperationService(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* CreateBackup(grpc::CallbackServerContext* context,
                                         const v1::CreateBackupRequest* request,
                                         v1::CreateBackupResponse* response) override;
  grpc::ServerUnaryReactor* VerifyBackup(grpc::CallbackServerContext* context,
                                         const v1::VerifyBackupRequest* request,
                                         v1::VerifyBackupResponse* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context,
                                     const v1::DiagnoseRequest* request,
                                     v1::DiagnoseResponse* response) override;

 private:
  grpc::ServerUnaryReactor* run(grpc::CallbackServerContext& context, std::string_view method,
                                std::function<Result<void>(const rpc::Caller&)> work);
  // The file of a backup, where a folder is configured and the name is one.
  Result<std::filesystem::path> file_of(const std::string& name) const;

  const Parts parts_;
};

}  // namespace keystub::kms
