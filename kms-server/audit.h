// Audit: one line of JSON per decision of the KMS, on the disk before the answer leaves.
//
// The lines are a hash chain (service/audit_chain.h). Fields of a line, in this order; those that
// do not apply are left out:
//   seq         number of the line in this log, from 0
//   previous    first line of a rotated file: the chain that it goes on from
//   time        RFC 3339, UTC, microseconds
//   request_id  names this decision
//   trace_id    of the caller
//   caller      what the transport proved: certificate name, "uid:0", or the kind of caller
//   operation   "request", "resolve", "admin.create_identity", …; "call": a method that the caller,
//               which proved who it is, may not call
//   identity    whom it is about: the sender, proven only where the decision came after the MAC
//   method      "psk" or "pk": what the sender proves itself with
//   certificate 64 hex digits: SHA-256 over the sender's certificate; proven as the identity is
//   detail      admin: what of the identity was added or removed: an alias, a member, a key's id;
//               the file of a backup, the number of keys that were moved; call: the method
//   responder   request: the responders that the ticket names; resolve: IDRr of the answer
//   decision    "granted" or "refused"
//   rule        which rule decided: one short word from a fixed set
//   policy      which rule of the policy says so: "default", "domain example.com", …
//   reason      why it was refused, in a sentence
//   ticket_id   32 hex digits: first 16 octets of SHA-256 over the MAC of the ticket
//   chain       64 hex digits: SHA-256 over the chain before and this line
// Octets that are not printable ASCII appear as \u00XX.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "kms-server/audit_file.h"
#include "service/metrics.h"

namespace keystub::kms {

struct AuditRecord {
  WallTime time;
  std::string request_id;
  std::string trace_id;
  std::string caller;
  std::string operation;
  std::string identity;
  std::string method = {};
  std::string certificate = {};
  std::string detail = {};
  std::string responder;
  bool granted = false;
  std::string rule;
  std::string policy = {};
  std::string reason;
  std::string ticket_id;
};

// The record as a JSON object, without seq and chain.
std::string to_json(const AuditRecord& record);

enum class AuditFsync : std::uint8_t {
  group,     // one fsync for all decisions that wait; each is durable before its answer
  always,    // one fsync per decision
  interval,  // written before the answer, durable within AuditOptions::interval
};

struct AuditOptions {
  std::filesystem::path path;
  AuditFsync fsync = AuditFsync::group;
  std::chrono::milliseconds interval{1000};
  std::uint64_t max_size = 0;  // octets; a larger file is renamed to PATH.N; 0: never
  // What is decided without its line on the disk is refused; false: it goes on, with an alarm.
  bool needed = true;
  std::size_t max_waiting = 4096;  // lines whose caller is not told yet; more are refused with busy
};

// What the audit counts; the default counts nothing.
struct AuditMetrics {
  AuditMetrics() = default;
  explicit AuditMetrics(service::Metrics& metrics);

  service::Counter lines;    // written
  service::Counter failed;   // decisions that could not be written
  service::Gauge waiting;    // callers that are not told yet
  service::Gauge file_size;  // octets
};

// Threads: append() is safe from every thread and never blocks on the disk.
class Audit {
 public:
  // Told when the line is written (and durable, as the fsync policy says) or why it is not.
  using Written = std::move_only_function<void(const Result<void>&)>;

  // Opens the file (audit_file.h); unavailable or conflict when it cannot.
  static Result<std::unique_ptr<Audit>> open(const AuditOptions& options,
                                             const AuditMetrics& metrics = {});
  // Writes what waits, then stops.
  ~Audit();
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;

  // `written` is called exactly once, in the order of the lines: on the audit's thread, or on
  // this one when too much waits. It must not block.
  void append(const AuditRecord& record, Written written);

  // The same for whoever may block.
  Result<void> append_and_wait(const AuditRecord& record);

  // Names a decision that is made `now`, and no other: by the time of the first one of this run,
  // and a number.
  std::string next_request_id(WallTime now);

  // Instead of AuditOptions::needed, from now on.
  void set_needed(bool needed) noexcept { needed_ = needed; }
  bool needed() const noexcept { return needed_; }

  // Whether the disk has room for some lines more: one that is short may fit where no other does.
  bool has_room() const;

  // It was opened without a line before it.
  bool begins_log() const noexcept { return begins_log_; }

  // Why the last write failed; none: it worked. For health.
  std::optional<Error> fault() const;

 private:
  struct Waiting {
    std::string record;
    Written written;
  };

  Audit(AuditOptions options, AuditFile file, const AuditMetrics& metrics);
  void write_loop();
  // Meanwhile the lines of the next round gather.
  void tell(std::vector<Written> callers, const Result<void>& result);
  Result<void> write(const std::vector<std::string>& records, bool durable);

  const AuditOptions options_;
  std::atomic<bool> needed_;
  std::once_flag first_request_;
  std::string run_id_;
  std::atomic<std::uint64_t> requests_{0};
  const bool begins_log_;
  AuditFile file_;  // the writer's alone
  AuditMetrics metrics_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Waiting> waiting_;
  std::size_t untold_ = 0;  // lines that wait, that are being written, and whose caller waits
  std::optional<Error> fault_;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace keystub::kms
