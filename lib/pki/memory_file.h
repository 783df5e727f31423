// MemoryFile: a file that is in memory alone, and has a path: for a library that takes its keys
// from files only. Its content is replaced in one step. Linux; needs /proc.
#pragma once

#include <initializer_list>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::pki {

// Threads: one at a time, but for whoever reads by the path. Mode 0600; not inherited by programs
// that this one starts.
class MemoryFile {
 public:
  // Holds the parts, one after the other. unavailable: no descriptor or memory is left, no /proc.
  static Result<MemoryFile> make(std::initializer_list<Bytes> parts);
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile();

  // Whoever opens the path from now on reads the new parts; who has it open reads the old ones to
  // their end. Its modification time becomes another second, so that a reader that opens it twice
  // can tell. On failure the content stays.
  Result<void> replace(std::initializer_list<Bytes> parts);

  // In this process alone.
  const std::string& path() const noexcept { return path_; }

 private:
  explicit MemoryFile(int fd);
  int fd_;
  std::string path_;
};

}  // namespace keystub::pki
