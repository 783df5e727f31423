// The few file operations of the KMS, with the permissions that key material needs.
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/error.h"

namespace keystub::kms {

// Owns a file descriptor; -1 is none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~FileDescriptor() { reset(); }

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

// "reason (No such file or directory)" for errno as it is now.
std::string errno_text(int error_number);

// Writes all of `data`, over interrupts and short writes.
Result<void> write_all(int fd, Bytes data);

// Creates a file that does not exist yet, readable by its owner alone (0600), and makes both its
// contents and its name durable. Fails (conflict) if there is one already: nothing is overwritten.
Result<void> create_private_file(const std::filesystem::path& path, Bytes contents);

// The folder that a file's name stands in.
inline std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

// `wanted`, or the first of wanted-2, wanted-3, … that no file has yet.
std::filesystem::path unused_name(const std::filesystem::path& wanted);

// Makes what was written to a file durable, whoever wrote it.
Result<void> sync_file(const std::filesystem::path& file);

// Makes the names in a folder durable.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace keystub::kms
