// PkKeeper: the PkMaterial of a running KMS. Reads its files again when they change, as TLS does
// with its own, and on SIGHUP. Files that cannot be used leave what was there in force, and the log
// says so.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kms-server/pk_material.h"
#include "service/log.h"

namespace keystub::kms {

// Threads: safe from several threads.
class PkKeeper {
 public:
  // Both must outlive it.
  struct Parts {
    const Clock& clock;
    service::Log& log;
  };

  // Reads the files, where `settings` enables the variants: errors of PkMaterial::load().
  // `interval`: how often the files are looked at afterwards, by material() and unusable().
  static Result<std::unique_ptr<PkKeeper>> open(const PkSettings& settings,
                                                std::chrono::seconds interval, const Parts& parts);

  // Whether the variants are served. Never blocks.
  bool enabled() const noexcept { return enabled_.load(std::memory_order_relaxed); }
  // Null: not enabled. May read files, so never call it on an RPC thread.
  std::shared_ptr<const PkMaterial> material();
  // Looks at the files as well. Why what lies in them, or what was set last, is not in force;
  // empty: it is.
  std::string unusable();
  // Other settings, or the same ones whose files are to be read again now.
  void reload(const PkSettings& settings);

 private:
  using FileTimes = std::vector<std::filesystem::file_time_type>;

  PkKeeper(std::chrono::seconds interval, const Parts& parts)
      : parts_(parts), interval_(interval) {}

  // All under the mutex.
  Result<void> read(const PkSettings& settings);
  void look();
  static FileTimes times_of(const PkSettings& settings);

  const Parts parts_;
  const std::chrono::seconds interval_;
  std::atomic<bool> enabled_{false};
  std::mutex mutex_;
  PkSettings settings_;
  FileTimes times_;  // of the files when they were read, well or not
  SteadyTime looked_{};
  std::shared_ptr<const PkMaterial> material_;
  std::string unusable_;
};

}  // namespace keystub::kms
