// The replay window: remembers accepted messages so that none is accepted twice, also after a
// killed process, a lost machine and a clock that stepped (RFC 3830 5.4, RFC 6043 12.4).
//
// A message is a 16-octet tag (the first octets of its verified MAC) and its timestamp T. It is
// admitted when T is within the clock skew and above the floor and its tag is new. The memory is a
// fixed-size file, mapped shared: what was admitted survives kill -9 without fsync. What is
// forgotten to make room raises the floor to its T first, so that it stays refused, whatever the
// clock says later. docs/replay-window.md has the file format and the argument.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"

namespace keystub::replay {

using Tag = std::array<std::uint8_t, 16>;
// The first 16 octets of a MAC, which is at least 20 long.
Tag tag_of(Bytes mac) noexcept;

struct Options {
  // T may differ from the clock by this much, either way.
  std::chrono::nanoseconds skew = std::chrono::seconds{60};
  // Slots in each of the two generations, rounded up to a power of two of at least 4096; 64 octets
  // of file per slot (32 MiB by default). Up to 0.75 × capacity / skew messages per second (6500
  // by default) the full skew is kept.
  std::size_t capacity = 1 << 19;
  // Identifies this run of the machine; empty: /proc/sys/kernel/random/boot_id. For tests.
  std::string boot_id = {};
};

// How the memory was found.
enum class Memory : std::uint8_t {
  fresh,  // in_memory(), or opened right after create()
  kept,   // everything admitted before is remembered
  lost,   // missing, damaged, of another size, or the machine stopped without a clean close
};

// Thread-safe. No allocation and no system call in admit().
class ReplayWindow {
 public:
  // Makes the file of a window that has never admitted anything, once, when the identity that it
  // protects gets its keys (an `init` verb). conflict when the file exists. A daemon that finds no
  // file must NOT call this: it cannot know what was admitted before, and open() acts on that.
  static Result<void> create(const std::filesystem::path& file, const Options& options = {});

  // Opens the file, or makes a new one when it is missing or unusable; then (Memory::lost) every T
  // not later than now + skew is refused for good. conflict when another process has it open,
  // unavailable when it cannot be made, malformed when the skew is not 1 s to 1 h. `clock` must
  // outlive the window.
  static Result<std::unique_ptr<ReplayWindow>> open(const std::filesystem::path& file,
                                                    const Clock& clock,
                                                    const Options& options = {});

  // In memory only: forgets everything at its end. For lab endpoints and tests.
  static Result<std::unique_ptr<ReplayWindow>> in_memory(const Clock& clock,
                                                         const Options& options = {});

  ReplayWindow(const ReplayWindow&) = delete;
  ReplayWindow& operator=(const ReplayWindow&) = delete;
  // Closes cleanly: everything is on the disk, a restart of the machine loses nothing.
  ~ReplayWindow();

  // Remembers the message, or says why it is refused: expired (T outside the skew, T at or below
  // the floor, tag seen before) or busy (full even with the smallest skew). Call only after the
  // MAC is verified, and before the answer leaves. Not for COUNTER timestamps. T: UTC.
  Result<void> admit(const Tag& tag, WallTime t);

  Memory memory() const noexcept { return memory_; }
  // Why the memory was lost, for the log; empty otherwise.
  const std::string& lost_because() const noexcept { return lost_because_; }
  // The smallest skew that is in force now: below Options::skew while the window is too full.
  std::chrono::nanoseconds effective_skew() const;
  // The highest floor in force: T at or below it may be refused.
  WallTime floor() const;

 private:
  struct Shard;
  class Table;
  ReplayWindow(const Clock& clock, std::chrono::nanoseconds skew, std::unique_ptr<Table> table);

  const Clock& clock_;
  const std::int64_t skew_;  // nanoseconds
  Memory memory_ = Memory::fresh;
  std::string lost_because_;
  std::unique_ptr<Table> table_;
};

}  // namespace keystub::replay
