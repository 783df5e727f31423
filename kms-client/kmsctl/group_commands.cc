// kmsctl group add|remove|members: who belongs to an identity of kind group (KMS-5).
#include "kms-client/kmsctl/commands.h"

namespace keystub::kmsctl {

GroupCommands::GroupCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& group =
      top.verb("group", "Members of groups; make a group with identity create --kind group.");
  const auto change_verb =
      [&](const char* name, const char* help,
          Result<v1::Identity> (AdminClient::*call)(const std::string&, const std::string&)) {
        group.verb(name, help)
            .argument("group", group_, "The group.")
            .argument("member", member_, "The identity.")
            .action([this, call] { return exit_code_of(change(call)); });
      };
  change_verb("add", "Makes an identity a member.", &AdminClient::add_member);
  change_verb("remove", "Ends a membership.", &AdminClient::remove_member);
  group.verb("members", "Lists the members.")
      .argument("group", group_, "The group.")
      .action([this] { return exit_code_of(members()); });
}

Result<void> GroupCommands::change(Result<v1::Identity> (AdminClient::*call)(const std::string&,
                                                                             const std::string&)) {
  const auto admin = TRY(session_.admin());
  const auto identity = TRY((admin.get()->*call)(group_, member_));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> GroupCommands::members() {
  const auto admin = TRY(session_.admin());
  std::vector<std::string> uris;
  TRY(admin->list_members(group_, [&](const std::string& uri) { uris.push_back(uri); }));
  print_rows(session_.out, session_.format(), {{"group", group_}, {"members", std::move(uris)}});
  return {};
}

}  // namespace keystub::kmsctl
