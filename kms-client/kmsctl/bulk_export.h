// BulkExport: the identities of a KMS into a file that an import takes, groups first (they have to
// be there before their members), then all others, each in the order of the URIs. Never a key.
#pragma once

#include <ostream>
#include <string>

#include "base/clock.h"
#include "kms-client/kmsctl/connection.h"
#include "kms-client/kmsctl/identity_records.h"

namespace keystub::kmsctl {

struct ExportOptions {
  std::string file;  // a new one, which appears when all of it is there; empty: standard output
  RecordFormat format = RecordFormat::csv;
  std::string prefix;
};

// How many identities. `out`: standard output. Fails (conflict) when the file exists, unavailable.
Result<std::uint64_t> export_identities(AdminClient& admin, const ExportOptions& options,
                                        std::ostream& out, const Clock& clock,
                                        std::ostream& progress, bool terminal);

}  // namespace keystub::kmsctl
