// Files of identities, as `kmsctl identity import` reads and `kmsctl identity export` writes them:
// docs/kmsctl.md is their description. Free of gRPC: a file is input like any other, and fuzzed.
//
// Memory is bounded: one record at a time, of at most RecordBuffer::kMaxRecord octets. Keys are
// wiped wherever they were, and nothing here writes one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/secret.h"
#include "kms-client/kmsctl/record_fields.h"

namespace keystub::kmsctl {

enum class RecordFormat : std::uint8_t { csv, json };

// Texts as they stand in the file; what they mean is the KMS's to say.
struct IdentityRecord {
  std::uint64_t line = 0;
  std::string uri;
  std::string kind = "user";
  std::string state = "active";
  std::vector<std::string> aliases;
  std::vector<std::string> owned_patterns;
  std::vector<std::string> groups;
  // With psks: one for each, or none where there is one key (its id is then the URI). Without: keys
  // that the identity had where the file was made.
  std::vector<std::string> psk_ids;
  std::vector<std::string> psk_expiries;  // one for each key, or none; "-": it does not expire
  std::vector<Psk> psks;                  // 16 to 64 octets each
};

// Errors (malformed) say file, line, field and what to do; after one there is no next record.
class IdentityRecordReader {
 public:
  // `file`: its name, for errors.
  IdentityRecordReader(std::string file, RecordFormat format, RecordSource source);
  // None at the end.
  Result<std::optional<IdentityRecord>> next();

 private:
  std::string file_;
  std::unique_ptr<FieldReader> fields_;
};

// In the form of `format`; JSON is one object a line. Keys are left out, whatever the record holds.
void write_header(std::ostream& out, RecordFormat format);
void write_record(std::ostream& out, RecordFormat format, const IdentityRecord& record);

}  // namespace keystub::kmsctl
