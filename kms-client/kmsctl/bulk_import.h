// BulkImport: a file of identities into a KMS, in numbered batches that are each there whole or not
// at all, and on from the right one when it is run again.
//
// A file is read twice: first all of it is checked, so that nothing is imported from one with a
// fault in its form, and digested, which gives the import its id: the same file with the same size
// of batches is the same import. Standard input is read once and cannot be resumed.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "kms-client/kmsctl/connection.h"
#include "kms-client/kmsctl/import_batches.h"
#include "kms-client/kmsctl/progress.h"
#include "kms-client/kmsctl/record_file.h"

namespace keystub::kmsctl {

struct ImportOptions {
  std::string file;
  RecordFormat format = RecordFormat::csv;
  std::size_t batch = 500;
  bool skip_existing = false;
  bool restart = false;
};

// Of one run.
struct ImportSummary {
  std::uint64_t identities = 0;    // in the file
  std::uint64_t keys = 0;          // in the file
  std::uint64_t without_keys = 0;  // identities that name keys which the file does not hold
  std::uint64_t batches = 0;
  std::uint64_t created = 0;
  std::uint64_t skipped = 0;
  std::uint64_t done_before = 0;  // identities in batches that an earlier run imported
};

class BulkImport {
 public:
  // Waits that long, or until the person at the terminal wants to stop: then true, at once.
  using Wait = std::function<bool(std::chrono::milliseconds)>;

  BulkImport(ImportOptions options, Wait wait)
      : options_(std::move(options)), wait_(std::move(wait)) {}

  // Reads the file, without a KMS. Errors: malformed with file, line and field; denied for a file
  // with keys that others may read; those of RecordFile.
  Result<ImportSummary> check();
  // Errors: those of check(), and the KMS's; each says how to go on. A KMS that cannot be reached
  // is asked again for half a minute.
  Result<ImportSummary> run(AdminClient& admin, RandomSource& random, const Clock& clock,
                            std::ostream& progress, bool terminal);

 private:
  Result<ImportSummary> check(RecordFile& file, std::string& import_id);
  ImportBatches batches(RecordFile& file, Sha256* digest) const;
  Result<void> send(AdminClient& admin, ImportBatch& batch, std::uint64_t number,
                    ImportSummary& summary);
  Error explain(const Error& error, std::uint64_t number) const;

  const ImportOptions options_;
  const Wait wait_;
};

}  // namespace keystub::kmsctl
