// kms-server init: makes the data folder of a new KMS. Never overwrites anything, and there is no
// default key: each folder has its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace keystub::kms {

struct InitOptions {
  std::filesystem::path data;                  // made if it does not exist (0700)
  std::string identity = "sip:kms@localhost";  // IDRkms
  std::string listen = "127.0.0.1:7443";       // of the ticket port
  // By which clients reach the KMS, beside localhost and the loopback addresses.
  std::vector<std::string> dns_names;
  // A TOML file with the table [kek] (kek_source.h), which goes into the configuration; empty: a
  // KEK file in the data folder.
  std::filesystem::path kek;
};

// Names in the data folder.
inline constexpr const char* kConfigFile = "kms-server.toml";
inline constexpr const char* kKekFile = "kek";
inline constexpr const char* kDatabaseFile = "kms.db";
inline constexpr const char* kReplayFile = "replay.window";
inline constexpr const char* kTlsFolder = "tls";

// Makes: the KEK (0600, or what its source needs), the database with a first active TPK, an empty
// replay window, a lab CA with a certificate for the KMS, one for its administrator and one for
// each kind of agent, and a configuration that points at all of them. Fails (conflict) if any of
// them is there.
Result<void> init_data_folder(const InitOptions& options, const Clock& clock, RandomSource& random);

}  // namespace keystub::kms
