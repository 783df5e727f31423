// RecordBuffer: a file of records read through one piece of memory of fixed size, which is wiped in
// the end: records may hold keys. A record is taken apart where it lies.
#pragma once

#include <functional>
#include <span>

#include "base/error.h"
#include "base/secret.h"

namespace keystub::kmsctl {

// Reads what comes next into the memory: how many octets, 0 at the end.
using RecordSource = std::function<Result<std::size_t>(MutableBytes)>;

class RecordBuffer {
 public:
  // Of one record. The longest that a KMS takes is half of that.
  static constexpr std::size_t kMaxRecord = 131'072;

  explicit RecordBuffer(RecordSource source) : source_(std::move(source)), memory_(kMaxRecord) {}

  // What was read and not dropped yet; the caller may change it.
  std::span<char> text() noexcept {
    return {reinterpret_cast<char*>(memory_.reveal_mutable().data()) + begin_, end_ - begin_};
  }
  // Reads more behind it, which moves text(). False: there is no more. malformed when a record of
  // kMaxRecord octets has no end.
  Result<bool> grow();
  // The first `octets` of text() are done with.
  void drop(std::size_t octets) noexcept { begin_ += octets; }

 private:
  RecordSource source_;
  Secret<struct RecordTag> memory_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool ended_ = false;
};

}  // namespace keystub::kmsctl
