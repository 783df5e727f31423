// kmsctl tpk share|unshare: ticket protection keys of initiators that issue their own tickets
// (mode 3, RFC 6043 4.1.1). kmsctl tpk prepare|activate|retire|revoke|show: those of the KMS.
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "kms-client/kmsctl/commands.h"
#include "mikey/keys.h"

namespace keystub::kmsctl {
namespace {

// Before the KMS makes a key that it will show only once: will there be a place for it?
Result<void> check_new_file(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    return fail(Category::conflict, file.string() + " exists already and is not overwritten");
  }
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return fail(Category::unavailable, "nothing can be written in " + folder.string());
  }
  return {};
}

}  // namespace

TpkCommands::TpkCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& tpk =
      top.verb("tpk", "Ticket protection keys: the KMS's own, and those shared for mode 3.");
  tpk.verb("share", "Makes a key with which the identity issues tickets itself; shown once.")
      .required_option("--identity", identity_, "The identity's URI.")
      .option("--out", out_, "New file for the key (hex, mode 0600).")
      .flag("--stdout", to_stdout_, "Print the key (hex) on standard output instead.")
      .action([this] { return exit_code_of(share()); });
  tpk.verb("unshare", "Takes keys back: tickets under them no longer resolve.")
      .required_option("--identity", identity_, "The identity's URI.")
      .option("--tpk-id", tpk_id_, "Which key. Default: all of the identity.")
      .action([this] { return exit_code_of(unshare()); });

  tpk.verb("prepare", "Makes a key for the KMS, to be activated later.").action([this] {
    return exit_code_of(prepare());
  });
  const auto change = [&](const char* name, const char* help,
                          Result<v1::Tpk> (AdminClient::*call)(const std::string&)) {
    tpk.verb(name, help).argument("tpk-id", tpk_id_, "Which key.").action([this, call] {
      return exit_code_of(this->change(call));
    });
  };
  change("activate", "New tickets are sealed under it; the one before it is retired.",
         &AdminClient::activate_tpk);
  change("retire", "Gives up a prepared key.", &AdminClient::retire_tpk);
  change("revoke", "Tickets under it no longer resolve; its key is erased. Not undone.",
         &AdminClient::revoke_tpk);
  tpk.verb("show", "Shows the keys of the KMS and their states.").action([this] {
    return exit_code_of(show());
  });
}

Result<void> TpkCommands::share() {
  if (out_.empty() != to_stdout_) {
    return fail(Category::malformed, "where should the key go? --out FILE, or --stdout");
  }
  if (!to_stdout_) TRY(check_new_file(out_));
  const auto admin = TRY(session_.admin());
  v1::ShareTpkResponse response = TRY(admin->share_tpk(identity_));
  const auto key = mikey::Tpk::take(*response.mutable_tpk());
  const std::string id = id_text(response.tpk_id());
  std::vector<Row> rows = {{"identity", identity_}, {"tpk_id", id}};
  if (to_stdout_) {
    rows.emplace_back("tpk", to_hex(key.reveal()));
  } else {
    if (auto written = service::write_secret(out_, service::SecretEncoding::hex, key.reveal());
        !written) {
      return std::unexpected(
          std::move(written.error()).with_context("the key " + id + " is lost, unshare it"));
    }
    rows.emplace_back("file", out_);
  }
  print_rows(session_.out, session_.format(), rows);
  if (to_stdout_) keystub::wipe(std::get<std::string>(rows.back().second));
  return {};
}

Result<void> TpkCommands::unshare() {
  const auto admin = TRY(session_.admin());
  const auto removed = TRY(admin->unshare_tpk(identity_, TRY(id_octets(tpk_id_))));
  print_rows(session_.out, session_.format(),
             {{"identity", identity_}, {"removed", std::uint64_t{removed}}});
  return {};
}

Result<void> TpkCommands::prepare() {
  const auto admin = TRY(session_.admin());
  print_tpk(session_.out, session_.format(), TRY(admin->prepare_tpk()));
  return {};
}

Result<void> TpkCommands::change(Result<v1::Tpk> (AdminClient::*call)(const std::string&)) {
  const auto admin = TRY(session_.admin());
  const std::string id = TRY(id_octets(tpk_id_));
  print_tpk(session_.out, session_.format(), TRY((admin.get()->*call)(id)));
  return {};
}

Result<void> TpkCommands::show() {
  const auto admin = TRY(session_.admin());
  print_tpks(session_.out, session_.format(), TRY(admin->list_tpks()));
  return {};
}

}  // namespace keystub::kmsctl
