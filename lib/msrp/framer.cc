#include "msrp/framer.h"

#include <algorithm>
#include <cstring>

#include "msrp/text.h"

namespace keystub::msrp {
namespace {

constexpr std::string_view kClause = "RFC 4975 9";
constexpr std::string_view kOpening = "MSRP ";
constexpr std::string_view kHyphens = "-------";

bool is_flag(char c) { return c == '$' || c == '+' || c == '#'; }

struct StartLine {
  std::string_view transaction_id;
  std::string_view method;
  std::uint16_t status_code = 0;
  std::string_view comment;
};

// Nothing where the line is none.
std::optional<StartLine> split_start_line(std::string_view line) {
  if (!line.starts_with(kOpening) || !is_header_text(line)) return std::nullopt;
  line.remove_prefix(kOpening.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  StartLine start;
  start.transaction_id = line.substr(0, space);
  if (!is_ident(start.transaction_id)) return std::nullopt;
  const std::string_view rest = line.substr(space + 1);
  if (!rest.empty() && is_digit(rest.front())) {
    if (rest.size() < 3 || !std::ranges::all_of(rest.substr(0, 3), is_digit) ||
        (rest.size() > 3 && rest[3] != ' ')) {
      return std::nullopt;
    }
    for (const char digit : rest.substr(0, 3)) {
      start.status_code = static_cast<std::uint16_t>(start.status_code * 10 + (digit - '0'));
    }
    start.comment = rest.size() > 4 ? rest.substr(4) : std::string_view();
    return start;
  }
  const bool upper = std::ranges::all_of(rest, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (rest.empty() || !upper) return std::nullopt;
  start.method = rest;
  return start;
}

}  // namespace

std::unexpected<Error> Framer::fault(Category category, std::string text, std::string_view part,
                                     std::size_t offset) {
  state_ = State::failed;
  fault_.emplace(category, std::move(text), Place{"MSRP frame", part, kClause, offset});
  return std::unexpected(*fault_);
}

Result<std::optional<Event>> Framer::next(Bytes& input) {
  switch (state_) {
    case State::head: return read_head(input);
    case State::body: return read_body(input);
    case State::end:
      state_ = State::head;
      head_.clear();
      return std::optional<Event>(EndEvent{flag_});
    case State::failed: break;
  }
  return std::unexpected(*fault_);
}

Result<std::optional<Event>> Framer::read_head(Bytes& input) {
  while (!input.empty()) {
    const auto* const newline =
        static_cast<const std::uint8_t*>(std::memchr(input.data(), '\n', input.size()));
    const std::size_t count =
        newline == nullptr ? input.size() : static_cast<std::size_t>(newline - input.data()) + 1;
    if (head_.empty()) line_start_ = 0;
    if (count > limits_.max_head_octets - std::min(head_.size(), limits_.max_head_octets)) {
      return fault(Category::busy,
                   "the headers are larger than the limit of " +
                       std::to_string(limits_.max_head_octets) + " octets",
                   "headers", line_start_);
    }
    head_.append(as_text(input.first(count)));
    input = input.subspan(count);
    if (!std::string_view(head_).starts_with(kOpening.substr(0, head_.size()))) {
      return fault(Category::malformed,
                   "no MSRP start line is where a frame must begin: the peer speaks another "
                   "protocol or lost count of a body",
                   "start line", 0);
    }
    if (newline == nullptr) break;

    std::string_view line = std::string_view(head_).substr(line_start_);
    if (!line.ends_with("\r\n")) {
      return fault(Category::malformed, "a line ends without CR in front of LF", "headers",
                   line_start_);
    }
    line.remove_suffix(2);
    if (line_start_ == 0) {
      const auto start = split_start_line(line);
      if (!start) {
        return fault(Category::malformed,
                     "the start line is not MSRP, a transaction id, and a method or status code",
                     "start line", 0);
      }
      delimiter_ = "\r\n";
      delimiter_.append(kHyphens).append(start->transaction_id);
      is_send_ = start->method == kSend;
      is_response_ = start->method.empty();
      start_line_size_ = head_.size();
    } else if (line.empty()) {
      if (is_response_) {
        return fault(Category::malformed, "a response must not have a body", "headers",
                     line_start_);
      }
      state_ = State::body;
      // The CRLF of the empty line serves as the one in front of the end-line as well, for
      // peers that write an empty body without a CRLF of its own.
      matched_ = not_body_ = 2;
      body_octets_ = 0;
      return std::optional<Event>(head_event(line_start_, true));
    } else if (line.starts_with(kHyphens)) {
      const std::string_view end_line = std::string_view(delimiter_).substr(2);
      if (line.size() != end_line.size() + 1 || !line.starts_with(end_line) ||
          !is_flag(line.back())) {
        return fault(Category::malformed,
                     "the end-line does not carry the transaction id of the start line and a flag",
                     "end-line", line_start_);
      }
      flag_ = static_cast<Flag>(line.back());
      state_ = State::end;
      return std::optional<Event>(head_event(line_start_, false));
    }
    line_start_ = head_.size();
  }
  return std::nullopt;
}

Event Framer::head_event(std::size_t lines_end, bool has_body) const {
  const std::string_view head = head_;
  const auto start = split_start_line(head.substr(0, start_line_size_ - 2));
  RawHead raw;
  raw.transaction_id = start->transaction_id;
  raw.method = start->method;
  raw.status_code = start->status_code;
  raw.comment = start->comment;
  raw.header_lines = head.substr(start_line_size_, lines_end - start_line_size_);
  raw.headers_offset = start_line_size_;
  raw.has_body = has_body;
  return HeadEvent{raw};
}

Result<void> Framer::count_body(std::size_t octets) {
  const std::uint64_t limit = is_send_ ? limits_.max_body_octets : limits_.max_other_body_octets;
  if (octets > limit - body_octets_) {
    return fault(Category::busy,
                 "the body is larger than the limit of " + std::to_string(limit) + " octets",
                 "body", head_.size() + limit);
  }
  body_octets_ += octets;
  return {};
}

std::size_t Framer::find_end(Bytes input) const {
  const std::string_view text = as_text(input);
  for (std::size_t at = 0; (at = text.find('\r', at)) != std::string_view::npos; ++at) {
    if (std::string_view(delimiter_).starts_with(text.substr(at, delimiter_.size()))) return at;
  }
  return text.size();
}

Result<std::optional<Event>> Framer::read_body(Bytes& input) {
  const std::size_t flag_position = delimiter_.size();
  while (!input.empty()) {
    if (matched_ == 0) {
      const std::size_t count = find_end(input);
      if (count != 0) {
        TRY(count_body(count));
        const Bytes piece = input.first(count);
        input = input.subspan(count);
        return std::optional<Event>(BodyEvent{piece});
      }
    }
    const char c = static_cast<char>(input.front());
    if (matched_ > flag_position) {
      // Past the flag there is no way back: a sender must not let this text occur in a body.
      if (c != (matched_ == flag_position + 1 ? '\r' : '\n')) {
        return fault(Category::malformed, "the end-line does not end with CRLF", "end-line",
                     head_.size() + body_octets_ + matched_);
      }
    } else if (matched_ == flag_position ? !is_flag(c) : c != delimiter_[matched_]) {
      // It was body after all. What was held back equals the start of the delimiter; only its
      // first octet is a CR, so no later part of it can begin another match.
      const Bytes piece = as_bytes(delimiter_).subspan(not_body_, matched_ - not_body_);
      matched_ = not_body_ = 0;
      if (piece.empty()) continue;
      TRY(count_body(piece.size()));
      return std::optional<Event>(BodyEvent{piece});
    } else if (matched_ == flag_position) {
      flag_ = static_cast<Flag>(c);
    }
    input = input.subspan(1);
    if (++matched_ == flag_position + 3) {
      matched_ = not_body_ = 0;
      state_ = State::head;
      head_.clear();
      return std::optional<Event>(EndEvent{flag_});
    }
  }
  return std::nullopt;
}

}  // namespace keystub::msrp
