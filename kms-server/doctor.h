// Looks at everything that a KMS needs on its machine, and says what to do about what is wrong.
// Reads only; works beside a running KMS and without one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "kms-server/kek.h"
#include "kms-server/settings.h"

namespace keystub::kms {

struct Finding {
  enum class Level : std::uint8_t { fine, warning, fault };

  std::string check;  // "database", "certificate", …
  Level level = Level::fine;
  std::string text;
  std::string advice = {};                 // what to do; empty where it is fine
  Category category = Category::internal;  // of a fault, for the exit code
};

// Files and their modes, the KEK and its check value, the database, certificates and revocation
// lists, the clock, disk space, the chain of the audit file. May take seconds: it reads all of the
// database and of the audit file. `in_use`: the KEK of the KMS that runs with these settings, which
// a rewrap may have changed since it started; null: none runs, and the configured one counts.
std::vector<Finding> examine(const Settings& settings, const Clock& clock,
                             const Kek* in_use = nullptr);

// The category of the first fault; none: no fault.
std::optional<Category> worst(const std::vector<Finding>& findings);

}  // namespace keystub::kms
