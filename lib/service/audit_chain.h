// The hash chain of an audit file: each line names its number and ends with a digest over itself
// and the digest before it, so that a line that was changed, taken out or put in is found.
//
// A record {"time":…} becomes the line
//   {"seq":7,"time":…,"chain":"<64 hex digits>"}
// with chain = SHA-256(the chain before, 32 octets || the line up to ,"chain"). The first line of a
// file that is not the first of its log also says "previous":"<64 hex digits>" after seq: the chain
// that it goes on from, so that each file can be verified alone and two can be joined. Before the
// first line of a log stand 32 zero octets.
//
// The chain proves order and completeness to whoever knows a later digest; it holds no secret, so
// copy the digest of `kmsctl audit verify` to another machine now and then.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace keystub::service {

using ChainDigest = std::array<std::uint8_t, 32>;

// Makes lines. Not thread-safe; a copy is a place to go back to.
class AuditChain {
 public:
  // Of a log without lines.
  AuditChain() = default;
  // After the last line of a log (without its line end). conflict when that is not a chained line.
  static Result<AuditChain> after(std::string_view last_line);

  // `record` is a JSON object without "seq", "previous" and "chain", on one line. The line with its
  // line end.
  Result<std::string> link(std::string_view record);
  // The next line opens a file of its own.
  void begin_file() { begins_file_ = next_ != 0; }

  // The number of the next line, from 0.
  std::uint64_t next() const noexcept { return next_; }

 private:
  ChainDigest digest_{};
  std::uint64_t next_ = 0;
  bool begins_file_ = false;
};

// Reads a log line by line, file after file in their order.
class AuditVerifier {
 public:
  // One line without its end. conflict, saying what is wrong with it.
  Result<void> add(std::string_view line);

  // Lines that were good.
  std::uint64_t lines() const noexcept { return lines_; }
  // Of the last line, in hex: what to keep elsewhere.
  std::string digest() const;
  // The number of the last line.
  std::uint64_t last() const noexcept { return next_ - 1; }

 private:
  ChainDigest digest_{};
  std::uint64_t next_ = 0;
  std::uint64_t lines_ = 0;
};

}  // namespace keystub::service
