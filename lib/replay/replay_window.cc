// The replay window, see replay_window.h and docs/replay-window.md.
#include "replay/replay_window.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "replay/replay_file.h"

namespace keystub::replay {
namespace {

using namespace std::chrono_literals;

// Below this the window answers busy: clocks and networks are not better than that.
constexpr std::int64_t kMinSkew = std::chrono::nanoseconds(1s).count();
// How long a shard that is full even so is left alone before it is searched again.
constexpr auto kFullPause = 10ms;

std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<std::int64_t>::max() : kNever;
}

std::int64_t to_count(WallTime time) noexcept { return time.time_since_epoch().count(); }

std::string seconds_text(std::int64_t nanoseconds) {
  return std::to_string(nanoseconds / 1'000'000'000) + " s";
}

// What is written before must be in memory before what is written after, as seen by whoever opens
// the file when this process is killed in between. The kernel keeps every store that was made, so
// only the compiler has to be told.
void in_this_order() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

std::size_t slots_per_shard(const Options& options) noexcept {
  return std::bit_ceil(std::max<std::size_t>(options.capacity, kShards * 64)) / kShards;
}

Result<void> check(const Options& options) {
  if (options.skew < 1s || options.skew > 1h) {
    return fail(Category::malformed, "the replay window's skew must be from 1 s to 1 h");
  }
  return {};
}

std::string boot_id_of(const Options& options) {
  std::string id = options.boot_id;
  if (id.empty()) {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::getline(in, id);
  }
  return id.substr(0, sizeof(FileHeader::boot_id) - 1);
}

void mark_open(Mapping& mapping, const std::string& boot_id) noexcept {
  FileHeader& header = mapping.header();
  header.opened = 1;
  header.clean = 0;
  std::memset(header.boot_id, 0, sizeof(header.boot_id));
  std::memcpy(header.boot_id, boot_id.data(), boot_id.size());
}

}  // namespace

Tag tag_of(Bytes mac) noexcept {
  Tag tag{};
  std::copy_n(mac.begin(), std::min(mac.size(), tag.size()), tag.begin());
  return tag;
}

// What this process knows of a shard beside its state in the file. Guarded by its mutex.
struct alignas(64) ReplayWindow::Shard {
  std::mutex mutex;
  std::size_t count[2] = {0, 0};  // slots in use per generation
  SteadyTime full_until{};
};

class ReplayWindow::Table {
 public:
  Table(std::unique_ptr<Mapping> mapping, std::size_t slots)
      : mapping_(std::move(mapping)),
        slots_(slots),
        max_count_(slots / 4 * 3),
        keep_(max_count_ / 2) {
    survivors_.reserve(slots);
    for (std::size_t i = 0; i < kShards; ++i) {
      ShardState& state = mapping_->shard(i);
      // We died while generations changed hands: what was being moved may be gone.
      state.floor = std::max(state.floor, state.recovery_floor);
      in_this_order();
      state.recovery_floor = kNever;
      for (std::size_t generation = 0; generation < 2; ++generation) {
        const Slot* slot = mapping_->slots(i, generation);
        shards_[i].count[generation] =
            static_cast<std::size_t>(std::count_if(slot, slot + slots_, [&](const Slot& s) {
              return s.epoch == state.epoch[generation];
            }));
      }
    }
  }

  Mapping& mapping() noexcept { return *mapping_; }
  Shard& shard(std::size_t index) noexcept { return shards_[index]; }
  bool full(std::size_t index) const noexcept {
    return shards_[index].count[mapping_->shard(index).current] >= max_count_;
  }

  bool contains(std::size_t index, const Tag& tag) noexcept {
    return !is_free(index, 0, find(index, 0, tag)) || !is_free(index, 1, find(index, 1, tag));
  }

  void insert(std::size_t index, std::size_t generation, const std::uint8_t* tag,
              std::int64_t t) noexcept {
    Tag key;
    std::memcpy(key.data(), tag, key.size());
    Slot& slot = find(index, generation, key);
    std::memcpy(slot.tag, tag, sizeof(slot.tag));
    slot.t = t;
    in_this_order();
    slot.epoch = mapping_->shard(index).epoch[generation];
    in_this_order();
    ++shards_[index].count[generation];
  }

