// What CSV and JSON have in common: a record is a list of named fields with their values. Both
// readers take the records apart where they lie in a RecordBuffer, so that a key is in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kms-client/kmsctl/record_buffer.h"

namespace keystub::kmsctl {

struct RecordField {
  std::string_view name;
  std::vector<std::string_view> values;
};

// Views are good until the next record is asked for.
struct RecordFields {
  std::uint64_t line = 0;        // where the record begins, from 1
  std::uint64_t names_line = 0;  // where its names stand
  std::vector<RecordField> fields;
};

class FieldReader {
 public:
  virtual ~FieldReader() = default;
  // The next record; none at the end. Errors (malformed) do not say the line: see line().
  virtual Result<std::optional<RecordFields>> next() = 0;
  // Where it is reading.
  virtual std::uint64_t line() const = 0;
};

// The first record names the columns. RFC 4180: fields with a comma, quote or line end stand in
// quotes, a quote in them is doubled; lines end with LF or CRLF. Values in a field are separated by
// spaces, which no URI, id or key has.
std::unique_ptr<FieldReader> make_csv_reader(RecordSource source);

// One array of objects, or objects one after the other (JSON Lines). A value is a text, a list of
// texts, or null; numbers and truth values are read as the texts that they are.
std::unique_ptr<FieldReader> make_json_reader(RecordSource source);

// What both demand of a record (RFC 3629).
bool valid_utf8(std::string_view text) noexcept;

}  // namespace keystub::kmsctl
