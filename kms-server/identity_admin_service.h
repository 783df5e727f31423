// IdentityAdmin over gRPC: adapts the admin RPCs to IdentityAdmin, IdentityImport and PolicyAdmin,
// on the store executor.
#pragma once

#include <functional>
#include <string_view>

#include "keystub/v1/identity_admin.grpc.pb.h"
#include "kms-server/admin_call.h"
#include "kms-server/identity_admin.h"
#include "kms-server/identity_import.h"
#include "kms-server/policy_admin.h"

namespace keystub::kms {

// malformed for what is no kind.
Result<IdentityKind> kind_of(v1::IdentityKind kind);

class IdentityAdminService final : public v1::IdentityAdmin::CallbackService {
 public:
  // All must outlive the server that this is registered with.
  IdentityAdminService(IdentityAdmin& admin, IdentityImport& importer, PolicyAdmin& policy,
                       StoreExecutor& executor, const rpc::Guard& guard)
      : admin_(admin), importer_(importer), policy_(policy), executor_(executor), guard_(guard) {}

  grpc::ServerUnaryReactor* CreateIdentity(grpc::CallbackServerContext* context,
                                           const v1::CreateIdentityRequest* request,
                                           v1::CreateIdentityResponse* response) override;
  grpc::ServerUnaryReactor* GetIdentity(grpc::CallbackServerContext* context,
                                        const v1::GetIdentityRequest* request,
                                        v1::GetIdentityResponse* response) override;
  grpc::ServerUnaryReactor* ListIdentities(grpc::CallbackServerContext* context,
                                           const v1::ListIdentitiesRequest* request,
                                           v1::ListIdentitiesResponse* response) override;
  grpc::ServerUnaryReactor* SuspendIdentity(grpc::CallbackServerContext* context,
                                            const v1::SuspendIdentityRequest* request,
                                            v1::SuspendIdentityResponse* response) override;
  grpc::ServerUnaryReactor* ResumeIdentity(grpc::CallbackServerContext* context,
                                           const v1::ResumeIdentityRequest* request,
                                           v1::ResumeIdentityResponse* response) override;
  grpc::ServerUnaryReactor* DeleteIdentity(grpc::CallbackServerContext* context,
                                           const v1::DeleteIdentityRequest* request,
                                           v1::DeleteIdentityResponse* response) override;
  grpc::ServerUnaryReactor* SetPsk(grpc::CallbackServerContext* context,
                                   const v1::SetPskRequest* request,
                                   v1::SetPskResponse* response) override;
  grpc::ServerUnaryReactor* RemovePsk(grpc::CallbackServerContext* context,
                                      const v1::RemovePskRequest* request,
                                      v1::RemovePskResponse* response) override;
  grpc::ServerUnaryReactor* AddAlias(grpc::CallbackServerContext* context,
                                     const v1::AddAliasRequest* request,
                                     v1::AddAliasResponse* response) override;
  grpc::ServerUnaryReactor* RemoveAlias(grpc::CallbackServerContext* context,
                                        const v1::RemoveAliasRequest* request,
                                        v1::RemoveAliasResponse* response) override;
  grpc::ServerUnaryReactor* AddOwnedPattern(grpc::CallbackServerContext* context,
                                            const v1::AddOwnedPatternRequest* request,
                                            v1::AddOwnedPatternResponse* response) override;
  grpc::ServerUnaryReactor* RemoveOwnedPattern(grpc::CallbackServerContext* context,
                                               const v1::RemoveOwnedPatternRequest* request,
                                               v1::RemoveOwnedPatternResponse* response) override;
  grpc::ServerUnaryReactor* AddCertificate(grpc::CallbackServerContext* context,
                                           const v1::AddCertificateRequest* request,
                                           v1::AddCertificateResponse* response) override;
  grpc::ServerUnaryReactor* RemoveCertificate(grpc::CallbackServerContext* context,
                                              const v1::RemoveCertificateRequest* request,
                                              v1::RemoveCertificateResponse* response) override;
  grpc::ServerUnaryReactor* AddGroupMember(grpc::CallbackServerContext* context,
                                           const v1::AddGroupMemberRequest* request,
                                           v1::AddGroupMemberResponse* response) override;
  grpc::ServerUnaryReactor* RemoveGroupMember(grpc::CallbackServerContext* context,
                                              const v1::RemoveGroupMemberRequest* request,
                                              v1::RemoveGroupMemberResponse* response) override;
  grpc::ServerUnaryReactor* ListGroupMembers(grpc::CallbackServerContext* context,
                                             const v1::ListGroupMembersRequest* request,
                                             v1::ListGroupMembersResponse* response) override;
  grpc::ServerUnaryReactor* ShareTpk(grpc::CallbackServerContext* context,
                                     const v1::ShareTpkRequest* request,
                                     v1::ShareTpkResponse* response) override;
  grpc::ServerUnaryReactor* UnshareTpk(grpc::CallbackServerContext* context,
                                       const v1::UnshareTpkRequest* request,
                                       v1::UnshareTpkResponse* response) override;
  grpc::ServerUnaryReactor* PrepareTpk(grpc::CallbackServerContext* context,
                                       const v1::PrepareTpkRequest* request,
                                       v1::PrepareTpkResponse* response) override;
  grpc::ServerUnaryReactor* ActivateTpk(grpc::CallbackServerContext* context,
                                        const v1::ActivateTpkRequest* request,
                                        v1::ActivateTpkResponse* response) override;
  grpc::ServerUnaryReactor* RetireTpk(grpc::CallbackServerContext* context,
                                      const v1::RetireTpkRequest* request,
                                      v1::RetireTpkResponse* response) override;
  grpc::ServerUnaryReactor* RevokeTpk(grpc::CallbackServerContext* context,
                                      const v1::RevokeTpkRequest* request,
                                      v1::RevokeTpkResponse* response) override;
  grpc::ServerUnaryReactor* ListTpks(grpc::CallbackServerContext* context,
                                     const v1::ListTpksRequest* request,
                                     v1::ListTpksResponse* response) override;
  // identity_import_service.cc
  grpc::ServerUnaryReactor* ImportIdentities(grpc::CallbackServerContext* context,
                                             const v1::ImportIdentitiesRequest* request,
                                             v1::ImportIdentitiesResponse* response) override;
  grpc::ServerUnaryReactor* ResumeImport(grpc::CallbackServerContext* context,
                                         const v1::ResumeImportRequest* request,
                                         v1::ResumeImportResponse* response) override;
  // policy_admin_service.cc
  grpc::ServerUnaryReactor* SetPolicyRule(grpc::CallbackServerContext* context,
                                          const v1::SetPolicyRuleRequest* request,
                                          v1::SetPolicyRuleResponse* response) override;
  grpc::ServerUnaryReactor* DeletePolicyRule(grpc::CallbackServerContext* context,
                                             const v1::DeletePolicyRuleRequest* request,
                                             v1::DeletePolicyRuleResponse* response) override;
  grpc::ServerUnaryReactor* ListPolicyRules(grpc::CallbackServerContext* context,
                                            const v1::ListPolicyRulesRequest* request,
                                            v1::ListPolicyRulesResponse* response) override;
  grpc::ServerUnaryReactor* ExplainPolicy(grpc::CallbackServerContext* context,
                                          const v1::ExplainPolicyRequest* request,
                                          v1::ExplainPolicyResponse* response) override;

 private:
  // Admits the caller and runs `work` on the executor; its result is the status.
  grpc::ServerUnaryReactor* run(grpc::CallbackServerContext& context, std::string_view method,
                                AdminWork work, std::function<void()> on_done = {});

  IdentityAdmin& admin_;
  IdentityImport& importer_;
  PolicyAdmin& policy_;
  StoreExecutor& executor_;
  const rpc::Guard& guard_;
};

}  // namespace keystub::kms
