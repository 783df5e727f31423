#include "kms-client/kmsctl/bulk_import.h"

#include <fmt/format.h>

#include <array>

namespace keystub::kmsctl {
namespace {

// Between two tries of a batch. A KMS that is started again is back within that time.
constexpr std::array kPauses = {std::chrono::milliseconds(500),  std::chrono::milliseconds(1000),
                                std::chrono::milliseconds(2000), std::chrono::milliseconds(4000),
                                std::chrono::milliseconds(8000), std::chrono::milliseconds(16000)};
constexpr std::size_t kImportIdOctets = 32;

// Keys in a file that others may read are taken for known, as those of --psk-file.
Result<void> check_mode(const RecordFile& file, const ImportBatch& batch) {
  if (batch.keys == 0 || !file.open_to_others()) return {};
  return fail(Category::denied,
              fmt::format("{} holds keys and is open to its group or to others: chmod 600 it, and "
                          "replace the keys if somebody may have read them",
                          file.name()));
}

bool may_pass(Category category) {
  return category == Category::unavailable || category == Category::busy;
}

void count(ImportSummary& summary, const ImportBatch& batch) {
  ++summary.batches;
  summary.identities += batch.size();
  summary.keys += batch.keys;
  summary.without_keys += batch.without_keys;
}

}  // namespace

ImportBatches BulkImport::batches(RecordFile& file, Sha256* digest) const {
  return {file.name(), options_.format, file.source(digest), options_.batch};
}

Result<ImportSummary> BulkImport::check() {
  RecordFile file = TRY(RecordFile::open(options_.file));
  std::string ignored;
  return check(file, ignored);
}

Result<ImportSummary> BulkImport::check(RecordFile& file, std::string& import_id) {
  Sha256 digest;
  // What else decides where batches end.
  digest.update(as_bytes(fmt::format("keystub import 1\n{}\n{}\n{}\n",
                                     options_.format == RecordFormat::csv ? "csv" : "json",
                                     options_.batch, ImportBatches::kMaxOctets)));
  ImportBatches source = batches(file, &digest);
  ImportSummary summary;
  for (;;) {
    const auto batch = TRY(source.next());
    if (!batch) break;
    TRY(check_mode(file, *batch));
    count(summary, *batch);
  }
  if (summary.identities == 0) {
    return fail(Category::malformed, fmt::format("{} holds no identities", file.name()));
  }
  import_id = to_hex(TRY(digest.finish()));
  return summary;
}

Result<ImportSummary> BulkImport::run(AdminClient& admin, RandomSource& random, const Clock& clock,
                                      std::ostream& progress, bool terminal) {
  RecordFile file = TRY(RecordFile::open(options_.file));
  ImportSummary summary;
  std::string import_id;
  std::uint64_t next = 0;
  std::uint64_t total = 0;
  if (file.regular()) {
    total = TRY(check(file, import_id)).identities;
    TRY(file.rewind());
    next = TRY(admin.resume_import(import_id, options_.restart));
  } else {
    import_id = to_hex(TRY(random.bytes(kImportIdOctets)));
  }

  Progress bar(progress, terminal, "identities", total, clock.steady_now());
  ImportBatches source = batches(file, nullptr);
  for (std::uint64_t number = 0;; ++number) {
    auto read = source.next();
    if (!read) return std::unexpected(explain(read.error(), number));
    if (!*read) break;
    ImportBatch& batch = **read;
    TRY(check_mode(file, batch));
    count(summary, batch);
    if (number < next) {
      summary.done_before += batch.size();
      continue;
    }
    batch.request.set_import_id(import_id);
    TRY(file.check_unchanged());
    TRY(send(admin, batch, number, summary));
    bar.update(summary.identities, summary.done_before, clock.steady_now());
  }
  return summary;
}

Result<void> BulkImport::send(AdminClient& admin, ImportBatch& batch, std::uint64_t number,
                              ImportSummary& summary) {
  batch.request.set_batch(number);
  batch.request.set_skip_existing(options_.skip_existing);
  for (std::size_t tries = 0;; ++tries) {
    if (wait_(tries == 0 ? std::chrono::milliseconds(0) : kPauses[tries - 1])) {
      return std::unexpected(explain({Category::unavailable, "stopped"}, number));
    }
    auto answer = admin.import_batch(batch.request);
    if (answer) {
      summary.created += answer->created();
      summary.skipped += answer->skipped();
      // The answer to an earlier try was lost.
      if (answer->done_before()) summary.done_before += batch.size();
      return {};
    }
    if (!may_pass(answer.error().category()) || tries == kPauses.size()) {
      return std::unexpected(explain(answer.error(), number));
    }
  }
}

// Batches are counted from 1 for people.
Error BulkImport::explain(const Error& error, std::uint64_t number) const {
  const bool again = options_.file != "-" && may_pass(error.category());
  const std::string advice =
      again ? "run the same command again, it goes on from there"
            : "mend it and run the import again with --skip-existing, which leaves alone what is "
              "imported";
  const std::string text =
      fmt::format("{}: {}. Nothing of batch {} is imported{}, the {} before it are: {}",
                  options_.file, error.text(), number + 1,
                  error.category() == Category::unavailable ? " or all of it" : "", number, advice);
  return {error.category(), text};
}

}  // namespace keystub::kmsctl
