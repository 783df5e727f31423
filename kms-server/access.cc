#include "kms-server/access.h"

#include <unistd.h>

#include <charconv>
#include <string_view>

namespace keystub::kms {
namespace {

using rpc::CallerKind;
using rpc::CallerKinds;

constexpr std::string_view kUidName = "uid:";
constexpr std::string_view kWatchRevocations = "/keystub.v1.RevocationFeed/WatchRevocations";

// A set of roles.
enum RoleBit : unsigned { kAdmin = 1, kOperator = 2, kAuditor = 4 };
constexpr unsigned kChanges = kAdmin | kOperator;
constexpr unsigned kSees = kAdmin | kOperator | kAuditor;

struct AdminMethod {
  std::string_view method;
  unsigned roles;
};
constexpr AdminMethod kAdminMethods[] = {
    {"/keystub.v1.IdentityAdmin/CreateIdentity", kChanges},
    {"/keystub.v1.IdentityAdmin/GetIdentity", kSees},
    {"/keystub.v1.IdentityAdmin/ListIdentities", kSees},
    {"/keystub.v1.IdentityAdmin/SuspendIdentity", kChanges},
    {"/keystub.v1.IdentityAdmin/ResumeIdentity", kChanges},
    {"/keystub.v1.IdentityAdmin/DeleteIdentity", kChanges},
    {"/keystub.v1.IdentityAdmin/SetPsk", kChanges},
    {"/keystub.v1.IdentityAdmin/RemovePsk", kChanges},
    {"/keystub.v1.IdentityAdmin/AddAlias", kChanges},
    {"/keystub.v1.IdentityAdmin/RemoveAlias", kChanges},
    {"/keystub.v1.IdentityAdmin/AddOwnedPattern", kChanges},
    {"/keystub.v1.IdentityAdmin/RemoveOwnedPattern", kChanges},
    {"/keystub.v1.IdentityAdmin/AddCertificate", kChanges},
    {"/keystub.v1.IdentityAdmin/RemoveCertificate", kChanges},
    {"/keystub.v1.IdentityAdmin/AddGroupMember", kChanges},
    {"/keystub.v1.IdentityAdmin/RemoveGroupMember", kChanges},
    {"/keystub.v1.IdentityAdmin/ListGroupMembers", kSees},
    {"/keystub.v1.IdentityAdmin/ImportIdentities", kChanges},
    {"/keystub.v1.IdentityAdmin/ResumeImport", kChanges},
    // Who may ask for whom is the admin's to say.
    {"/keystub.v1.IdentityAdmin/SetPolicyRule", kAdmin},
    {"/keystub.v1.IdentityAdmin/DeletePolicyRule", kAdmin},
    {"/keystub.v1.IdentityAdmin/ListPolicyRules", kSees},
    {"/keystub.v1.IdentityAdmin/ExplainPolicy", kSees},
    // With a shared TPK somebody issues tickets for anybody.
    {"/keystub.v1.IdentityAdmin/ShareTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/UnshareTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/PrepareTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/ActivateTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/RetireTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/RevokeTpk", kAdmin},
    {"/keystub.v1.IdentityAdmin/ListTpks", kSees},
    {"/keystub.v1.RevocationAdmin/RevokeTicket", kChanges},
    {"/keystub.v1.RevocationAdmin/RevokeTicketsBefore", kChanges},
    {"/keystub.v1.RevocationAdmin/ListRevocations", kSees},
    {kWatchRevocations, kSees},
    {"/keystub.v1.KmsOperation/CreateBackup", kChanges},
    {"/keystub.v1.KmsOperation/VerifyBackup", kSees},
    {"/keystub.v1.KmsOperation/Diagnose", kSees},
    {"/keystub.v1.KmsOperation/RewrapKeys", kAdmin},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", kSees},
};

constexpr std::string_view kTicketMethods[] = {"/keystub.v1.TicketService/RequestTicket",
                                               "/keystub.v1.TicketService/ResolveTicket",
                                               "/keystub.v1.TicketService/Exchange"};
constexpr std::string_view kHealthMethods[] = {"/grpc.health.v1.Health/Check",
                                               "/grpc.health.v1.Health/Watch"};

void append(std::vector<std::string>& to, const std::vector<std::string>& names) {
  to.insert(to.end(), names.begin(), names.end());
}

// Everybody that the port lets in: whoever checks health holds no role.
void add_health(std::vector<rpc::MethodRule>& rules, CallerKinds port) {
  for (const std::string_view method : kHealthMethods) rules.push_back({std::string(method), port});
}

}  // namespace

std::vector<uid_t> uids_of(const Roles& roles) {
  std::vector<uid_t> uids = {::getuid(), 0};
  for (const auto* names : {&roles.admin, &roles.operators, &roles.auditor}) {
    for (const std::string& name : *names) {
      uid_t uid = 0;
      if (name.starts_with(kUidName) &&
          std::from_chars(name.data() + kUidName.size(), name.data() + name.size(), uid).ec ==
              std::errc()) {
        uids.push_back(uid);
      }
    }
  }
  return uids;
}

std::vector<rpc::MethodRule> ticket_method_rules(const Roles& roles,
                                                 bool require_client_certificate,
                                                 bool allow_plaintext) {
  CallerKinds allowed = CallerKind::certificate;
  if (!require_client_certificate) allowed = allowed | CallerKind::anonymous_tls;
  if (allow_plaintext) allowed = allowed | CallerKind::plaintext;
  std::vector<rpc::MethodRule> rules;
  for (const std::string_view method : kTicketMethods) {
    rules.push_back({std::string(method), allowed, roles.ticket_client});
  }
  rpc::MethodRule watch{std::string(kWatchRevocations), CallerKind::certificate, roles.watcher};
  for (const auto* names : {&roles.admin, &roles.operators, &roles.auditor}) {
    append(watch.names, *names);
  }
  if (watch.names.empty()) watch.allowed = {};  // an empty list would be everybody
  rules.push_back(std::move(watch));
  add_health(rules, allowed);
  return rules;
}

std::vector<rpc::MethodRule> admin_method_rules(const Roles& roles) {
  constexpr CallerKinds kPort = CallerKind::unix_peer | CallerKind::certificate;
  std::vector<rpc::MethodRule> rules;
  for (const AdminMethod& row : kAdminMethods) {
    std::vector<std::string> names = {"uid:0", "uid:" + std::to_string(::getuid())};
    if ((row.roles & kAdmin) != 0) append(names, roles.admin);
    if ((row.roles & kOperator) != 0) append(names, roles.operators);
    if ((row.roles & kAuditor) != 0) append(names, roles.auditor);
    rules.push_back({std::string(row.method), kPort, std::move(names)});
  }
  add_health(rules, kPort);
  return rules;
}

}  // namespace keystub::kms
