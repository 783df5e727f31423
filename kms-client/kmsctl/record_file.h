// RecordFile: the file, or standard input, that an import reads.
#pragma once

#include <memory>
#include <string>

#include "base/sha256.h"
#include "kms-client/kmsctl/record_buffer.h"

namespace keystub::kmsctl {

// Not thread-safe.
class RecordFile {
 public:
  // "-": standard input. not_found, unavailable.
  static Result<RecordFile> open(const std::string& path);
  RecordFile(RecordFile&& other) noexcept;
  RecordFile& operator=(RecordFile&&) = delete;
  ~RecordFile();

  const std::string& name() const noexcept { return name_; }
  // It can be read twice. Standard input, pipes and devices cannot.
  bool regular() const noexcept { return regular_; }
  // Its group or others may read or write it.
  bool open_to_others() const noexcept { return open_to_others_; }

  // Reads on from where it is; what is read goes into `digest` too, if there is one. The file and
  // the digest must outlive the source.
  RecordSource source(Sha256* digest = nullptr);
  // From the start again. conflict when the file changed since it was opened.
  Result<void> rewind();
  Result<void> check_unchanged() const;

 private:
  RecordFile(std::string name, int descriptor) noexcept
      : name_(std::move(name)), descriptor_(descriptor) {}

  std::string name_;
  int descriptor_;
  bool regular_ = false;
  bool open_to_others_ = false;
  std::int64_t size_ = 0;
  std::int64_t changed_ns_ = 0;
};

}  // namespace keystub::kmsctl
