#include "kms-client/kmsctl/operation_client.h"

#include <utility>

#include "keystub/v1/kms_operation.grpc.pb.h"
#include "kms-client/kmsctl/stub_client.h"
#include "rpc/channel.h"

namespace keystub::kmsctl {
namespace {

using Stub = v1::KmsOperation::Stub;

}  // namespace

struct OperationClient::Impl : StubClient<Stub> {
  using StubClient::StubClient;
};

OperationClient::OperationClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OperationClient::~OperationClient() = default;

Result<std::unique_ptr<OperationClient>> OperationClient::open(const ConnectionOptions& options) {
  auto channel = TRY(open_admin_channel(options));
  return std::unique_ptr<OperationClient>(new OperationClient(
      std::make_unique<Impl>(v1::KmsOperation::NewStub(std::move(channel)), options.timeout)));
}

Result<v1::CreateBackupResponse> OperationClient::create_backup(const std::string& name) {
  v1::CreateBackupRequest request;
  request.set_name(name);
  return impl_->call(&Stub::CreateBackup, request, "create backup");
}

Result<v1::VerifyBackupResponse> OperationClient::verify_backup(const std::string& name) {
  v1::VerifyBackupRequest request;
  request.set_name(name);
  return impl_->call(&Stub::VerifyBackup, request, "verify backup");
}

Result<v1::DiagnoseResponse> OperationClient::diagnose() {
  return impl_->call(&Stub::Diagnose, v1::DiagnoseRequest(), "doctor");
}

Result<v1::RewrapKeysResponse> OperationClient::rewrap_keys(bool dry_run) {
  v1::RewrapKeysRequest request;
  request.set_dry_run(dry_run);
  return impl_->call(&Stub::RewrapKeys, request, "kek rewrap");
}

}  // namespace keystub::kmsctl