  // Makes room in a shard whose current generation is full: the older generation is emptied and
  // becomes the current one. Of its messages those that could still be admitted are carried over;
  // if they are too many, the oldest are given up and the floor is raised above them, which is a
  // smaller skew for a while. False when even kMinSkew leaves too many.
  bool make_room(std::size_t index, std::int64_t now, std::int64_t skew) noexcept {
    const std::scoped_lock lock(survivors_mutex_);
    ShardState& state = mapping_->shard(index);
    const std::size_t older = 1 - state.current;
    const std::int64_t oldest_valid = std::max(state.floor, saturating_add(now, -skew) - 1);
    std::int64_t highest_dropped = kNever;
    survivors_.clear();
    const Slot* const slots = mapping_->slots(index, older);
    for (std::size_t i = 0; i < slots_; ++i) {
      if (slots[i].epoch != state.epoch[older]) continue;
      if (slots[i].t > oldest_valid) {
        survivors_.push_back(slots[i]);
      } else {
        highest_dropped = std::max(highest_dropped, slots[i].t);
      }
    }
    bool squeezed = false;
    if (survivors_.size() > keep_) {
      const auto cut = survivors_.begin() + static_cast<std::ptrdiff_t>(keep_);
      std::nth_element(survivors_.begin(), cut, survivors_.end(),
                       [](const Slot& a, const Slot& b) { return a.t > b.t; });
      const std::int64_t new_floor = cut->t;
      if (new_floor > saturating_add(now, -kMinSkew)) return false;
      std::erase_if(survivors_, [&](const Slot& slot) { return slot.t <= new_floor; });
      highest_dropped = std::max(highest_dropped, new_floor);
      squeezed = true;
    }

    state.floor = std::max(state.floor, highest_dropped);
    if (squeezed) state.pressure_floor = highest_dropped;
    for (const Slot& slot : survivors_) {
      state.recovery_floor = std::max(state.recovery_floor, slot.t);
    }
    in_this_order();
    const std::uint64_t new_epoch = state.next_epoch;
    state.next_epoch = new_epoch + 1;
    in_this_order();
    state.epoch[older] = new_epoch;
    in_this_order();
    shards_[index].count[older] = 0;
    for (const Slot& slot : survivors_) insert(index, older, slot.tag, slot.t);
    in_this_order();
    state.current = older;
    in_this_order();
    state.recovery_floor = kNever;
    return true;
  }

 private:
  bool is_free(std::size_t index, std::size_t generation, const Slot& slot) const noexcept {
    return slot.epoch != mapping_->shard(index).epoch[generation];
  }

  // The slot of this tag, or the free one where it belongs. There is always a free one: a
  // generation takes max_count_ at most.
  Slot& find(std::size_t index, std::size_t generation, const Tag& tag) noexcept {
    Slot* const slots = mapping_->slots(index, generation);
    // Tags are octets of a MAC: as good as any hash. The last octet chose the shard.
    std::uint64_t at = 0;
    std::memcpy(&at, tag.data(), sizeof(at));
    for (;; ++at) {
      Slot& slot = slots[at & (slots_ - 1)];
      if (is_free(index, generation, slot) || std::memcmp(slot.tag, tag.data(), tag.size()) == 0) {
        return slot;
      }
    }
  }

