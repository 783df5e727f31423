// kmsctl doctor, kmsctl backup create|verify|restore and kmsctl kek rewrap: running a KMS.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "kms-client/kmsctl/commands.h"
#include "kms-client/kmsctl/operation_client.h"

namespace keystub::kmsctl {
namespace {

// All of the database and of the audit file are read for these.
constexpr std::chrono::milliseconds kLongCall{600'000};
constexpr std::int64_t kClockDifference = 2;  // seconds, over which it is worth a word

std::string_view level_name(v1::FindingLevel level) {
  switch (level) {
    case v1::FINDING_LEVEL_FINE: return "ok";
    case v1::FINDING_LEVEL_WARNING: return "warning";
    case v1::FINDING_LEVEL_FAULT: return "FAULT";
    default: return "unknown";
  }
}

std::vector<Row> summary_rows(const std::string& file, const v1::DatabaseSummary& summary) {
  return {{"file", file},
          {"schema", summary.schema()},
          {"identities", summary.identities()},
          {"psks", summary.psk_count()},
          {"tpks", summary.tpk_count()},
          {"octets", summary.octets()}};
}

void print_findings(std::ostream& out, Format format, const v1::DiagnoseResponse& response) {
  if (format == Format::table) {
    for (const auto& finding : response.findings()) {
      out << fmt::format("{:<8} {:<16} {}\n", level_name(finding.level()), finding.check(),
                         finding.text());
      if (!finding.advice().empty()) out << fmt::format("{:<25} -> {}\n", "", finding.advice());
    }
    return;
  }
  auto all = nlohmann::ordered_json::array();
  for (const auto& finding : response.findings()) {
    all.push_back({{"check", finding.check()},
                   {"level", level_name(finding.level())},
                   {"text", finding.text()},
                   {"advice", finding.advice()}});
  }
  out << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void add_finding(v1::DiagnoseResponse& response, const char* check, v1::FindingLevel level,
                 std::string text, std::string advice = {}) {
  auto& finding = *response.add_findings();
  finding.set_check(check);
  finding.set_level(level);
  finding.set_text(std::move(text));
  finding.set_advice(std::move(advice));
}

// The program that lies beside this one takes over: it has the database and the KEK, we have not.
// Returns only when it cannot.
Result<void> become_kms_server(std::vector<std::string> arguments) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "kms-server").string();
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return fail(Category::not_found,
              fmt::format("{} cannot be run ({}): this verb works on the KMS's own machine",
                          program, std::generic_category().message(errno)));
}

}  // namespace

OperationCommands::OperationCommands(service::Verb& top, Session& session) : session_(session) {
  top.verb("doctor", "Checks everything that a KMS needs, and says what to do.")
      .option("--config", config_,
              "On the KMS's machine, whether it runs or not: its configuration file.")
      .action([this] { return doctor(); });
  service::Verb& backup = top.verb("backup", "Copies of the identity database.");
  backup.verb("create", "Makes one while the KMS serves, in its backup.folder, and checks it.")
      .argument("name", name_, "What it is called.")
      .action([this] { return exit_code_of(create()); });
  backup.verb("verify", "Opens one: structure, KEK, every key, counts.")
      .argument("name", name_, "What it is called; with --config, its file.")
      .option("--config", config_, "On the KMS's machine, without a running KMS.")
      .action([this] { return exit_code_of(verify()); });
  backup.verb("restore", "Puts one in the place of the database; the KMS must be stopped.")
      .argument("file", name_, "The copy.")
      .required_option("--config", config_, "The KMS's configuration file, on its machine.")
      .action([this] {
        return exit_code_of(
            become_kms_server({"backup", "restore", "--config", config_, "--file", name_}));
      });
  top.verb("kek", "The key encryption key.")
      .verb("rewrap", "Moves all keys to the KEK of the table [kek_next], while the KMS serves.")
      .flag("--dry-run", dry_run_, "Opens every key and counts; writes nothing.")
      .action([this] { return exit_code_of(rewrap()); });
}

Result<ConnectionOptions> OperationCommands::long_connection() const {
  auto options = TRY(session_.connection());
  options.timeout = std::max(options.timeout, kLongCall);
  return options;
}

int OperationCommands::doctor() {
  if (!config_.empty()) {
    std::vector<std::string> arguments = {"doctor", "--config", config_};
    if (session_.format() == Format::json) arguments.emplace_back("--json");
    return exit_code_of(become_kms_server(std::move(arguments)));
  }
  const auto examined = examine();
  if (!examined) {
    const int code = exit_code_of(std::unexpected(examined.error()));
    if (examined.error().category() == Category::unavailable) {
      (void)exit_code_of(
          fail(Category::unavailable,
               "the KMS does not answer; on its machine: kmsctl doctor --config FILE"));
    }
    return code;
  }
  print_findings(session_.out, session_.format(), *examined);
  for (const auto& finding : examined->findings()) {
    if (finding.level() == v1::FINDING_LEVEL_FAULT) return service::kExitConflict;
  }
  return service::kExitOk;
}

Result<v1::DiagnoseResponse> OperationCommands::examine() const {
  const auto client = TRY(OperationClient::open(TRY(long_connection())));
  v1::DiagnoseResponse response = TRY(client->diagnose());
  const auto ours =
      std::chrono::floor<std::chrono::seconds>(session_.clock.now().time_since_epoch());
  const std::int64_t ahead = response.server_time().seconds() - ours.count();
  if (ahead >= kClockDifference || ahead <= -kClockDifference) {
    add_finding(response, "clock here", v1::FINDING_LEVEL_WARNING,
                fmt::format("the KMS's clock is {} s {} ours", std::abs(ahead),
                            ahead > 0 ? "ahead of" : "behind"),
                "run an NTP client on both machines");
  } else {
    add_finding(response, "clock here", v1::FINDING_LEVEL_FINE, "agrees with the KMS's");
  }
  return response;
}

Result<void> OperationCommands::create() {
  const auto client = TRY(OperationClient::open(TRY(long_connection())));
  const auto made = TRY(client->create_backup(name_));
  print_rows(session_.out, session_.format(), summary_rows(made.file(), made.summary()));
  return {};
}

Result<void> OperationCommands::verify() {
  if (!config_.empty()) {
    return become_kms_server({"backup", "verify", "--config", config_, "--file", name_});
  }
  const auto client = TRY(OperationClient::open(TRY(long_connection())));
  const auto verified = TRY(client->verify_backup(name_));
  print_rows(session_.out, session_.format(), summary_rows(verified.file(), verified.summary()));
  return {};
}

Result<void> OperationCommands::rewrap() {
  const auto client = TRY(OperationClient::open(TRY(long_connection())));
  const auto report = TRY(client->rewrap_keys(dry_run_));
  print_rows(
      session_.out, session_.format(),
      {{"keys", report.key_count()}, {dry_run_ ? "to_move" : "moved", report.moved_count()}});
  if (!dry_run_ && session_.format() == Format::table) {
    session_.out << "Now make the table [kek_next] of the KMS's configuration its table [kek]. The "
                    "old KEK still opens copies of the database that were made before.\n";
  }
  return {};
}

}  // namespace keystub::kmsctl
