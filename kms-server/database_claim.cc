#include "kms-server/database_claim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

namespace keystub::kms {

// SQLite's own locks are of another kind (fcntl), which these leave alone. But closing the file
// would end those of this process: so a claim is given up after the database is closed.
Result<DatabaseClaim> DatabaseClaim::take(std::filesystem::path database) {
  FileDescriptor file(::open(database.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    return fail(Category::unavailable,
                fmt::format("cannot open {}: {}", database.string(), errno_text(errno)));
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail(Category::unavailable,
                  fmt::format("cannot lock {}: {}", database.string(), errno_text(errno)));
    }
    return fail(Category::conflict, "the database is in use by another KMS: stop that one first");
  }
  DatabaseClaim claim(std::move(database), std::move(file));
  claim.device_ = status.st_dev;
  claim.inode_ = status.st_ino;
  return claim;
}

Result<void> DatabaseClaim::check_place() const {
  struct stat status{};
  if (::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    return {};
  }
  return fail(Category::unavailable,
              fmt::format("{} was moved, removed or replaced while the KMS runs: put it back, or "
                          "stop the KMS and restore a backup",
                          path_.string()));
}

}  // namespace keystub::kms
