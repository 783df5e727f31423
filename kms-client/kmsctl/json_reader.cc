// make_json_reader(), see record_fields.h. A reader of our own for objects of this one shape: the
// general ones keep copies of what they read, keys included, in memory that nobody wipes.
#include <algorithm>
#include <cctype>

#include "kms-client/kmsctl/record_fields.h"

namespace keystub::kmsctl {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Behind the object at the start of `text`; none: it goes on.
std::optional<std::size_t> end_of_object(std::span<const char> text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::nullopt;
}

// One object, taken apart where it lies.
class ObjectParser {
 public:
  explicit ObjectParser(std::span<char> text) : text_(text) {}

  Result<std::vector<RecordField>> parse() {
    std::vector<RecordField> fields;
    TRY(expect('{'));
    if (take('}')) return fields;
    do {
      RecordField field;
      field.name = TRY(string());
      TRY(expect(':'));
      field.values = TRY(values());
      fields.push_back(std::move(field));
    } while (take(','));
    TRY(expect('}'));
    return fields;
  }

 private:
  Result<std::vector<std::string_view>> values() {
    std::vector<std::string_view> list;
    if (!take('[')) {
      const auto value = TRY(scalar());
      if (value) list.push_back(*value);
      return list;
    }
    if (take(']')) return list;
    do {
      const auto value = TRY(scalar());
      if (!value) return bad("null is no text");
      list.push_back(*value);
    } while (take(','));
    TRY(expect(']'));
    return list;
  }

  // None: null.
  Result<std::optional<std::string_view>> scalar() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '"') {
      const std::string_view value = TRY(string());
      return std::optional(value);
    }
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '-' || text_[at_] == '+' || text_[at_] == '.')) {
      ++at_;
    }
    const std::string_view word(text_.data() + begin, at_ - begin);
    if (word == "null") return std::optional<std::string_view>();
    const bool number = !word.empty() && (word[0] == '-' || (word[0] >= '0' && word[0] <= '9'));
    if (!number && word != "true" && word != "false") {
      return bad("a text or a list of texts is expected");
    }
    return std::optional(word);
  }

  Result<std::string_view> string() {
    TRY(expect('"'));
    const std::size_t begin = at_;
    std::size_t written = at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      const char c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) return bad("a control character inside a text");
      if (c == '\\') {
        TRY(escape(written));
      } else {
        text_[written++] = c;
      }
    }
    TRY(expect('"'));
    return std::string_view(text_.data() + begin, written - begin);
  }

  // Behind a backslash. What it stands for is never longer than it is.
  Result<void> escape(std::size_t& written) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (c == 'u') return unicode(written);
    const std::size_t index = kNames.find(c);
    if (index == std::string_view::npos) return bad("an unknown escape in a text");
    text_[written++] = kMeanings[index];
    return {};
  }

  Result<void> unicode(std::size_t& written) {
    std::uint32_t code = TRY(four_digits());
    if (code >= 0xD800 && code < 0xDC00) {
      const bool pair = at_ + 1 < text_.size() && text_[at_] == '\\' && text_[at_ + 1] == 'u';
      at_ += pair ? 2 : 0;
      const std::uint32_t low = pair ? TRY(four_digits()) : 0;
      if (low < 0xDC00 || low > 0xDFFF) return bad("half of a surrogate pair in a text");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      return bad("half of a surrogate pair in a text");
    }
    const auto put = [&](std::uint32_t octet) { text_[written++] = static_cast<char>(octet); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
    return {};
  }

  Result<std::uint32_t> four_digits() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < text_.size() ? text_[at_++] : '\0';
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) {
        return bad("\\u wants four hex digits");
      }
      const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
      code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    return code;
  }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  Result<void> expect(char wanted) {
    if (take(wanted)) return {};
    return bad(std::string("\"") + wanted + "\" is expected");
  }
  std::unexpected<Error> bad(const std::string& what) const {
    return fail(Category::malformed,
                what + " (character " + std::to_string(at_ + 1) + " of the object)");
  }

  std::span<char> text_;
  std::size_t at_ = 0;
};

