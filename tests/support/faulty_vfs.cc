#include "tests/support/faulty_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <optional>

namespace keystub::testing {
namespace {

enum class Operation { read, write, truncate, sync };

std::atomic<bool> failing{false};
std::atomic<DiskFault> fault_kind{DiskFault::full};
std::atomic<std::int64_t> good_left{0};
std::atomic<std::int64_t> failed{0};
sqlite3_vfs* real_vfs = nullptr;

std::optional<int> code_for(DiskFault fault, Operation operation) {
  switch (fault) {
    case DiskFault::full:
      if (operation == Operation::write) return SQLITE_FULL;
      break;
    case DiskFault::read_only:
      if (operation == Operation::write) return SQLITE_IOERR_WRITE;
      if (operation == Operation::truncate) return SQLITE_IOERR_TRUNCATE;
      if (operation == Operation::sync) return SQLITE_IOERR_FSYNC;
      break;
    case DiskFault::write_error:
      if (operation == Operation::write) return SQLITE_IOERR_WRITE;
      break;
    case DiskFault::sync_error:
      if (operation == Operation::sync) return SQLITE_IOERR_FSYNC;
      break;
    case DiskFault::read_error:
      if (operation == Operation::read) return SQLITE_IOERR_READ;
      break;
  }
  return std::nullopt;
}

// The code that this operation fails with; none: it goes through.
std::optional<int> fate(Operation operation) {
  if (!failing) return std::nullopt;
  const auto code = code_for(fault_kind, operation);
  if (!code || good_left.fetch_sub(1) > 0) return std::nullopt;
  failed.fetch_add(1);
  return code;
}

// The real file follows in the same memory.
struct File {
  sqlite3_file base;
  sqlite3_file* real() {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<std::byte*>(this) + kOffset);
  }
  static constexpr std::size_t kOffset = 16;
};
static_assert(sizeof(File) <= File::kOffset);

sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }
const sqlite3_io_methods& methods(sqlite3_file* file) { return *real(file)->pMethods; }

int do_close(sqlite3_file* file) { return methods(file).xClose(real(file)); }
int do_read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  if (const auto code = fate(Operation::read)) return *code;
  return methods(file).xRead(real(file), out, count, offset);
}
int do_write(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  if (const auto code = fate(Operation::write)) {
    // As a disk does it: half of it may be there.
    if (count > 1) methods(file).xWrite(real(file), data, count / 2, offset);
    return *code;
  }
  return methods(file).xWrite(real(file), data, count, offset);
}
int do_truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (const auto code = fate(Operation::truncate)) return *code;
  return methods(file).xTruncate(real(file), size);
}
int do_sync(sqlite3_file* file, int flags) {
  if (const auto code = fate(Operation::sync)) return *code;
  return methods(file).xSync(real(file), flags);
}
int do_file_size(sqlite3_file* file, sqlite3_int64* size) {
  return methods(file).xFileSize(real(file), size);
}
int do_lock(sqlite3_file* file, int level) { return methods(file).xLock(real(file), level); }
int do_unlock(sqlite3_file* file, int level) { return methods(file).xUnlock(real(file), level); }
int do_check_lock(sqlite3_file* file, int* out) {
  return methods(file).xCheckReservedLock(real(file), out);
}
int do_control(sqlite3_file* file, int what, void* argument) {
  return methods(file).xFileControl(real(file), what, argument);
}
int do_sector_size(sqlite3_file* file) { return methods(file).xSectorSize(real(file)); }
int do_characteristics(sqlite3_file* file) {
  return methods(file).xDeviceCharacteristics(real(file));
}
int do_shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return methods(file).xShmMap(real(file), page, size, extend, out);
}
int do_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return methods(file).xShmLock(real(file), offset, count, flags);
}
void do_shm_barrier(sqlite3_file* file) { methods(file).xShmBarrier(real(file)); }
int do_shm_unmap(sqlite3_file* file, int remove) {
  return methods(file).xShmUnmap(real(file), remove);
}

// Version 2: shared memory for WAL, no memory-mapped reads, which would go around do_read().
constexpr sqlite3_io_methods kMethods = {2,
                                         do_close,
                                         do_read,
                                         do_write,
                                         do_truncate,
                                         do_sync,
                                         do_file_size,
                                         do_lock,
                                         do_unlock,
                                         do_check_lock,
                                         do_control,
                                         do_sector_size,
                                         do_characteristics,
                                         do_shm_map,
                                         do_shm_lock,
                                         do_shm_barrier,
                                         do_shm_unmap,
                                         nullptr,
                                         nullptr};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const int code = real_vfs->xOpen(real_vfs, name, real(file), flags, out_flags);
  if (real(file)->pMethods != nullptr) file->pMethods = &kMethods;
  return code;
}

sqlite3_vfs faulty_vfs;

}  // namespace

FaultyDisk::FaultyDisk() {
  real_vfs = sqlite3_vfs_find(nullptr);
  faulty_vfs = *real_vfs;
  faulty_vfs.zName = "faulty";
  faulty_vfs.szOsFile = real_vfs->szOsFile + static_cast<int>(File::kOffset);
  faulty_vfs.xOpen = open_file;
  faulty_vfs.pNext = nullptr;
  sqlite3_vfs_register(&faulty_vfs, 1);
  repair();
}

FaultyDisk::~FaultyDisk() {
  repair();
  sqlite3_vfs_unregister(&faulty_vfs);
  sqlite3_vfs_register(real_vfs, 1);
}

void FaultyDisk::fail(DiskFault fault, std::int64_t first_good) {
  failing = false;
  fault_kind = fault;
  good_left = first_good;
  failed = 0;
  failing = true;
}

void FaultyDisk::repair() { failing = false; }

std::int64_t FaultyDisk::failures() const { return failed; }

}  // namespace keystub::testing
