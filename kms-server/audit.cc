#include "kms-server/audit.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <future>

#include "base/rfc3339.h"

namespace keystub::kms {
namespace {

constexpr std::size_t kUsualOctets = 512;  // of a line

constexpr std::uint64_t kSomeRoom = 64 * 1024;  // octets

// Bringing lines to the disk takes as long for fifty as for one: when many come, the writer lets
// some more come before it takes them.
constexpr std::size_t kMany = 8;  // lines in the last round
constexpr std::chrono::microseconds kGather{300};

bool stands_for_itself(char c) noexcept { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, stands_for_itself);
    out.append(text.begin(), end);
    text = {end, text.end()};
    if (text.empty()) break;
    const char c = text.front();
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
    }
    text.remove_prefix(1);
  }
  out += '"';
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_string(out, value);
}

}  // namespace

std::string to_json(const AuditRecord& record) {
  std::string out;
  out.reserve(kUsualOctets);
  out.append("{\"time\":\"").append(Rfc3339(record.time).text()).append("\"");
  append_field(out, "request_id", record.request_id);
  append_field(out, "trace_id", record.trace_id);
  append_field(out, "caller", record.caller);
  append_field(out, "operation", record.operation);
  append_field(out, "identity", record.identity);
  append_field(out, "method", record.method);
  append_field(out, "certificate", record.certificate);
  append_field(out, "detail", record.detail);
  append_field(out, "responder", record.responder);
  append_field(out, "decision", record.granted ? "granted" : "refused");
  append_field(out, "rule", record.rule);
  append_field(out, "policy", record.policy);
  append_field(out, "reason", record.reason);
  append_field(out, "ticket_id", record.ticket_id);
  out += "}";
  return out;
}

AuditMetrics::AuditMetrics(service::Metrics& metrics)
    : lines(metrics.counter("audit_lines_total", "Lines written to the audit file.")),
      failed(metrics.counter("audit_failures_total", "Decisions that could not be audited.")),
      waiting(metrics.gauge("audit_waiting", "Decisions whose caller waits for the audit.")),
      file_size(metrics.gauge("audit_file_bytes", "Size of the audit file.")) {}

Result<std::unique_ptr<Audit>> Audit::open(const AuditOptions& options,
                                           const AuditMetrics& metrics) {
  AuditFile file = TRY(AuditFile::open(options.path, options.max_size));
  return std::unique_ptr<Audit>(new Audit(options, std::move(file), metrics));
}

Audit::Audit(AuditOptions options, AuditFile file, const AuditMetrics& metrics)
    : options_(std::move(options)),
      needed_(options_.needed),
      begins_log_(file.begins_log()),
      file_(std::move(file)),
      metrics_(metrics),
      writer_([this] { write_loop(); }) {}

Audit::~Audit() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_one();
  writer_.join();
}

void Audit::append(const AuditRecord& record, Written written) {
  std::string line = to_json(record);
  {
    const std::lock_guard lock(mutex_);
    if (untold_ < options_.max_waiting) {
      waiting_.push_back({std::move(line), std::move(written)});
      metrics_.waiting.set(static_cast<double>(++untold_));
      work_.notify_one();
      return;
    }
  }
  metrics_.failed.add();
  written(fail(Category::busy, "too many decisions wait for the audit file"));
}

Result<void> Audit::append_and_wait(const AuditRecord& record) {
  // Shared: set_value() may still be at work when the value is there.
  const auto written = std::make_shared<std::promise<Result<void>>>();
  auto waiting = written->get_future();
  append(record, [written](const Result<void>& result) { written->set_value(result); });
  return waiting.get();
}

std::string Audit::next_request_id(WallTime now) {
  std::call_once(first_request_, [&] {
    run_id_ = fmt::format(
        "{:x}",
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  });
  return fmt::format("{}-{}", run_id_, requests_.fetch_add(1, std::memory_order_relaxed));
}

bool Audit::has_room() const {
  struct statvfs info{};
  return ::statvfs(options_.path.c_str(), &info) != 0 ||
         std::uint64_t{info.f_bavail} * info.f_frsize >= kSomeRoom;
}

std::optional<Error> Audit::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

void Audit::write_loop() {
  const bool each = options_.fsync == AuditFsync::always;
  const bool later = options_.fsync == AuditFsync::interval;
  bool unsynced = false;
  std::size_t last_batch = 0;
  auto last_sync = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto something = [&] { return stopping_ || !waiting_.empty(); };
    if (unsynced) {
      work_.wait_until(lock, last_sync + options_.interval, something);
    } else {
      work_.wait(lock, something);
    }
    if (!each && last_batch >= kMany && !stopping_) {
      lock.unlock();
      std::this_thread::sleep_for(kGather);
      lock.lock();
    }
    std::vector<Waiting> batch = std::exchange(waiting_, {});
    last_batch = batch.size();
    const bool last_round = stopping_;
    lock.unlock();

    for (std::size_t begin = 0; begin < batch.size();) {
      const std::size_t end = each ? begin + 1 : batch.size();
      std::vector<std::string> records;
      std::vector<Written> callers;
      for (; begin < end; ++begin) {
        records.push_back(std::move(batch[begin].record));
        callers.push_back(std::move(batch[begin].written));
      }
      const Result<void> done = write(records, !later);
      if (done && later) unsynced = true;
      (done ? metrics_.lines : metrics_.failed).add(static_cast<double>(callers.size()));
      tell(std::move(callers), done);
    }
    const auto now = std::chrono::steady_clock::now();
    if (unsynced && (last_round || now >= last_sync + options_.interval)) {
      if (auto synced = file_.sync(); !synced) tell({}, synced);
      unsynced = false;
      last_sync = now;
    }

    metrics_.file_size.set(static_cast<double>(file_.size()));

    lock.lock();
    if (last_round && waiting_.empty()) return;
  }
}

void Audit::tell(std::vector<Written> callers, const Result<void>& result) {
  {
    const std::lock_guard lock(mutex_);
    // Before anybody is told: who then asks how the audit is must not hear the old state.
    fault_ = result ? std::nullopt : std::optional(result.error());
  }
  for (Written& written : callers) {
    written(result);
    written = nullptr;  // lets go of what it holds while that is at hand, and not under the lock
  }
  const std::size_t told = callers.size();
  const std::lock_guard lock(mutex_);
  untold_ -= told;
  metrics_.waiting.set(static_cast<double>(untold_));
}

Result<void> Audit::write(const std::vector<std::string>& records, bool durable) {
  Result<void> done = file_.append(records);
  if (done && durable) done = file_.sync();
  if (!done) return std::unexpected(std::move(done).error().with_context("audit file"));
  return done;
}

}  // namespace keystub::kms
