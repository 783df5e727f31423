#include "kms-client/kmsctl/connection.h"

#include <utility>

#include "base/secret.h"
#include "keystub/v1/identity_admin.grpc.pb.h"
#include "kms-client/kmsctl/stub_client.h"
#include "rpc/channel.h"

namespace keystub::kmsctl {
namespace {

using Stub = v1::IdentityAdmin::Stub;

}  // namespace

struct AdminClient::Impl : StubClient<Stub> {
  using StubClient::StubClient;
};

AdminClient::AdminClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminClient::~AdminClient() = default;

Result<std::shared_ptr<grpc::Channel>> open_admin_channel(const ConnectionOptions& options) {
  if (options.socket.empty() && options.server.empty()) {
    return fail(
        Category::malformed,
        "say where the KMS is: --socket PATH, or --server IP:PORT with --ca, --cert, --key");
  }
  if (!options.socket.empty()) return rpc::open_unix_channel(options.socket);
  return rpc::open_tls_channel(options.server,
                               {options.ca, options.certificate, options.private_key},
                               {.server_name = options.server_name});
}

Result<std::unique_ptr<AdminClient>> AdminClient::open(const ConnectionOptions& options) {
  auto channel = TRY(open_admin_channel(options));
  return std::unique_ptr<AdminClient>(new AdminClient(
      std::make_unique<Impl>(v1::IdentityAdmin::NewStub(std::move(channel)), options.timeout)));
}

Result<v1::Identity> AdminClient::create(v1::CreateIdentityRequest& request) {
  auto response = impl_->call(&Stub::CreateIdentity, request, "create identity");
  keystub::wipe(*request.mutable_psk());
  return std::move(*TRY(std::move(response)).mutable_identity());
}

Result<v1::Identity> AdminClient::get(const std::string& uri) {
  v1::GetIdentityRequest request;
  request.set_uri(uri);
  return std::move(
      *TRY(impl_->call(&Stub::GetIdentity, request, "show identity")).mutable_identity());
}

Result<void> AdminClient::list(const std::string& uri_prefix,
                               const std::function<void(const v1::Identity&)>& each) {
  v1::ListIdentitiesRequest request;
  request.set_uri_prefix(uri_prefix);
  return follow_pages(std::move(request), each);
}

Result<void> AdminClient::list_groups(const std::string& uri_prefix,
                                      const std::function<void(const v1::Identity&)>& each) {
  v1::ListIdentitiesRequest request;
  request.set_uri_prefix(uri_prefix);
  request.set_groups_only(true);
  return follow_pages(std::move(request), each);
}

Result<v1::ImportIdentitiesResponse> AdminClient::import_batch(
    const v1::ImportIdentitiesRequest& request) {
  return impl_->call(&Stub::ImportIdentities, request, "import");
}

Result<std::uint64_t> AdminClient::resume_import(const std::string& import_id, bool restart) {
  v1::ResumeImportRequest request;
  request.set_import_id(import_id);
  request.set_restart(restart);
  return TRY(impl_->call(&Stub::ResumeImport, request, "import")).next_batch();
}

Result<void> AdminClient::follow_pages(v1::ListIdentitiesRequest request,
                                       const std::function<void(const v1::Identity&)>& each) {
  do {
    const auto page = TRY(impl_->call(&Stub::ListIdentities, request, "list identities"));
    for (const auto& identity : page.identities()) each(identity);
    if (!page.next_page_token().empty() && page.next_page_token() == request.page_token()) {
      return fail(Category::internal, "list identities: the KMS repeats a page");
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return {};
}

Result<v1::Identity> AdminClient::suspend(const std::string& uri) {
  v1::SuspendIdentityRequest request;
  request.set_uri(uri);
  return std::move(
      *TRY(impl_->call(&Stub::SuspendIdentity, request, "suspend identity")).mutable_identity());
}

Result<v1::Identity> AdminClient::resume(const std::string& uri) {
  v1::ResumeIdentityRequest request;
  request.set_uri(uri);
  return std::move(
      *TRY(impl_->call(&Stub::ResumeIdentity, request, "resume identity")).mutable_identity());
}

Result<void> AdminClient::remove(const std::string& uri) {
  v1::DeleteIdentityRequest request;
  request.set_uri(uri);
  TRY(impl_->call(&Stub::DeleteIdentity, request, "delete identity"));
  return {};
}

Result<v1::Identity> AdminClient::set_psk(v1::SetPskRequest& request) {
  auto response = impl_->call(&Stub::SetPsk, request, "set PSK");
  keystub::wipe(*request.mutable_psk());
  return std::move(*TRY(std::move(response)).mutable_identity());
}

Result<v1::Identity> AdminClient::remove_psk(const std::string& uri, const std::string& psk_id) {
  v1::RemovePskRequest request;
  request.set_uri(uri);
  request.set_psk_id(psk_id);
  return std::move(*TRY(impl_->call(&Stub::RemovePsk, request, "remove PSK")).mutable_identity());
}

Result<v1::Identity> AdminClient::add_alias(const std::string& uri, const std::string& alias) {
  v1::AddAliasRequest request;
  request.set_uri(uri);
  request.set_alias(alias);
  return std::move(*TRY(impl_->call(&Stub::AddAlias, request, "add alias")).mutable_identity());
}

Result<v1::Identity> AdminClient::remove_alias(const std::string& uri, const std::string& alias) {
  v1::RemoveAliasRequest request;
  request.set_uri(uri);
  request.set_alias(alias);
  return std::move(
      *TRY(impl_->call(&Stub::RemoveAlias, request, "remove alias")).mutable_identity());
}

Result<v1::Identity> AdminClient::add_pattern(const std::string& uri, const std::string& pattern) {
  v1::AddOwnedPatternRequest request;
  request.set_uri(uri);
  request.set_pattern(pattern);
  return std::move(
      *TRY(impl_->call(&Stub::AddOwnedPattern, request, "add pattern")).mutable_identity());
}

Result<v1::Identity> AdminClient::remove_pattern(const std::string& uri,
                                                 const std::string& pattern) {
  v1::RemoveOwnedPatternRequest request;
  request.set_uri(uri);
  request.set_pattern(pattern);
  return std::move(
      *TRY(impl_->call(&Stub::RemoveOwnedPattern, request, "remove pattern")).mutable_identity());
}

Result<v1::Identity> AdminClient::add_certificate(const std::string& uri,
                                                  const std::string& certificate) {
  v1::AddCertificateRequest request;
  request.set_uri(uri);
  request.set_certificate(certificate);
  return std::move(
      *TRY(impl_->call(&Stub::AddCertificate, request, "add certificate")).mutable_identity());
}

Result<v1::Identity> AdminClient::remove_certificate(const std::string& uri,
                                                     const std::string& fingerprint) {
  v1::RemoveCertificateRequest request;
  request.set_uri(uri);
  request.set_fingerprint(fingerprint);
  return std::move(*TRY(impl_->call(&Stub::RemoveCertificate, request, "remove certificate"))
                        .mutable_identity());
}

Result<v1::Identity> AdminClient::add_member(const std::string& group, const std::string& member) {
  v1::AddGroupMemberRequest request;
  request.set_group(group);
  request.set_member(member);
  return std::move(
      *TRY(impl_->call(&Stub::AddGroupMember, request, "add member")).mutable_identity());
}

Result<v1::Identity> AdminClient::remove_member(const std::string& group,
                                                const std::string& member) {
  v1::RemoveGroupMemberRequest request;
  request.set_group(group);
  request.set_member(member);
  return std::move(
      *TRY(impl_->call(&Stub::RemoveGroupMember, request, "remove member")).mutable_identity());
}

Result<void> AdminClient::list_members(const std::string& group,
                                       const std::function<void(const std::string&)>& each) {
  v1::ListGroupMembersRequest request;
  request.set_group(group);
  do {
    const auto page = TRY(impl_->call(&Stub::ListGroupMembers, request, "list members"));
    for (const std::string& uri : page.uris()) each(uri);
    if (!page.next_page_token().empty() && page.next_page_token() == request.page_token()) {
      return fail(Category::internal, "list members: the KMS repeats a page");
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return {};
}

Result<v1::PolicyRule> AdminClient::set_rule(const v1::PolicyRule& rule) {
  v1::SetPolicyRuleRequest request;
  *request.mutable_rule() = rule;
  return std::move(*TRY(impl_->call(&Stub::SetPolicyRule, request, "set rule")).mutable_rule());
}

Result<void> AdminClient::delete_rule(v1::RuleScope scope, const std::string& subject) {
  v1::DeletePolicyRuleRequest request;
  request.set_scope(scope);
  request.set_subject(subject);
  TRY(impl_->call(&Stub::DeletePolicyRule, request, "delete rule"));
  return {};
}

Result<v1::ListPolicyRulesResponse> AdminClient::list_rules() {
  return impl_->call(&Stub::ListPolicyRules, v1::ListPolicyRulesRequest(), "list rules");
}

Result<v1::ExplainPolicyResponse> AdminClient::explain_policy(const std::string& from,
                                                              const std::string& to) {
  v1::ExplainPolicyRequest request;
  request.set_from(from);
  request.set_to(to);
  return impl_->call(&Stub::ExplainPolicy, request, "explain policy");
}

Result<v1::ShareTpkResponse> AdminClient::share_tpk(const std::string& uri) {
  v1::ShareTpkRequest request;
  request.set_uri(uri);
  return impl_->call(&Stub::ShareTpk, request, "share TPK");
}

Result<std::uint32_t> AdminClient::unshare_tpk(const std::string& uri, const std::string& tpk_id) {
  v1::UnshareTpkRequest request;
  request.set_uri(uri);
  request.set_tpk_id(tpk_id);
  return TRY(impl_->call(&Stub::UnshareTpk, request, "unshare TPK")).removed();
}

Result<v1::Tpk> AdminClient::prepare_tpk() {
  return std::move(
      *TRY(impl_->call(&Stub::PrepareTpk, v1::PrepareTpkRequest(), "prepare TPK")).mutable_tpk());
}

Result<v1::Tpk> AdminClient::activate_tpk(const std::string& tpk_id) {
  v1::ActivateTpkRequest request;
  request.set_tpk_id(tpk_id);
  return std::move(*TRY(impl_->call(&Stub::ActivateTpk, request, "activate TPK")).mutable_tpk());
}

Result<v1::Tpk> AdminClient::retire_tpk(const std::string& tpk_id) {
  v1::RetireTpkRequest request;
  request.set_tpk_id(tpk_id);
  return std::move(*TRY(impl_->call(&Stub::RetireTpk, request, "retire TPK")).mutable_tpk());
}

Result<v1::Tpk> AdminClient::revoke_tpk(const std::string& tpk_id) {
  v1::RevokeTpkRequest request;
  request.set_tpk_id(tpk_id);
  return std::move(*TRY(impl_->call(&Stub::RevokeTpk, request, "revoke TPK")).mutable_tpk());
}

Result<v1::ListTpksResponse> AdminClient::list_tpks() {
  return impl_->call(&Stub::ListTpks, v1::ListTpksRequest(), "list TPKs");
}

}  // namespace keystub::kmsctl
