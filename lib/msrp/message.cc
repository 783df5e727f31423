#include "msrp/message.h"

#include <algorithm>
#include <charconv>

#include "msrp/text.h"

namespace keystub::msrp {
namespace {

void append(ByteVector& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}
void append_line(ByteVector& out, std::string_view name, std::string_view value) {
  append(out, name);
  append(out, ": ");
  append(out, value);
  append(out, "\r\n");
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "*" or a number; false on anything else.
bool number_or_star(std::string_view text, std::optional<std::uint64_t>& out) {
  out = number(text);
  return out.has_value() || text == "*";
}

std::optional<ByteRange> parse_byte_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  ByteRange range;
  const auto start = number(text.substr(0, dash));
  if (!start || *start == 0 ||
      !number_or_star(text.substr(dash + 1, slash - dash - 1), range.end) ||
      !number_or_star(text.substr(slash + 1), range.total)) {
    return std::nullopt;
  }
  range.start = *start;
  if (range.end && *range.end < range.start - 1) return std::nullopt;
  return range;
}

bool is_three_digits(std::string_view text) {
  return text.size() == 3 && std::ranges::all_of(text, is_digit);
}
std::uint16_t three_digits(std::string_view text) {
  return static_cast<std::uint16_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
}

std::optional<Status> parse_status(std::string_view text) {
  if (text.size() < 7 || !is_three_digits(text.substr(0, 3)) || text[3] != ' ' ||
      !is_three_digits(text.substr(4, 3)) || (text.size() > 7 && text[7] != ' ')) {
    return std::nullopt;
  }
  return Status{three_digits(text.substr(0, 3)), three_digits(text.substr(4, 3)),
                std::string(text.size() > 8 ? text.substr(8) : "")};
}

std::string padded(std::uint16_t value) {
  std::string digits = std::to_string(value);
  return std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits;
}

// Reads the header lines of one message; each known header may come once.
class HeadParser {
 public:
  HeadParser(const RawHead& raw, Head& out) : raw_(raw), out_(out) {}

  Result<void> run() {
    out_.transaction_id = raw_.transaction_id;
    out_.method = raw_.method;
    out_.status_code = raw_.status_code;
    out_.comment = raw_.comment;
    for (std::size_t at = 0; at < raw_.header_lines.size();) {
      const std::size_t end = raw_.header_lines.find("\r\n", at);
      line_offset_ = raw_.headers_offset + at;
      read_line(raw_.header_lines.substr(at, end - at));
      if (end == std::string_view::npos) break;
      at = end + 2;
    }
    line_offset_ = raw_.headers_offset;
    if (out_.to_path.empty()) note("To-Path", "there is no usable To-Path header");
    if (out_.from_path.empty()) note("From-Path", "there is no usable From-Path header");
    if (raw_.has_body && !out_.content_type) {
      note("Content-Type", "a body needs a Content-Type header in front of it");
    }
    if (!raw_.has_body && out_.content_type) {
      note("Content-Type", "a message without a body must not have a Content-Type header");
    }
    if (first_) return std::unexpected(*std::move(first_));
    return {};
  }

 private:
  void note(std::string_view header, std::string text) {
    if (first_) return;
    first_.emplace(Category::malformed, std::move(text),
                   Place{out_.is_response() ? "MSRP response" : "MSRP request", header,
                         "RFC 4975 9", line_offset_});
  }

  // False, with a note, when the header has come before.
  bool once(std::string_view header, bool& seen) {
    if (seen) note(header, "the header comes twice");
    return !std::exchange(seen, true);
  }

  void read_path(std::string_view header, bool& seen, std::string_view value, Path& path) {
    if (!once(header, seen)) return;
    auto parsed = parse_path(value);
    if (parsed) {
      path = *std::move(parsed);
    } else {
      note(header, parsed.error().text());
    }
  }

  void read_line(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || !is_token(name) || !is_alpha(name.front())) {
      return note("header", "a header line is a name, a colon, a space and a value");
    }
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_header_text(value)) {
      return note("header", "a header value must not hold control characters");
    }
    if (equal_ignoring_case(name, "To-Path")) {
      read_path("To-Path", to_path_, value, out_.to_path);
    } else if (equal_ignoring_case(name, "From-Path")) {
      read_path("From-Path", from_path_, value, out_.from_path);
    } else if (equal_ignoring_case(name, "Message-ID")) {
      if (!once("Message-ID", message_id_)) return;
      if (!is_ident(value)) return note("Message-ID", "a Message-ID is 4 to 32 ident characters");
      out_.message_id = value;
    } else if (equal_ignoring_case(name, "Byte-Range")) {
      if (!once("Byte-Range", byte_range_)) return;
      out_.byte_range = parse_byte_range(value);
      if (!out_.byte_range) {
        note("Byte-Range",
             "a Byte-Range is start-end/total with a start from 1, end and total may be *");
      }
    } else if (equal_ignoring_case(name, "Success-Report")) {
      if (!once("Success-Report", success_report_)) return;
      out_.success_report = equal_ignoring_case(value, "yes");
      if (!out_.success_report && !equal_ignoring_case(value, "no")) {
        note("Success-Report", "Success-Report is yes or no");
      }
    } else if (equal_ignoring_case(name, "Failure-Report")) {
      if (!once("Failure-Report", failure_report_)) return;
      if (equal_ignoring_case(value, "no")) {
        out_.failure_report = FailureReport::no;
      } else if (equal_ignoring_case(value, "partial")) {
        out_.failure_report = FailureReport::partial;
      } else if (!equal_ignoring_case(value, "yes")) {
        note("Failure-Report", "Failure-Report is yes, no or partial");
      }
    } else if (equal_ignoring_case(name, "Status")) {
      if (!once("Status", status_)) return;
      out_.status = parse_status(value);
      if (!out_.status) note("Status", "a Status is three digits, a space and three digits");
    } else if (equal_ignoring_case(name, "Content-Type")) {
      if (!once("Content-Type", content_type_)) return;
      const std::string_view media = trimmed(value.substr(0, value.find(';')));
      const std::size_t slash = media.find('/');
      if (slash == std::string_view::npos || !is_token(media.substr(0, slash)) ||
          !is_token(media.substr(slash + 1))) {
        note("Content-Type", "a media type is type/subtype");
      }
      out_.content_type = value;
    } else {
      out_.other_headers.push_back({std::string(name), std::string(value)});
    }
  }

