// make_csv_reader(), see record_fields.h.
#include <algorithm>

#include "kms-client/kmsctl/record_fields.h"

namespace keystub::kmsctl {
namespace {

// Behind the record at the start of `text`, its line end included; none: it goes on. `last`: there
// is no more text.
std::optional<std::size_t> end_of_record(std::span<const char> text, bool last) {
  bool field_begins = true;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      // A doubled quote ends the quotes and begins them again, which comes to the same.
      if (c == '"') quoted = false;
    } else if (c == '\n') {
      return i + 1;
    } else if (c == '"' && (field_begins || (i > 0 && text[i - 1] == '"'))) {
      quoted = true;
    }
    field_begins = !quoted && c == ',';
  }
  return last ? std::optional(text.size()) : std::nullopt;
}

// One field at the start of `rest`, which then begins behind its comma. `more`: there was one.
Result<std::string_view> take_field(std::span<char>& rest, bool& more) {
  if (rest.empty() || rest.front() != '"') {
    const auto comma = std::ranges::find(rest, ',');
    const std::string_view field(rest.begin(), comma);
    if (field.find('"') != std::string_view::npos) {
      return fail(Category::malformed,
                  "there is a quote inside a field that does not begin with one: put the whole "
                  "field into quotes and double the quotes in it");
    }
    more = comma != rest.end();
    rest = rest.subspan(field.size() + (more ? 1 : 0));
    return field;
  }
  std::size_t read = 1;
  std::size_t written = 0;
  for (;; ++read) {
    if (read == rest.size()) return fail(Category::malformed, "a quote is not closed");
    if (rest[read] == '"') {
      ++read;
      if (read == rest.size() || rest[read] != '"') break;
    }
    rest[written++] = rest[read];
  }
  more = read < rest.size();
  if (more && rest[read] != ',') {
    return fail(Category::malformed, "behind a closing quote stands neither comma nor line end");
  }
  const std::string_view field(rest.data(), written);
  rest = rest.subspan(read + (more ? 1 : 0));
  return field;
}

std::vector<std::string_view> split(std::string_view field) {
  std::vector<std::string_view> values;
  while (true) {
    field.remove_prefix(std::min(field.find_first_not_of(' '), field.size()));
    if (field.empty()) return values;
    const std::size_t end = std::min(field.find(' '), field.size());
    values.push_back(field.substr(0, end));
    field.remove_prefix(end);
  }
}

class CsvReader final : public FieldReader {
 public:
  explicit CsvReader(RecordSource source) : buffer_(std::move(source)) {}

  Result<std::optional<RecordFields>> next() override {
    if (columns_.empty()) TRY(read_columns());
    const auto cells = TRY(next_cells());
    if (!cells) return std::optional<RecordFields>();
    if (cells->size() != columns_.size()) {
      return fail(Category::malformed, "there are " + std::to_string(cells->size()) +
                                           " fields, and " + std::to_string(columns_.size()) +
                                           " columns in the header line");
    }
    RecordFields record;
    record.line = line_;
    record.names_line = columns_line_;
    for (std::size_t i = 0; i < cells->size(); ++i) {
      record.fields.push_back({columns_[i], split((*cells)[i])});
    }
    return std::optional<RecordFields>(std::move(record));
  }
  std::uint64_t line() const override { return line_; }

 private:
  Result<void> read_columns() {
    const auto cells = TRY(next_cells());
    if (!cells) {
      return fail(
          Category::malformed,
          "there is no header line: the first line names the columns, such as uri,kind,psks");
    }
    columns_line_ = line_;
    for (std::string_view cell : *cells) {
      if (columns_.empty() && cell.starts_with("\xEF\xBB\xBF")) cell.remove_prefix(3);
      columns_.emplace_back(cell);
    }
    return {};
  }

  // Of the next line that is not empty.
  Result<std::optional<std::vector<std::string_view>>> next_cells() {
    for (;;) {
      buffer_.drop(taken_);
      line_ += lines_taken_;
      taken_ = lines_taken_ = 0;
      const auto end = TRY(find_end());
      if (end == 0) return std::optional<std::vector<std::string_view>>();
      std::span<char> text = buffer_.text().first(end);
      taken_ = end;
      lines_taken_ = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
      if (text.back() == '\n') text = text.first(text.size() - 1);
      if (!text.empty() && text.back() == '\r') text = text.first(text.size() - 1);
      if (text.empty()) continue;
      if (!valid_utf8({text.data(), text.size()})) {
        return fail(Category::malformed, "this is not UTF-8");
      }
      std::vector<std::string_view> cells;
      for (bool more = true; more;) cells.push_back(TRY(take_field(text, more)));
      return std::optional<std::vector<std::string_view>>(std::move(cells));
    }
  }

  // Of the record at the start of the buffer; 0: there is none.
  Result<std::size_t> find_end() {
    for (bool last = false;;) {
      if (const auto end = end_of_record(buffer_.text(), last)) return *end;
      last = !TRY(buffer_.grow());
    }
  }

  RecordBuffer buffer_;
  std::vector<std::string> columns_;
  std::size_t taken_ = 0;  // of the buffer, by the record before
  std::uint64_t line_ = 1;
  std::uint64_t columns_line_ = 1;
  std::uint64_t lines_taken_ = 0;
};

}  // namespace

std::unique_ptr<FieldReader> make_csv_reader(RecordSource source) {
  return std::make_unique<CsvReader>(std::move(source));
}

}  // namespace keystub::kmsctl
