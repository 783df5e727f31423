#include "kms-client/kmsctl/identity_records.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace keystub::kmsctl {
namespace {

constexpr std::size_t kMinPskOctets = 16;
constexpr std::size_t kMaxPskOctets = 64;
constexpr std::string_view kPsks = "psks";

// The columns, in the order in which they are written.
struct TextColumn {
  std::string_view name;
  std::string IdentityRecord::* text;
};
struct ListColumn {
  std::string_view name;
  std::vector<std::string> IdentityRecord::* list;
};
constexpr std::array kTexts = {TextColumn{"uri", &IdentityRecord::uri},
                               TextColumn{"kind", &IdentityRecord::kind},
                               TextColumn{"state", &IdentityRecord::state}};
constexpr std::array kLists = {ListColumn{"aliases", &IdentityRecord::aliases},
                               ListColumn{"owned_patterns", &IdentityRecord::owned_patterns},
                               ListColumn{"groups", &IdentityRecord::groups},
                               ListColumn{"psk_ids", &IdentityRecord::psk_ids},
                               ListColumn{"psk_expiries", &IdentityRecord::psk_expiries}};
// What `identity list --output json` shows beyond that: not for an import to set.
constexpr std::array<std::string_view, 5> kIgnored = {
    "certificates", "shared_tpk_ids", "create_time", "update_time", "change_sequence"};

std::string known_names() {
  std::string names;
  for (const TextColumn& column : kTexts) names.append(column.name).append(", ");
  for (const ListColumn& column : kLists) names.append(column.name).append(", ");
  return names.append(kPsks);
}

Result<Psk> read_psk(std::string_view text) {
  auto octets = base64_decode(text);
  if (!octets) return std::unexpected(std::move(octets).error());
  Psk key{Bytes(*octets)};
  wipe(*octets);
  if (key.size() < kMinPskOctets || key.size() > kMaxPskOctets) {
    return fail(Category::malformed, "a key has " + std::to_string(kMinPskOctets) + " to " +
                                         std::to_string(kMaxPskOctets) + " octets, this one has " +
                                         std::to_string(key.size()));
  }
  return key;
}

Result<void> read_psks(IdentityRecord& record, const std::vector<std::string_view>& values) {
  for (const std::string_view value : values) {
    auto key = read_psk(value);
    if (!key) return std::unexpected(std::move(key).error().with_context(kPsks));
    record.psks.push_back(std::move(*key));
  }
  return {};
}

bool is_known(std::string_view name) {
  return name == kPsks || std::ranges::find(kTexts, name, &TextColumn::name) != kTexts.end() ||
         std::ranges::find(kLists, name, &ListColumn::name) != kLists.end() ||
         std::ranges::find(kIgnored, name) != kIgnored.end();
}

// An error never repeats a name that is not known: in a CSV without its header line it may be a
// key.
Result<void> check_names(const RecordFields& from) {
  for (std::size_t i = 0; i < from.fields.size(); ++i) {
    const std::string_view name = from.fields[i].name;
    for (std::size_t k = 0; k < i; ++k) {
      if (from.fields[k].name == name) {
        return fail(Category::malformed, "fields " + std::to_string(k + 1) + " and " +
                                             std::to_string(i + 1) + " have the same name");
      }
    }
    if (!is_known(name)) {
      return fail(Category::malformed, "field " + std::to_string(i + 1) +
                                           " has an unknown name: the names are " + known_names() +
                                           ", and a CSV file has them in its first line");
    }
  }
  return {};
}

// Its name is known.
Result<void> read_field(IdentityRecord& record, const RecordField& field) {
  if (field.name == kPsks) return read_psks(record, field.values);
  const auto text = std::ranges::find(kTexts, field.name, &TextColumn::name);
  if (text != kTexts.end()) {
    if (field.values.size() > 1) {
      return fail(Category::malformed, std::string(field.name) + ": there is more than one");
    }
    if (!field.values.empty()) record.*text->text = field.values.front();
    return {};
  }
  const auto list = std::ranges::find(kLists, field.name, &ListColumn::name);
  if (list != kLists.end()) {
    (record.*list->list).assign(field.values.begin(), field.values.end());
  }
  return {};
}

Result<void> check_keys(const IdentityRecord& record) {
  const std::size_t keys = record.psks.size();
  if (keys == 0) return {};
  const bool named = record.psk_ids.size() == keys || (record.psk_ids.empty() && keys == 1);
  if (!named) {
    return fail(Category::malformed, "psk_ids: there are " + std::to_string(keys) + " psks and " +
                                         std::to_string(record.psk_ids.size()) +
                                         " ids: every key needs one");
  }
  if (!record.psk_expiries.empty() && record.psk_expiries.size() != keys) {
    return fail(Category::malformed,
                "psk_expiries: there are " + std::to_string(keys) + " psks and " +
                    std::to_string(record.psk_expiries.size()) +
                    " ends: give one for each key, \"-\" for one that does not expire");
  }
  return {};
}

Result<IdentityRecord> record_of(const RecordFields& from) {
  IdentityRecord record;
  record.line = from.line;
  for (const RecordField& field : from.fields) TRY(read_field(record, field));
  if (record.uri.empty()) return fail(Category::malformed, "uri: it is missing");
  TRY(check_keys(record));
  return record;
}

// RFC 4180.
std::string csv_field(std::string_view field) {
  if (field.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(field);
  std::string out = "\"";
  for (const char c : field) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

}  // namespace

IdentityRecordReader::IdentityRecordReader(std::string file, RecordFormat format,
                                           RecordSource source)
    : file_(std::move(file)),
      fields_(format == RecordFormat::csv ? make_csv_reader(std::move(source))
                                          : make_json_reader(std::move(source))) {}

Result<std::optional<IdentityRecord>> IdentityRecordReader::next() {
  const auto in_file = [this](Error error, std::uint64_t line) {
    return std::unexpected(std::move(error).with_context(file_ + " line " + std::to_string(line)));
  };
  auto fields = fields_->next();
  if (!fields) return in_file(std::move(fields).error(), fields_->line());
  if (!*fields) return std::optional<IdentityRecord>();
  if (auto known = check_names(**fields); !known) {
    return in_file(std::move(known).error(), (*fields)->names_line);
  }
  auto record = record_of(**fields);
  if (!record) return in_file(std::move(record).error(), (*fields)->line);
  return std::optional<IdentityRecord>(std::move(*record));
}

void write_header(std::ostream& out, RecordFormat format) {
  if (format == RecordFormat::json) return;
  const char* comma = "";
  for (const TextColumn& column : kTexts) out << std::exchange(comma, ",") << column.name;
  for (const ListColumn& column : kLists) out << std::exchange(comma, ",") << column.name;
  out << '\n';
}

void write_record(std::ostream& out, RecordFormat format, const IdentityRecord& record) {
  if (format == RecordFormat::json) {
    nlohmann::ordered_json json;
    for (const TextColumn& column : kTexts) json[std::string(column.name)] = record.*column.text;
    for (const ListColumn& column : kLists) json[std::string(column.name)] = record.*column.list;
    out << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    return;
  }
  const char* comma = "";
  for (const TextColumn& column : kTexts) {
    out << std::exchange(comma, ",") << csv_field(record.*column.text);
  }
  for (const ListColumn& column : kLists) {
    std::string joined;
    for (const std::string& value : record.*column.list) {
      joined += (joined.empty() ? "" : " ") + value;
    }
    out << ',' << csv_field(joined);
  }
  out << '\n';
}

}  // namespace keystub::kmsctl
