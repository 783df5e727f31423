// Any octets as a file of identities: the first octet says in which form and how much of it is read
// at once, which must make no difference. What is read is written and read again as the same.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "kms-client/kmsctl/identity_records.h"

using namespace keystub;
using namespace keystub::kmsctl;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

RecordSource in_pieces(Bytes octets, std::size_t piece) {
  return [octets, piece](MutableBytes memory) mutable -> Result<std::size_t> {
    const std::size_t size = std::min({piece, octets.size(), memory.size()});
    if (size != 0) std::memcpy(memory.data(), octets.data(), size);
    octets = octets.subspan(size);
    return size;
  };
}

struct Read {
  std::vector<IdentityRecord> records;
  std::string error;
};

Read read_all(Bytes octets, RecordFormat format, std::size_t piece) {
  IdentityRecordReader reader("file", format, in_pieces(octets, piece));
  Read read;
  for (;;) {
    auto record = reader.next();
    if (!record) {
      read.error = record.error().text();
      require(!read.error.empty());
      return read;
    }
    if (!*record) return read;
    read.records.push_back(std::move(**record));
  }
}

bool same(const IdentityRecord& a, const IdentityRecord& b) {
  return a.uri == b.uri && a.kind == b.kind && a.state == b.state && a.aliases == b.aliases &&
         a.owned_patterns == b.owned_patterns && a.groups == b.groups && a.psk_ids == b.psk_ids &&
         a.psk_expiries == b.psk_expiries;
}

// JSON may hold values that CSV cannot: with spaces, or empty.
bool fits_csv(const IdentityRecord& record) {
  const auto plain = [](const std::string& text) {
    return !text.empty() && text.find(' ') == std::string::npos;
  };
  bool fits = plain(record.uri) && plain(record.kind) && plain(record.state);
  for (const auto* list : {&record.aliases, &record.owned_patterns, &record.groups, &record.psk_ids,
                           &record.psk_expiries}) {
    for (const std::string& value : *list) fits = fits && plain(value);
  }
  return fits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes octets(data + 1, size - 1);
  const auto format = (data[0] & 1) == 0 ? RecordFormat::csv : RecordFormat::json;
  const Read whole = read_all(octets, format, octets.size() + 1);
  const Read pieces = read_all(octets, format, 1U + (data[0] >> 1));
  require(whole.error == pieces.error && whole.records.size() == pieces.records.size());

  for (std::size_t i = 0; i < whole.records.size(); ++i) {
    const IdentityRecord& record = whole.records[i];
    require(same(record, pieces.records[i]) && record.line == pieces.records[i].line);
    for (const RecordFormat form : {RecordFormat::csv, RecordFormat::json}) {
      if (form == RecordFormat::csv && !fits_csv(record)) continue;
      std::ostringstream out;
      write_header(out, form);
      write_record(out, form, record);
      const std::string text = out.str();
      const Read again = read_all(as_bytes(text), form, text.size());
      require(again.error.empty() && again.records.size() == 1 && same(again.records[0], record));
      require(again.records[0].psks.empty());
    }
  }
  return 0;
}
