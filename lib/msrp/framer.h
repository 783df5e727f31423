// Framer: cuts a byte stream into MSRP frames (RFC 4975 section 7.1 and 9).
//
// The first of three layers: bytes -> framing -> meaning (msrp/message.h reads the headers,
// msrp/endpoint.h decides). It pulls: the caller owns the input, the framer takes events out of it
// one at a time. Bodies are handed on as they arrive and never stored, so a chunk may be larger
// than memory; apart from one header section (bounded) it keeps only a few counters. Each octet
// is looked at a constant number of times however small the pieces are.
//
//   Bytes input = ...;                       // what the transport delivered
//   while (auto event = TRY(framer.next(input))) { ... }
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/error.h"
#include "msrp/message.h"

namespace keystub::msrp {

struct FramerLimits {
  std::size_t max_head_octets = 16 * 1024;     // start line and headers
  std::uint64_t max_body_octets = 1ULL << 30;  // of one SEND chunk
  std::size_t max_other_body_octets = 10240;   // of any other request (RFC 4975 7.1)
};

struct HeadEvent {
  RawHead raw;
};
struct BodyEvent {
  Bytes piece;  // never empty
};
struct EndEvent {
  Flag flag = Flag::complete;
};
using Event = std::variant<HeadEvent, BodyEvent, EndEvent>;

class Framer {
 public:
  explicit Framer(FramerLimits limits = {}) : limits_(limits) {}

  // The next event, or nothing when all of `input` is used up; moves `input` past what was read.
  // A frame is one HeadEvent, any number of BodyEvents, one EndEvent. The views in an event live
  // until the next call and as long as the input's memory.
  // A fault (malformed, or busy where a limit is passed) ends the connection: MSRP has no way to
  // find the next frame. Every later call returns the same fault.
  Result<std::optional<Event>> next(Bytes& input);

  // False inside a frame: an end of the stream now would cut it.
  bool between_frames() const noexcept { return state_ == State::head && head_.empty(); }

 private:
  enum class State : std::uint8_t { head, body, end, failed };

  Result<std::optional<Event>> read_head(Bytes& input);
  Result<std::optional<Event>> read_body(Bytes& input);
  Event head_event(std::size_t lines_end, bool has_body) const;
  // Where the end-line, or what may become it, starts in `input`; its size where there is none.
  std::size_t find_end(Bytes input) const;
  std::unexpected<Error> fault(Category category, std::string text, std::string_view part,
                               std::size_t offset);
  Result<void> count_body(std::size_t octets);

  FramerLimits limits_;
  State state_ = State::head;

  // The header section so far, with its start line.
  std::string head_;
  std::size_t line_start_ = 0;  // where the unfinished line starts in head_
  std::size_t start_line_size_ = 0;
  bool is_send_ = false;
  bool is_response_ = false;

  std::string delimiter_;     // CRLF "-------" transaction-id of the frame
  std::size_t matched_ = 0;   // how much of delimiter_, flag and CRLF was seen last
  std::size_t not_body_ = 0;  // of these, how many belong to the header section
  Flag flag_ = Flag::complete;
  std::uint64_t body_octets_ = 0;
  std::optional<Error> fault_;
};

}  // namespace keystub::msrp
