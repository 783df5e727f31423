// Mapping and layout of the replay window's file, see replay_file.h.
#include "replay/replay_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace keystub::replay {
namespace {

constexpr char kMagic[8] = {'K', 'S', 'R', 'E', 'P', 'L', 'A', 'Y'};
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kShardsOffset = 4096;
constexpr std::size_t kSlotsOffset = kShardsOffset + kShards * sizeof(ShardState);
static_assert(sizeof(FileHeader) <= kShardsOffset && kSlotsOffset % 4096 == 0);

std::unexpected<Error> file_fault(const std::string& name, const char* what) {
  return fail(Category::unavailable,
              "replay window " + name + ": " + what + ": " + std::strerror(errno));
}

}  // namespace

std::size_t Mapping::size_for(std::size_t slots_per_shard) noexcept {
  return kSlotsOffset + kShards * 2 * slots_per_shard * sizeof(Slot);
}

Result<std::unique_ptr<Mapping>> Mapping::create(const std::filesystem::path& file,
                                                 std::size_t slots_per_shard) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    return fail(Category::conflict, "replay window " + file.string() + " exists already");
  }
  if (fd < 0) return file_fault(file.string(), "cannot be made");
  std::unique_ptr<Mapping> mapping(new Mapping(fd, file.string()));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return file_fault(file.string(), "cannot be locked");
  if (auto allocated = mapping->allocate(size_for(slots_per_shard)); !allocated) {
    ::unlink(file.c_str());
    return std::unexpected(std::move(allocated.error()));
  }
  return mapping;
}

Result<std::unique_ptr<Mapping>> Mapping::open(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    return fail(Category::not_found, "replay window " + file.string() + " does not exist");
  }
  if (fd < 0) return file_fault(file.string(), "cannot be opened");
  std::unique_ptr<Mapping> mapping(new Mapping(fd, file.string()));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return fail(Category::conflict,
                "replay window " + file.string() + " is in use by another process");
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0) return file_fault(file.string(), "cannot be read");
  if (info.st_size > 0) TRY(mapping->map(static_cast<std::size_t>(info.st_size)));
  return mapping;
}

Result<std::unique_ptr<Mapping>> Mapping::anonymous(std::size_t slots_per_shard) {
  std::unique_ptr<Mapping> mapping(new Mapping(-1, "in memory"));
  TRY(mapping->map(size_for(slots_per_shard)));
  return mapping;
}

Mapping::~Mapping() {
  unmap();
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Mapping::allocate(std::size_t size) {
  if (const int error = ::posix_fallocate(fd_, 0, static_cast<off_t>(size)); error != 0) {
    errno = error;
    return file_fault(name_, "no room on the disk");
  }
  return map(size);
}

Result<void> Mapping::map(std::size_t size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              fd_ >= 0 ? MAP_SHARED : (MAP_PRIVATE | MAP_ANONYMOUS), fd_, 0);
  if (memory == MAP_FAILED) return file_fault(name_, "cannot be mapped");
  data_ = static_cast<std::byte*>(memory);
  size_ = size;
  return {};
}

void Mapping::unmap() noexcept {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

bool Mapping::fits(std::size_t slots_per_shard) const noexcept {
  if (size_ != size_for(slots_per_shard)) return false;
  const FileHeader& h = header();
  if (std::memcmp(h.magic, kMagic, sizeof(kMagic)) != 0 || h.version != kVersion ||
      h.shards != kShards || h.slots_per_shard != slots_per_shard || h.opened > 1 || h.clean > 1 ||
      h.boot_id[sizeof(h.boot_id) - 1] != '\0') {
    return false;
  }
  for (std::size_t i = 0; i < kShards; ++i) {
    const ShardState& s = shard(i);
    if (s.current > 1 || s.epoch[0] == 0 || s.epoch[1] == 0 || s.epoch[0] == s.epoch[1] ||
        s.epoch[0] >= s.next_epoch || s.epoch[1] >= s.next_epoch) {
      return false;
    }
  }
  return true;
}

Result<void> Mapping::resize(std::size_t slots_per_shard) {
  unmap();
  // Through zero, so that no old octet remains.
  if (::ftruncate(fd_, 0) != 0) return file_fault(name_, "cannot be emptied");
  return allocate(size_for(slots_per_shard));
}

void Mapping::initialise(std::size_t slots_per_shard, std::int64_t floor) noexcept {
  for (std::size_t i = 0; i < kShards; ++i) {
    shard(i) = {floor, kNever, kNever, 0, {1, 2}, 3, 0};
  }
  FileHeader& h = header();
  h = {};
  h.version = kVersion;
  h.shards = kShards;
  h.slots_per_shard = slots_per_shard;
  // The magic last: a file that we died in the middle of is not a window.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::memcpy(h.magic, kMagic, sizeof(kMagic));
}

FileHeader& Mapping::header() noexcept { return *reinterpret_cast<FileHeader*>(data_); }
const FileHeader& Mapping::header() const noexcept {
  return *reinterpret_cast<const FileHeader*>(data_);
}
ShardState& Mapping::shard(std::size_t index) noexcept {
  return reinterpret_cast<ShardState*>(data_ + kShardsOffset)[index];
}
const ShardState& Mapping::shard(std::size_t index) const noexcept {
  return reinterpret_cast<const ShardState*>(data_ + kShardsOffset)[index];
}
Slot* Mapping::slots(std::size_t shard_index, std::size_t generation) noexcept {
  return reinterpret_cast<Slot*>(data_ + kSlotsOffset) +
         (shard_index * 2 + generation) * header().slots_per_shard;
}

bool Mapping::sync() noexcept {
  if (fd_ < 0) return true;
  return ::msync(data_, size_, MS_SYNC) == 0 && ::fsync(fd_) == 0;
}

}  // namespace keystub::replay
