// ImportBatches: an import's records, batch by batch, as requests for the KMS. Where a batch ends
// depends on the file and on the size of batches alone, so that an import goes on where it was.
#pragma once

#include <optional>
#include <string>

#include "keystub/v1/identity_admin.pb.h"
#include "kms-client/kmsctl/identity_records.h"

namespace keystub::kmsctl {

// Its keys are wiped with it.
struct ImportBatch {
  ImportBatch() = default;
  ImportBatch(ImportBatch&&) = default;
  ImportBatch& operator=(ImportBatch&&) = delete;
  ~ImportBatch();

  v1::ImportIdentitiesRequest request;  // its identities alone
  std::uint64_t first_line = 0;
  std::size_t keys = 0;
  std::size_t without_keys = 0;  // identities that name keys which the file does not hold

  std::size_t size() const { return static_cast<std::size_t>(request.identities_size()); }
};

class ImportBatches {
 public:
  // So that a request is below the 64 KiB that a KMS takes (connections.max_message).
  static constexpr std::size_t kMaxOctets = 60'000;

  // `size`: identities of a batch at most.
  ImportBatches(std::string file, RecordFormat format, RecordSource source, std::size_t size)
      : file_(file), reader_(std::move(file), format, std::move(source)), size_(size) {}

  // None at the end. Errors say file, line and field.
  Result<std::optional<ImportBatch>> next();

 private:
  // Of the next record; without one at the end.
  Result<void> read_ahead();

  const std::string file_;
  IdentityRecordReader reader_;
  const std::size_t size_;
  ImportBatch ahead_;  // the record behind the last batch, by itself
  bool begun_ = false;
};

}  // namespace keystub::kmsctl