  const RawHead& raw_;
  Head& out_;
  std::optional<Error> first_;
  std::size_t line_offset_ = 0;
  bool to_path_ = false, from_path_ = false, message_id_ = false, byte_range_ = false;
  bool success_report_ = false, failure_report_ = false, status_ = false, content_type_ = false;
};

template <std::size_t kOctets>
Result<std::string> random_ident(RandomSource& random) {
  std::array<std::uint8_t, kOctets> octets{};
  TRY(random.fill(octets));
  return to_hex(octets);
}

}  // namespace

std::string_view reason_phrase(std::uint16_t code) noexcept {
  switch (code) {
    case kOk: return "OK";
    case kBadRequest: return "Bad Request";
    case kForbidden: return "Forbidden";
    case kTimeout: return "Timeout";
    case kStopSending: return "Stop Sending Message";
    case kUnsupportedMediaType: return "Unsupported Media Type";
    case kOutOfBounds: return "Parameter Out Of Bounds";
    case kNoSuchSession: return "No Such Session";
    case kUnknownMethod: return "Unknown Method";
    case kSessionInUse: return "Session In Use";
    default: return "";
  }
}

std::string ByteRange::to_string() const {
  return std::to_string(start) + "-" + (end ? std::to_string(*end) : "*") + "/" +
         (total ? std::to_string(*total) : "*");
}

Result<void> parse_head(const RawHead& raw, Head& out) {
  out = {};
  return HeadParser(raw, out).run();
}

void write_head(const Head& head, ByteVector& out) {
  append(out, "MSRP ");
  append(out, head.transaction_id);
  append(out, " ");
  if (head.is_response()) {
    append(out, padded(head.status_code));
    if (!head.comment.empty()) append(out, " " + head.comment);
  } else {
    append(out, head.method);
  }
  append(out, "\r\n");
  append_line(out, "To-Path", format_path(head.to_path));
  append_line(out, "From-Path", format_path(head.from_path));
  if (head.message_id) append_line(out, "Message-ID", *head.message_id);
  if (head.byte_range) append_line(out, "Byte-Range", head.byte_range->to_string());
  if (head.success_report) append_line(out, "Success-Report", "yes");
  if (head.failure_report != FailureReport::yes) {
    append_line(out, "Failure-Report", head.failure_report == FailureReport::no ? "no" : "partial");
  }
  if (head.status) {
    std::string value = padded(head.status->name_space) + " " + padded(head.status->code);
    if (!head.status->comment.empty()) value.append(" ").append(head.status->comment);
    append_line(out, "Status", value);
  }
  for (const Header& header : head.other_headers) append_line(out, header.name, header.value);
  if (head.content_type) {
    append_line(out, "Content-Type", *head.content_type);
    append(out, "\r\n");
  }
}

void write_end_line(std::string_view transaction_id, Flag flag, ByteVector& out) {
  append(out, "-------");
  append(out, transaction_id);
  out.push_back(static_cast<std::uint8_t>(flag));
  append(out, "\r\n");
}

Result<std::string> make_transaction_id(RandomSource& random, Bytes body) {
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string id = TRY(random_ident<10>(random));
    if (!as_text(body).contains("-------" + id)) return id;
  }
  return fail(Category::internal,
              "the random source gave only transaction ids that occur in the body; check it");
}

Result<std::string> make_message_id(RandomSource& random) { return random_ident<12>(random); }

Result<std::string> write_request(Head head, Bytes body, Flag flag, RandomSource& random,
                                  ByteVector& out) {
  head.transaction_id = TRY(make_transaction_id(random, head.content_type ? body : Bytes{}));
  write_head(head, out);
  if (head.content_type) {
    out.insert(out.end(), body.begin(), body.end());
    append(out, "\r\n");
  }
  write_end_line(head.transaction_id, flag, out);
  return std::move(head.transaction_id);
}

void write_response(const Head& request, std::uint16_t code, std::string_view comment,
                    const Uri& local, ByteVector& out) {
  Head response;
  response.transaction_id = request.transaction_id;
  response.status_code = code;
  response.comment = comment;
  if (request.method == kSend && !request.from_path.empty()) {
    response.to_path = {request.from_path.front()};
  } else {
    response.to_path = request.from_path;
  }
  response.from_path = {local};
  write_head(response, out);
  write_end_line(response.transaction_id, Flag::complete, out);
}

}  // namespace keystub::msrp
