// KmsOperation over gRPC: backups, diagnosis and moving keys to another KEK, on the store executor.
#pragma once

#include <functional>
#include <mutex>
#include <string_view>

#include "keystub/v1/kms_operation.grpc.pb.h"
#include "kms-server/admin_audit.h"
#include "kms-server/admin_call.h"
#include "kms-server/kek_rewrap.h"
#include "kms-server/settings.h"

namespace keystub::kms {

class KmsOperationService final : public v1::KmsOperation::CallbackService {
 public:
  // All must outlive the server that this is registered with.
  struct Parts {
    const Settings& settings;
    IdentityStore& store;
    Kek& kek;
    Audit& audit;
    const Clock& clock;
    RandomSource& random;
    StoreExecutor& executor;
    const rpc::Guard& guard;
  };
  explicit KmsOperationService(const Parts& parts)
      : parts_(parts), audit_(parts.audit, parts.clock) {}

  grpc::ServerUnaryReactor* CreateBackup(grpc::CallbackServerContext* context,
                                         const v1::CreateBackupRequest* request,
                                         v1::CreateBackupResponse* response) override;
  grpc::ServerUnaryReactor* VerifyBackup(grpc::CallbackServerContext* context,
                                         const v1::VerifyBackupRequest* request,
                                         v1::VerifyBackupResponse* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context,
                                     const v1::DiagnoseRequest* request,
                                     v1::DiagnoseResponse* response) override;
  grpc::ServerUnaryReactor* RewrapKeys(grpc::CallbackServerContext* context,
                                       const v1::RewrapKeysRequest* request,
                                       v1::RewrapKeysResponse* response) override;

 private:
  grpc::ServerUnaryReactor* run(grpc::CallbackServerContext& context, std::string_view method,
                                AdminWork work);
  // The file of a backup, where a folder is configured and the name is one.
  Result<std::filesystem::path> file_of(const std::string& name) const;
  Result<RewrapReport> rewrap(bool dry_run);

  const Parts parts_;
  AdminAudit audit_;
  std::mutex rewrapping_;  // held by the one call that moves keys
};

}  // namespace keystub::kms