  const std::unique_ptr<Mapping> mapping_;
  const std::size_t slots_;
  const std::size_t max_count_;
  const std::size_t keep_;
  std::array<Shard, kShards> shards_;
  // Room for what make_room carries over, so that it does not allocate; one shard at a time.
  std::mutex survivors_mutex_;
  std::vector<Slot> survivors_;
};

ReplayWindow::ReplayWindow(const Clock& clock, std::chrono::nanoseconds skew,
                           std::unique_ptr<Table> table)
    : clock_(clock), skew_(skew.count()), table_(std::move(table)) {}

ReplayWindow::~ReplayWindow() {
  Mapping& mapping = table_->mapping();
  // In two steps: the mark must not reach the disk before what it vouches for.
  if (!mapping.sync()) return;
  mapping.header().clean = 1;
  mapping.sync();
}

Result<void> ReplayWindow::create(const std::filesystem::path& file, const Options& options) {
  TRY(check(options));
  const auto mapping = TRY(Mapping::create(file, slots_per_shard(options)));
  mapping->initialise(slots_per_shard(options), kNever);
  mapping->header().clean = 1;
  if (!mapping->sync()) {
    return fail(Category::unavailable, "replay window " + file.string() + " cannot be written");
  }
  return {};
}

Result<std::unique_ptr<ReplayWindow>> ReplayWindow::open(const std::filesystem::path& file,
                                                         const Clock& clock,
                                                         const Options& options) {
  TRY(check(options));
  const std::size_t slots = slots_per_shard(options);
  const std::string boot_id = boot_id_of(options);
  std::string lost_because;
  bool fresh = false;

  auto opened = Mapping::open(file);
  if (!opened && opened.error().category() == Category::not_found) {
    lost_because = "the file is missing";
    opened = Mapping::create(file, slots);
  }
  std::unique_ptr<Mapping> existing = TRY(std::move(opened));
  Mapping& mapping = *existing;
  // A window that is lost is told so before anything marks it as opened in this run of the
  // machine: should we die in between, the next one finds it lost as well.
  const std::int64_t lost_floor = saturating_add(to_count(clock.now()), options.skew.count());
  if (!lost_because.empty()) {
    mapping.initialise(slots, lost_floor);
  } else if (!mapping.fits(slots)) {
    lost_because = "the file is damaged or was made for another capacity";
    TRY(mapping.resize(slots));
    mapping.initialise(slots, lost_floor);
  } else if (mapping.header().clean == 0 &&
             (boot_id.empty() || boot_id != mapping.header().boot_id)) {
    lost_because = "the machine stopped without a clean close";
    for (std::size_t i = 0; i < kShards; ++i) {
      ShardState& state = mapping.shard(i);
      state.floor = std::max(state.floor, lost_floor);
    }
  } else {
    fresh = mapping.header().opened == 0;
  }
  in_this_order();
  mark_open(mapping, boot_id);
  // On the disk before the first message: a machine that stops now must not look clean.
  if (!mapping.sync()) {
    return fail(Category::unavailable, "replay window " + file.string() + " cannot be written");
  }
  std::unique_ptr<ReplayWindow> window(
      new ReplayWindow(clock, options.skew, std::make_unique<Table>(std::move(existing), slots)));
  window->memory_ = !lost_because.empty() ? Memory::lost : fresh ? Memory::fresh : Memory::kept;
  window->lost_because_ = std::move(lost_because);
  return window;
}

Result<std::unique_ptr<ReplayWindow>> ReplayWindow::in_memory(const Clock& clock,
                                                              const Options& options) {
  TRY(check(options));
  const std::size_t slots = slots_per_shard(options);
  auto mapping = TRY(Mapping::anonymous(slots));
  mapping->initialise(slots, kNever);
  return std::unique_ptr<ReplayWindow>(
      new ReplayWindow(clock, options.skew, std::make_unique<Table>(std::move(mapping), slots)));
}

namespace {

// The skew that a shard can afford: as far back as its floor was when room last ran out, until
// the clock has moved away from it. [3830-5.4-02]
std::int64_t skew_of(const ShardState& state, std::int64_t now, std::int64_t skew) noexcept {
  if (state.pressure_floor == kNever) return skew;
  std::int64_t since = 0;
  if (__builtin_sub_overflow(now, state.pressure_floor, &since)) return skew;
  return std::clamp(since, std::min(kMinSkew, skew), skew);
}

}  // namespace

Result<void> ReplayWindow::admit(const Tag& tag, WallTime t) {
  const std::int64_t now = to_count(clock_.now());
  const std::int64_t time = to_count(t);
  const std::size_t index = tag.back() % kShards;
  Shard& shard = table_->shard(index);
  const std::scoped_lock lock(shard.mutex);
  const ShardState& state = table_->mapping().shard(index);

  const std::int64_t skew = skew_of(state, now, skew_);
  if (time > saturating_add(now, skew)) {  // [3830-5.4-03]
    return fail(Category::expired, "the timestamp is more than " + seconds_text(skew) +
                                       " ahead of our clock: check both clocks");
  }
  if (time < saturating_add(now, -skew_)) {
    return fail(Category::expired, "the timestamp is more than " + seconds_text(skew_) +
                                       " behind our clock: check both clocks");
  }
  const auto below_floor = [] {
    return fail(Category::expired,
                "the timestamp is not later than what is remembered, so that the message might be "
                "a replay: build a new one and try again");
  };
  if (time <= state.floor) return below_floor();
  if (table_->contains(index, tag)) {  // [3830-5.4-04] [6043-12.4-02]
    return fail(Category::expired, "the message was accepted before: this is a replay");
  }
  if (table_->full(index)) {
    const SteadyTime steady_now = clock_.steady_now();
    const auto is_full = [] {
      return fail(Category::busy, "the replay window is full: try again in a second");
    };
    if (steady_now < shard.full_until) return is_full();
    if (!table_->make_room(index, now, skew_)) {
      shard.full_until = steady_now + kFullPause;
      return is_full();
    }
    if (time <= state.floor) return below_floor();
  }
  table_->insert(index, state.current, tag.data(), time);
  return {};
}

std::chrono::nanoseconds ReplayWindow::effective_skew() const {
  const std::int64_t now = to_count(clock_.now());
  std::int64_t smallest = skew_;
  for (std::size_t i = 0; i < kShards; ++i) {
    const std::scoped_lock lock(table_->shard(i).mutex);
    smallest = std::min(smallest, skew_of(table_->mapping().shard(i), now, skew_));
  }
  return std::chrono::nanoseconds(smallest);
}

WallTime ReplayWindow::floor() const {
  std::int64_t highest = kNever;
  for (std::size_t i = 0; i < kShards; ++i) {
    const std::scoped_lock lock(table_->shard(i).mutex);
    highest = std::max(highest, table_->mapping().shard(i).floor);
  }
  return WallTime(std::chrono::nanoseconds(highest));
}

}  // namespace keystub::replay
