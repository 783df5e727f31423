// The layout of the replay window's file (docs/replay-window.md), and its mapping. Inside the room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>

#include "base/error.h"

namespace keystub::replay {

inline constexpr std::size_t kShards = 64;
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

// A remembered message. In use when `epoch` is the one of its generation: a generation is emptied
// by giving it a new epoch, without touching its slots.
struct Slot {
  std::uint8_t tag[16];
  std::int64_t t;  // nanoseconds since 1970, UTC
  std::uint64_t epoch;
};
static_assert(sizeof(Slot) == 32);

// One sixty-fourth of the window, with a floor and two generations of its own.
struct ShardState {
  std::int64_t floor;           // T at or below it is refused
  std::int64_t pressure_floor;  // where the floor was last raised for lack of room, or kNever
  std::int64_t recovery_floor;  // not kNever while generations change hands: the floor if we die
  std::uint64_t current;        // generation that takes new messages: 0 or 1
  std::uint64_t epoch[2];
  std::uint64_t next_epoch;
  std::uint64_t unused;
};
static_assert(sizeof(ShardState) == 64);

struct FileHeader {
  char magic[8];
  std::uint64_t version;
  std::uint64_t shards;
  std::uint64_t slots_per_shard;  // of one generation
  std::uint64_t opened;           // 0: as create() left it
  std::uint64_t clean;            // 1: closed by ~ReplayWindow, and synced
  char boot_id[64];               // of the machine's run that last had it open
};

// A mapped file, or anonymous memory. Move-only owner of the mapping and of the file's lock.
class Mapping {
 public:
  static std::size_t size_for(std::size_t slots_per_shard) noexcept;

  // Creates (conflict when it exists) and allocates every octet on the disk: a full disk is an
  // error here, not a SIGBUS later.
  static Result<std::unique_ptr<Mapping>> create(const std::filesystem::path& file,
                                                 std::size_t slots_per_shard);
  // not_found; conflict when another process holds the lock. The size may be any: see fits().
  static Result<std::unique_ptr<Mapping>> open(const std::filesystem::path& file);
  static Result<std::unique_ptr<Mapping>> anonymous(std::size_t slots_per_shard);

  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // True when the file has the size, magic, version and numbers for this many slots, and its
  // shards' states make sense.
  bool fits(std::size_t slots_per_shard) const noexcept;
  // Empties the file and gives it the size for this many slots; then initialise().
  Result<void> resize(std::size_t slots_per_shard);
  // Writes empty shards with this floor, then the header.
  void initialise(std::size_t slots_per_shard, std::int64_t floor) noexcept;

  FileHeader& header() noexcept;
  const FileHeader& header() const noexcept;
  ShardState& shard(std::size_t index) noexcept;
  const ShardState& shard(std::size_t index) const noexcept;
  Slot* slots(std::size_t shard, std::size_t generation) noexcept;

  // Everything to the disk; false when the system says no. True for anonymous memory.
  bool sync() noexcept;

 private:
  Mapping(int fd, std::string name) noexcept : fd_(fd), name_(std::move(name)) {}
  Result<void> allocate(std::size_t size);
  Result<void> map(std::size_t size);
  void unmap() noexcept;

  int fd_ = -1;
  std::string name_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace keystub::replay
