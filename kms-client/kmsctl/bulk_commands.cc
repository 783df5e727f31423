// kmsctl identity import and export: many identities at once.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>

#include "kms-client/kmsctl/bulk_export.h"
#include "kms-client/kmsctl/bulk_import.h"
#include "kms-client/kmsctl/commands.h"

namespace keystub::kmsctl {
namespace {

// A batch is more work for a KMS than a call.
constexpr std::chrono::milliseconds kBatchCall{30'000};
constexpr std::int64_t kMaxBatch = 1000;

std::atomic<bool> stop_wanted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// Ctrl-C ends an import between two batches; a second one ends it at once.
class StopOnSignal {
 public:
  StopOnSignal() {
    stop_wanted = false;
    struct sigaction action{};
    action.sa_handler = [](int) { stop_wanted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
    ::sigaction(SIGINT, &action, &before_int_);
    ::sigaction(SIGTERM, &action, &before_term_);
  }
  ~StopOnSignal() {
    ::sigaction(SIGINT, &before_int_, nullptr);
    ::sigaction(SIGTERM, &before_term_, nullptr);
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  static bool wait(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds kLook{50};
    for (; time.count() > 0 && !stop_wanted; time -= kLook) std::this_thread::sleep_for(kLook);
    return stop_wanted;
  }

 private:
  struct sigaction before_int_{};
  struct sigaction before_term_{};
};

bool on_terminal() { return ::isatty(STDERR_FILENO) != 0; }

// "auto": by the name of the file.
RecordFormat format_of(const std::string& format, const std::string& file) {
  if (format != "auto") return format == "json" ? RecordFormat::json : RecordFormat::csv;
  const bool json =
      file.ends_with(".json") || file.ends_with(".jsonl") || file.ends_with(".ndjson");
  return json ? RecordFormat::json : RecordFormat::csv;
}

std::uint64_t seconds_since(SteadyTime begin, const Clock& clock) {
  const auto passed = std::chrono::round<std::chrono::seconds>(clock.steady_now() - begin);
  return static_cast<std::uint64_t>(passed.count());
}

}  // namespace

BulkCommands::BulkCommands(service::Verb& identity, Session& session) : session_(session) {
  const std::vector<std::string> formats = {"auto", "csv", "json"};
  identity.verb("import", "Makes many identities, batch by batch; run again, it goes on.")
      .argument("file", file_, "CSV or JSON, mode 0600 if it holds keys; -: standard input.")
      .choice("--format", format_, formats, "auto: by the name of the file.")
      .option("--batch", batch_, "Identities that are imported together, all or none: 1 to 1000.")
      .flag("--skip-existing", skip_existing_, "Leave identities that exist as they are.")
      .flag("--restart", restart_, "From the start, although it was imported before.")
      .flag("--dry-run", dry_run_, "Only read and check the file; no KMS is asked.")
      .action([this] { return exit_code_of(import_file()); });
  identity.verb("export", "Writes all identities in the form that import takes; never a key.")
      .option("--file", file_, "A new file. Default: standard output.")
      .choice("--format", format_, formats, "auto: by the name of the file, else CSV.")
      .option("--prefix", prefix_, "Only URIs that start with this.")
      .action([this] { return exit_code_of(export_file()); });
}

Result<std::unique_ptr<AdminClient>> BulkCommands::admin() const {
  auto options = TRY(session_.connection());
  options.timeout = std::max(options.timeout, kBatchCall);
  return AdminClient::open(options);
}

Result<void> BulkCommands::import_file() {
  if (batch_ < 1 || batch_ > kMaxBatch) {
    return fail(Category::malformed, fmt::format("--batch is a number from 1 to {}", kMaxBatch));
  }
  const SteadyTime begin = session_.clock.steady_now();
  const StopOnSignal signals;
  BulkImport bulk({file_, format_of(format_, file_), static_cast<std::size_t>(batch_),
                   skip_existing_, restart_},
                  &StopOnSignal::wait);
  ImportSummary summary;
  if (dry_run_) {
    summary = TRY(bulk.check());
  } else {
    const auto client = TRY(admin());
    summary = TRY(bulk.run(*client, session_.random, session_.clock, std::cerr, on_terminal()));
  }
  std::vector<Row> rows = {{"file", file_},
                           {"identities", summary.identities},
                           {"keys", summary.keys},
                           {"without_keys", summary.without_keys},
                           {"batches", summary.batches}};
  if (!dry_run_) {
    rows.emplace_back("created", summary.created);
    rows.emplace_back("skipped", summary.skipped);
    rows.emplace_back("done_before", summary.done_before);
  }
  rows.emplace_back("seconds", seconds_since(begin, session_.clock));
  print_rows(session_.out, session_.format(), rows);
  if (!dry_run_ && summary.done_before == summary.identities) {
    std::cerr << "kmsctl: this file was imported before; --restart imports it again\n";
  }
  if (summary.without_keys != 0) {
    std::cerr << fmt::format(
        "kmsctl: {} identities had keys which this file does not hold: give them keys with "
        "identity set-psk\n",
        summary.without_keys);
  }
  return {};
}

Result<void> BulkCommands::export_file() {
  const SteadyTime begin = session_.clock.steady_now();
  const auto client = TRY(admin());
  const std::uint64_t identities =
      TRY(export_identities(*client, {file_, format_of(format_, file_), prefix_}, session_.out,
                            session_.clock, std::cerr, on_terminal()));
  const std::vector<Row> rows = {{"file", file_},
                                 {"identities", identities},
                                 {"seconds", seconds_since(begin, session_.clock)}};
  // Standard output holds the identities, and nothing else.
  print_rows(file_.empty() ? std::cerr : session_.out, session_.format(), rows);
  return {};
}

}  // namespace keystub::kmsctl