class JsonReader final : public FieldReader {
 public:
  explicit JsonReader(RecordSource source) : buffer_(std::move(source)) {}

  Result<std::optional<RecordFields>> next() override {
    drop(taken_);
    taken_ = 0;
    TRY(skip_space());
    if (!begun_) TRY(begin());
    if (in_array_ && TRY(at_end_of_array())) {
      if (!buffer_.text().empty()) {
        return fail(Category::malformed, "something stands behind the end of the list");
      }
      return std::optional<RecordFields>();
    }
    if (buffer_.text().empty()) {
      if (in_array_) return fail(Category::malformed, "the list has no end: the file is cut off");
      return std::optional<RecordFields>();
    }
    if (buffer_.text().front() != '{') {
      return fail(Category::malformed, "an object is expected: {\"uri\": …}");
    }
    taken_ = TRY(find_end());
    first_ = false;
    const std::span<char> text = buffer_.text().first(taken_);
    if (!valid_utf8({text.data(), text.size()})) {
      return fail(Category::malformed, "this is not UTF-8");
    }
    // Counted before texts change where they lie.
    lines_taken_ = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
    RecordFields record;
    record.line = record.names_line = line_;
    record.fields = TRY(ObjectParser(text).parse());
    return std::optional<RecordFields>(std::move(record));
  }
  std::uint64_t line() const override { return line_; }

 private:
  Result<void> begin() {
    begun_ = true;
    while (buffer_.text().size() < 3 && TRY(buffer_.grow())) {
    }
    if (as_view().starts_with("\xEF\xBB\xBF")) {
      drop(3);
      TRY(skip_space());
    }
    if (as_view().starts_with('[')) {
      in_array_ = true;
      drop(1);
      TRY(skip_space());
    }
    return {};
  }

  // Behind the comma of what came before otherwise.
  Result<bool> at_end_of_array() {
    if (ended_) return true;
    if (as_view().starts_with(']')) {
      ended_ = true;
    } else if (first_ || as_view().empty()) {
      return false;
    } else if (!as_view().starts_with(',')) {
      return fail(Category::malformed, "a comma or the end of the list is expected");
    }
    drop(1);
    TRY(skip_space());
    return ended_;
  }

  Result<std::size_t> find_end() {
    for (;;) {
      if (const auto end = end_of_object(buffer_.text())) return *end;
      if (!TRY(buffer_.grow())) {
        return fail(Category::malformed, "the object has no end: the file is cut off");
      }
    }
  }

  Result<void> skip_space() {
    for (;;) {
      const std::string_view text = as_view();
      const auto end = std::ranges::find_if_not(text, is_space);
      const bool all = end == text.end();
      drop(static_cast<std::size_t>(end - text.begin()));
      if (!all || !TRY(buffer_.grow())) return {};
    }
  }

  std::string_view as_view() {
    const std::span<char> text = buffer_.text();
    return {text.data(), text.size()};
  }
  void drop(std::size_t octets) {
    const auto text = as_view().substr(0, octets);
    // Of a record the lines were counted before it was taken apart.
    line_ +=
        taken_ == 0 ? static_cast<std::uint64_t>(std::ranges::count(text, '\n')) : lines_taken_;
    buffer_.drop(octets);
  }

  RecordBuffer buffer_;
  bool begun_ = false;
  bool in_array_ = false;
  bool first_ = true;  // of an array: no comma in front
  bool ended_ = false;
  std::size_t taken_ = 0;  // of the buffer, by the record before
  std::uint64_t line_ = 1;
  std::uint64_t lines_taken_ = 0;
};

}  // namespace

std::unique_ptr<FieldReader> make_json_reader(RecordSource source) {
  return std::make_unique<JsonReader>(std::move(source));
}

}  // namespace keystub::kmsctl
