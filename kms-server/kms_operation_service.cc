#include "kms-server/kms_operation_service.h"

#include <fmt/format.h>

#include <memory>

#include "kms-server/database_backup.h"
#include "kms-server/doctor.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kService = "/keystub.v1.KmsOperation/";

void set_summary(v1::DatabaseSummary& out, const DatabaseSummary& summary) {
  out.set_schema(static_cast<std::uint64_t>(summary.schema));
  out.set_identities(static_cast<std::uint64_t>(summary.identities));
  out.set_psk_count(static_cast<std::uint64_t>(summary.psks));
  out.set_tpk_count(static_cast<std::uint64_t>(summary.tpks));
  out.set_octets(summary.size);
}

v1::FindingLevel level_of(Finding::Level level) {
  switch (level) {
    case Finding::Level::fine: return v1::FINDING_LEVEL_FINE;
    case Finding::Level::warning: return v1::FINDING_LEVEL_WARNING;
    case Finding::Level::fault: return v1::FINDING_LEVEL_FAULT;
  }
  return v1::FINDING_LEVEL_UNSPECIFIED;
}

}  // namespace

grpc::ServerUnaryReactor* KmsOperationService::run(grpc::CallbackServerContext& context,
                                                   std::string_view method, AdminWork work) {
  return run_admin_call(context, parts_.guard, parts_.executor,
                        std::string(kService).append(method), std::move(work));
}

Result<std::filesystem::path> KmsOperationService::file_of(const std::string& name) const {
  if (parts_.settings.backup_folder.empty()) {
    return fail(Category::conflict, "this KMS has no folder for backups: set backup.folder");
  }
  if (!valid_backup_name(name)) {
    return fail(
        Category::malformed,
        "the name of a backup is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with a dot");
  }
  return parts_.settings.backup_folder / name;
}

grpc::ServerUnaryReactor* KmsOperationService::CreateBackup(grpc::CallbackServerContext* context,
                                                            const v1::CreateBackupRequest* request,
                                                            v1::CreateBackupResponse* response) {
  return run(*context, "CreateBackup",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               std::string made;
               const auto work = [&]() -> Result<void> {
                 const auto file = TRY(file_of(request->name()));
                 const auto summary =
                     TRY(create_backup(parts_.settings.database, parts_.kek, file));
                 made = file.string();
                 response->set_file(made);
                 set_summary(*response->mutable_summary(), summary);
                 return {};
               };
               return audit_.recorded(caller, "create_backup", {}, work, made);
             });
}

grpc::ServerUnaryReactor* KmsOperationService::VerifyBackup(grpc::CallbackServerContext* context,
                                                            const v1::VerifyBackupRequest* request,
                                                            v1::VerifyBackupResponse* response) {
  return run(*context, "VerifyBackup",
             [this, request, response](const rpc::Caller&) -> Result<void> {
               const auto file = TRY(file_of(request->name()));
               set_summary(*response->mutable_summary(), TRY(verify_database(file, parts_.kek)));
               response->set_file(file.string());
               return {};
             });
}

grpc::ServerUnaryReactor* KmsOperationService::Diagnose(grpc::CallbackServerContext* context,
                                                        const v1::DiagnoseRequest*,
                                                        v1::DiagnoseResponse* response) {
  return run(*context, "Diagnose", [this, response](const rpc::Caller&) -> Result<void> {
    for (const Finding& finding : examine(parts_.settings, parts_.clock, &parts_.kek)) {
      v1::Finding& out = *response->add_findings();
      out.set_check(finding.check);
      out.set_level(level_of(finding.level));
      out.set_text(finding.text);
      out.set_advice(finding.advice);
    }
    const auto now = parts_.clock.now().time_since_epoch();
    response->mutable_server_time()->set_seconds(
        std::chrono::floor<std::chrono::seconds>(now).count());
    return {};
  });
}

Result<RewrapReport> KmsOperationService::rewrap(bool dry_run) {
  const std::chrono::milliseconds timeout = parts_.settings.store_timeout;
  if (dry_run) return count_keys_to_rewrap(parts_.store, parts_.kek, timeout);
  const std::unique_lock alone(rewrapping_, std::try_to_lock);
  if (!alone) return fail(Category::conflict, "keys are being moved for somebody else");
  return rewrap_keys(parts_.store, parts_.kek, parts_.random, timeout);
}

grpc::ServerUnaryReactor* KmsOperationService::RewrapKeys(grpc::CallbackServerContext* context,
                                                          const v1::RewrapKeysRequest* request,
                                                          v1::RewrapKeysResponse* response) {
  return run(*context, "RewrapKeys",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               std::string moved;
               const auto work = [&]() -> Result<void> {
                 const auto report = TRY(rewrap(request->dry_run()));
                 response->set_key_count(report.keys);
                 response->set_moved_count(report.moved);
                 moved = fmt::format("{} of {} keys", report.moved, report.keys);
                 return {};
               };
               return audit_.recorded(caller, request->dry_run() ? "rewrap_dry_run" : "rewrap_keys",
                                      {}, work, moved);
             });
}

}  // namespace keystub::kms
