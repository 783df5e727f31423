// What kms-server does beside serving: doctor, backup verify, backup restore. Each returns the exit
// code and prints for a person, or JSON.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.h"

namespace keystub::kms {

// Examines the KMS of this configuration, whether it runs or not.
int run_doctor(const std::filesystem::path& config, const Clock& clock, bool json);

// A copy against the KEK of this configuration.
int run_backup_verify(const std::filesystem::path& config, const std::filesystem::path& copy);
// Puts the copy in the place of the database; the KMS must be stopped.
int run_backup_restore(const std::filesystem::path& config, const std::filesystem::path& copy,
                       const Clock& clock);

}  // namespace keystub::kms
