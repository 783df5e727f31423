#include "kms-server/maintenance.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "kms-server/database_backup.h"
#include "kms-server/doctor.h"
#include "service/command_line.h"
#include "service/config.h"

namespace keystub::kms {
namespace {

constexpr const char* kProgram = "kms-server";

Result<Settings> load(const std::filesystem::path& file) {
  auto config = TRY(service::Config::load(file));
  return read_settings(config);
}

std::string_view level_name(Finding::Level level) {
  switch (level) {
    case Finding::Level::fine: return "ok";
    case Finding::Level::warning: return "warning";
    case Finding::Level::fault: return "FAULT";
  }
  return "";
}

void print_table(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    fmt::print("{:<8} {:<16} {}\n", level_name(finding.level), finding.check, finding.text);
    if (!finding.advice.empty()) fmt::print("{:<25} -> {}\n", "", finding.advice);
  }
}

void print_json(const std::vector<Finding>& findings) {
  auto all = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    all.push_back({{"check", finding.check},
                   {"level", level_name(finding.level)},
                   {"text", finding.text},
                   {"advice", finding.advice}});
  }
  fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string summary_text(const DatabaseSummary& summary) {
  return fmt::format("schema {}, {} identities, {} PSKs, {} TPKs, {} octets", summary.schema,
                     summary.identities, summary.psks, summary.tpks, summary.size);
}

// The restore is a decision like any other. The KMS is stopped, so the file is ours.
Result<void> audit_restore(const Settings& settings, const std::filesystem::path& copy,
                           const Clock& clock) {
  const auto audit = TRY(Audit::open(settings.audit));
  AuditRecord line;
  line.time = clock.now();
  line.request_id = audit->next_request_id(line.time);
  line.caller = fmt::format("uid:{}", ::getuid());
  line.operation = "admin.restore_backup";
  line.granted = true;
  line.rule = "admin";
  line.detail = copy.string();
  return audit->append_and_wait(line);
}

Result<void> restore(const std::filesystem::path& config, const std::filesystem::path& copy,
                     const Clock& clock) {
  const Settings settings = TRY(load(config));
  const Kek kek = TRY(open_kek(settings.kek));
  const std::string mark = fmt::format(
      "{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(clock.now())));
  const Restored restored = TRY(restore_backup(copy, settings.database, kek, mark));
  fmt::print("restored {}: {}\n", settings.database.string(), summary_text(restored.summary));
  if (!restored.before.empty()) {
    fmt::print("what was there before: {}\n", restored.before.string());
  }
  fmt::print(
      "Changes made after the copy are undone: identities that were suspended or deleted and "
      "keys that were replaced or revoked since then are back. Do it again.\n");
  std::error_code ignored;
  if (std::filesystem::exists(settings.replay_file, ignored)) {
    fmt::print("{} stays: nothing that was accepted before is accepted again.\n",
               settings.replay_file.string());
  } else {
    fmt::print(
        "There is no replay window {}: after the start every message whose T is not later "
        "than start + {} s is refused.\n",
        settings.replay_file.string(),
        std::chrono::ceil<std::chrono::seconds>(settings.clock_skew).count());
  }
  return audit_restore(settings, copy, clock);
}

}  // namespace

int run_doctor(const std::filesystem::path& config, const Clock& clock, bool json) {
  const auto settings = load(config);
  if (!settings) return service::report(kProgram, settings.error());
  std::vector<Finding> findings = {{"configuration", Finding::Level::fine, config.string()}};
  std::vector<Finding> found = examine(*settings, clock);
  findings.insert(findings.end(), found.begin(), found.end());
  json ? print_json(findings) : print_table(findings);
  const auto category = worst(findings);
  return category ? service::exit_code(*category) : service::kExitOk;
}

int run_backup_verify(const std::filesystem::path& config, const std::filesystem::path& copy) {
  const auto verified = [&]() -> Result<DatabaseSummary> {
    const Settings settings = TRY(load(config));
    const Kek kek = TRY(open_kek(settings.kek));
    return verify_database(copy, kek);
  }();
  if (!verified) return service::report(kProgram, verified.error());
  fmt::print("{}: sound, {}\n", copy.string(), summary_text(*verified));
  return service::kExitOk;
}

int run_backup_restore(const std::filesystem::path& config, const std::filesystem::path& copy,
                       const Clock& clock) {
  const auto done = restore(config, copy, clock);
  return done ? service::kExitOk : service::report(kProgram, done.error());
}

}  // namespace keystub::kms
