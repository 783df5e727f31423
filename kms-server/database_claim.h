// A KMS has its database to itself: two would accept each other's messages a second time, and one
// that starts would migrate under the other. And what is written must be where the path leads.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/error.h"
#include "kms-server/files.h"

namespace keystub::kms {

// Held as long as it lives; ends with the process, however that ends. Not for network file systems.
// Threads: safe from several threads.
class DatabaseClaim {
 public:
  // Errors: conflict when another process, or another claim of this one, holds it; unavailable.
  static Result<DatabaseClaim> take(std::filesystem::path database);

  // Fails (unavailable) while the path does not lead to the file that was claimed: it was moved,
  // removed or replaced, and what is written now is lost with it.
  Result<void> check_place() const;

 private:
  DatabaseClaim(std::filesystem::path path, FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::filesystem::path path_;
  FileDescriptor file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace keystub::kms
