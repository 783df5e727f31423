// Audit: one line of JSON per decision of the KMS, on the disk before the answer leaves.
//
// Fields of a line, in this order; those that do not apply are left out:
//   time        RFC 3339, UTC, microseconds
//   request_id  names this decision within this KMS
//   trace_id    of the caller
//   caller      what the transport proved: certificate name, "uid:0", or the kind of caller
//   operation   "request", "resolve", "admin.create_identity", …
//   identity    whom it is about: the sender, proven only where the decision came after the MAC
//   responder   request: the responders that the ticket names; resolve: IDRr of the answer
//   decision    "granted" or "refused"
//   rule        which rule decided: one short word from a fixed set
//   reason      why it was refused, in a sentence
//   ticket_id   32 hex digits: first 16 octets of SHA-256 over the MAC of the ticket
// Octets that are not printable ASCII appear as \u00XX.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "kms-server/files.h"

namespace keystub::kms {

struct AuditRecord {
  WallTime time;
  std::string request_id;
  std::string trace_id;
  std::string caller;
  std::string operation;
  std::string identity;
  std::string responder;
  bool granted = false;
  std::string rule;
  std::string reason;
  std::string ticket_id;
};

// The line, with its end.
std::string to_json_line(const AuditRecord& record);

enum class AuditFsync : std::uint8_t {
  group,     // one fsync for all decisions that wait; each is durable before its answer
  always,    // one fsync per decision
  interval,  // written before the answer, durable within AuditOptions::interval
};

struct AuditOptions {
  std::filesystem::path path;
  AuditFsync fsync = AuditFsync::group;
  std::chrono::milliseconds interval{1000};
  std::size_t max_waiting = 4096;  // lines; more are refused with busy
};

// Threads: append() is safe from every thread and never blocks on the disk.
class Audit {
 public:
  // Told when the line is written (and durable, as the fsync policy says) or why it is not.
  using Written = std::function<void(Result<void>)>;

  // Opens the file for appending, or makes it (0600). unavailable when it cannot.
  static Result<std::unique_ptr<Audit>> open(const AuditOptions& options);
  // Writes what waits, then stops.
  ~Audit();
  Audit(const Audit&) = delete;
  Audit& operator=(const Audit&) = delete;

  // `written` is called exactly once: on the audit's thread, or on this one when too much waits.
  // It must not block.
  void append(const AuditRecord& record, Written written);

  // Whether the last write worked: for health.
  bool healthy() const;

 private:
  struct Waiting {
    std::string line;
    Written written;
  };

  Audit(AuditOptions options, FileDescriptor file, std::uint64_t size);
  void write_loop();
  // Writes lines as one block; what a failed write left behind is cut off again.
  Result<void> write(std::string_view lines);
  Result<void> sync();

  const AuditOptions options_;
  FileDescriptor file_;  // the thread's alone, as is size_
  std::uint64_t size_;   // of the file, in octets, as far as it is good
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Waiting> waiting_;
  bool healthy_ = true;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace keystub::kms
