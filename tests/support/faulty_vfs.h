// A disk that fails on command, under SQLite: a VFS in front of the real one, which is the default
// for every database opened while a FaultyDisk lives.
#pragma once

#include <cstdint>

namespace keystub::testing {

enum class DiskFault : std::uint8_t {
  full,         // writes fail with SQLITE_FULL
  read_only,    // so do writes, truncations and syncs, as on a file system mounted read-only
  write_error,  // SQLITE_IOERR_WRITE
  sync_error,   // SQLITE_IOERR_FSYNC: written, and who knows whether it lasts
  read_error,   // SQLITE_IOERR_READ
};

// One at a time in a process. Databases opened under it must be closed before it ends.
class FaultyDisk {
 public:
  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // The operation that the fault is about succeeds `first_good` times more, then fails until
  // repair().
  void fail(DiskFault fault, std::int64_t first_good = 0);
  void repair();
  // Operations that failed since fail().
  std::int64_t failures() const;
};

}  // namespace keystub::testing
