// Where kmsctl finds its KMS, and the way to its admin port.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "keystub/v1/identity_admin.pb.h"

namespace grpc {
class Channel;
}

namespace keystub::kmsctl {

// The options that all verbs share.
struct ConnectionOptions {
  std::string socket;  // of the admin port on this machine; goes before
  std::string server;  // "ip:port", with TLS
  std::string server_name;
  std::string ca;
  std::string certificate;
  std::string private_key;
  std::chrono::milliseconds timeout{10'000};
};

// To the admin port: by the Unix socket, or over TLS.
Result<std::shared_ptr<grpc::Channel>> open_admin_channel(const ConnectionOptions& options);

// One method per RPC of IdentityAdmin. Not tried again: a change may have been made although its
// acknowledgement was lost, and a person should know. Fields with key material are wiped from the
// request when a call returns; import_batch() is the exception to both.
class AdminClient {
 public:
  static Result<std::unique_ptr<AdminClient>> open(const ConnectionOptions& options);
  ~AdminClient();

  Result<v1::Identity> create(v1::CreateIdentityRequest& request);
  Result<v1::Identity> get(const std::string& uri);
  // Follows the pages and hands out each identity once, in the order of their URIs.
  Result<void> list(const std::string& uri_prefix,
                    const std::function<void(const v1::Identity&)>& each);
  // The same, of those of kind group.
  Result<void> list_groups(const std::string& uri_prefix,
                           const std::function<void(const v1::Identity&)>& each);
  // May be sent again when it is not known what became of it. Its keys stay in the request.
  Result<v1::ImportIdentitiesResponse> import_batch(const v1::ImportIdentitiesRequest& request);
  // The batch with which the import goes on.
  Result<std::uint64_t> resume_import(const std::string& import_id, bool restart);
  Result<v1::Identity> suspend(const std::string& uri);
  Result<v1::Identity> resume(const std::string& uri);
  Result<void> remove(const std::string& uri);
  Result<v1::Identity> set_psk(v1::SetPskRequest& request);
  Result<v1::Identity> remove_psk(const std::string& uri, const std::string& psk_id);
  Result<v1::Identity> add_alias(const std::string& uri, const std::string& alias);
  Result<v1::Identity> remove_alias(const std::string& uri, const std::string& alias);
  Result<v1::Identity> add_pattern(const std::string& uri, const std::string& pattern);
  Result<v1::Identity> remove_pattern(const std::string& uri, const std::string& pattern);
  // DER; SHA-256 of it.
  Result<v1::Identity> add_certificate(const std::string& uri, const std::string& certificate);
  Result<v1::Identity> remove_certificate(const std::string& uri, const std::string& fingerprint);
  // Both return the member.
  Result<v1::Identity> add_member(const std::string& group, const std::string& member);
  Result<v1::Identity> remove_member(const std::string& group, const std::string& member);
  // Follows the pages and hands out each URI once.
  Result<void> list_members(const std::string& group,
                            const std::function<void(const std::string&)>& each);
  Result<v1::PolicyRule> set_rule(const v1::PolicyRule& rule);
  Result<void> delete_rule(v1::RuleScope scope, const std::string& subject);
  Result<v1::ListPolicyRulesResponse> list_rules();
  Result<v1::ExplainPolicyResponse> explain_policy(const std::string& from, const std::string& to);
  Result<v1::ShareTpkResponse> share_tpk(const std::string& uri);
  // An empty id: all. Returns how many were taken back.
  Result<std::uint32_t> unshare_tpk(const std::string& uri, const std::string& tpk_id);
  Result<v1::Tpk> prepare_tpk();
  Result<v1::Tpk> activate_tpk(const std::string& tpk_id);
  Result<v1::Tpk> retire_tpk(const std::string& tpk_id);
  Result<v1::Tpk> revoke_tpk(const std::string& tpk_id);
  Result<v1::ListTpksResponse> list_tpks();

 private:
  struct Impl;
  Result<void> follow_pages(v1::ListIdentitiesRequest request,
                            const std::function<void(const v1::Identity&)>& each);
  explicit AdminClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::kmsctl
