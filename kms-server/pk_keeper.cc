#include "kms-server/pk_keeper.h"

#include <system_error>

namespace keystub::kms {

Result<std::unique_ptr<PkKeeper>> PkKeeper::open(const PkSettings& settings,
                                                 std::chrono::seconds interval,
                                                 const Parts& parts) {
  std::unique_ptr<PkKeeper> keeper(new PkKeeper(interval, parts));
  const std::lock_guard lock(keeper->mutex_);
  TRY(keeper->read(settings));
  return keeper;
}

PkKeeper::FileTimes PkKeeper::times_of(const PkSettings& settings) {
  FileTimes times;
  for (const auto& file : settings.files()) {
    std::error_code missing;
    times.push_back(std::filesystem::last_write_time(file, missing));
  }
  return times;
}

Result<void> PkKeeper::read(const PkSettings& settings) {
  // Before they are read: what changes meanwhile is noticed at the next look.
  times_ = times_of(settings);
  looked_ = parts_.clock.steady_now();
  std::shared_ptr<const PkMaterial> material;
  if (settings.enabled) material = TRY(PkMaterial::load(settings));
  material_ = std::move(material);
  settings_ = settings;
  enabled_ = settings.enabled;
  unusable_.clear();
  return {};
}

void PkKeeper::look() {
  if (material_ == nullptr || parts_.clock.steady_now() - looked_ < interval_) return;
  looked_ = parts_.clock.steady_now();
  if (times_of(settings_) == times_) return;
  if (const auto read_again = read(settings_); read_again) {
    parts_.log.info("the files of [pk] are read again");
  } else {
    unusable_ = read_again.error().describe();
    parts_.log.error("the files of [pk] changed and cannot be used; what was read before stays",
                     {{"reason", unusable_}});
  }
}

std::shared_ptr<const PkMaterial> PkKeeper::material() {
  const std::lock_guard lock(mutex_);
  look();
  return material_;
}

std::string PkKeeper::unusable() {
  const std::lock_guard lock(mutex_);
  look();
  return unusable_;
}

void PkKeeper::reload(const PkSettings& settings) {
  const std::lock_guard lock(mutex_);
  if (const auto read_again = read(settings); !read_again) {
    unusable_ = read_again.error().describe();
    parts_.log.error("[pk] cannot be used; what was read before stays", {{"reason", unusable_}});
  }
}

}  // namespace keystub::kms
