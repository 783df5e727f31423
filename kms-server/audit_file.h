// The audit file on the disk: lines in a hash chain (service/audit_chain.h), torn tails cut off,
// rotation by size, and a new file where somebody moved the old one away.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "kms-server/files.h"
#include "service/audit_chain.h"

namespace keystub::kms {

// Not thread-safe.
class AuditFile {
 public:
  // Opens the file for appending and goes on with its chain, or makes it (0600) and goes on with
  // the chain of the newest PATH.N beside it, or begins a new one. What a lost machine left of a
  // half-written line is cut off: it was never acknowledged. `max_size` in octets; 0: no rotation.
  // unavailable when it cannot, conflict when the file is not a chained log.
  static Result<AuditFile> open(std::filesystem::path path, std::uint64_t max_size);

  // Appends the records as lines, all of them or none: a failed write leaves neither half a line
  // nor a gap in the chain.
  Result<void> append(const std::vector<std::string>& records);
  // No line has been written, to this file or to one that it goes on from.
  bool begins_log() const noexcept { return chain_.next() == 0; }
  // Of the file that is written now, in octets.
  std::uint64_t size() const noexcept { return size_; }

  // Makes what was appended durable.
  Result<void> sync();

 private:
  AuditFile(std::filesystem::path path, std::uint64_t max_size)
      : path_(std::move(path)), max_size_(max_size) {}

  Result<void> open_file();
  // Finds the last whole line and goes on with its chain.
  Result<void> read_end();
  // The chain of the newest file that a rotation left.
  void go_on_from_rotated();
  Result<void> cut_off_after(std::uint64_t size);
  // Full: PATH becomes PATH.N, N being the number of its last line.
  Result<void> rotate_if_full();
  // Somebody else moved or removed PATH (logrotate, an operator): what we hold open is no longer
  // it.
  Result<void> reopen_if_moved();

  std::filesystem::path path_;
  std::uint64_t max_size_;
  FileDescriptor file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::uint64_t size_ = 0;  // in octets, as far as it is good
  bool torn_ = false;       // there may be half a line behind size_
  service::AuditChain chain_;
};

}  // namespace keystub::kms
