// Copies of the identity database: made while the KMS serves, checked, and put back.
//
// A copy holds everything the database does: identities and keys, wrapped under the KEK. It does
// not hold the KEK, the configuration, or the replay window (an old window is an old memory:
// docs/replay-window.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "kms-server/kek.h"

namespace keystub::kms {

struct DatabaseSummary {
  std::int64_t schema = 0;
  std::int64_t identities = 0;
  std::int64_t psks = 0;
  std::int64_t tpks = 0;   // of the KMS, and shared ones
  std::uint64_t size = 0;  // of the file, in octets
};

// "nightly-1": 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot. A name, never a path.
bool valid_backup_name(std::string_view name) noexcept;

// Copies the database at `database`, as it is at one moment, to `copy`, a new file (0600), and
// checks the copy. Writers and readers go on meanwhile. conflict when the copy exists; what fails
// leaves none.
Result<DatabaseSummary> create_backup(const std::filesystem::path& database, const Kek& kek,
                                      const std::filesystem::path& copy);

// Opens a database or a copy and checks all of it: its structure (internal when damaged), that this
// KEK is its KEK (denied), that every key opens, and that this KMS knows its schema (conflict).
// Changes nothing.
Result<DatabaseSummary> verify_database(const std::filesystem::path& file, const Kek& kek);

struct Restored {
  DatabaseSummary summary;
  std::filesystem::path before;  // where the database that was replaced lies now; empty: none
};

// Puts a checked copy in the place of `database`; what was there is kept beside it under the name
// database.before-`mark`. conflict when any process has the database open: stop the KMS first. The
// file is replaced in one step: a crash leaves the old one or the new one.
Result<Restored> restore_backup(const std::filesystem::path& copy,
                                const std::filesystem::path& database, const Kek& kek,
                                std::string_view mark);

}  // namespace keystub::kms
