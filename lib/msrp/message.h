// MSRP requests and responses: start line, headers, continuation flag (RFC 4975 sections 7 and 9).
// The body travels beside the Head: it may be larger than memory (msrp/framer.h).
// Plain values and pure functions; use them from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "msrp/uri.h"

namespace keystub::msrp {

// How an end-line ends: the message is complete, goes on in another chunk, or was given up.
enum class Flag : char { complete = '$', more = '+', aborted = '#' };

// A chunk's place in its message; octets are counted from 1. No value stands for "*".
struct ByteRange {
  std::uint64_t start = 1;
  std::optional<std::uint64_t> end;
  std::optional<std::uint64_t> total;

  std::string to_string() const;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

enum class FailureReport : std::uint8_t { yes, no, partial };

// The Status header of a REPORT. Name space 0 means that `code` is a response code.
struct Status {
  std::uint16_t name_space = 0;
  std::uint16_t code = 0;
  std::string comment;
  friend bool operator==(const Status&, const Status&) = default;
};

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};

inline constexpr std::string_view kSend = "SEND";
inline constexpr std::string_view kReport = "REPORT";

// Response codes (RFC 4975 section 10).
inline constexpr std::uint16_t kOk = 200;
inline constexpr std::uint16_t kBadRequest = 400;
inline constexpr std::uint16_t kForbidden = 403;
inline constexpr std::uint16_t kTimeout = 408;
inline constexpr std::uint16_t kStopSending = 413;
inline constexpr std::uint16_t kUnsupportedMediaType = 415;
inline constexpr std::uint16_t kOutOfBounds = 423;
inline constexpr std::uint16_t kNoSuchSession = 481;
inline constexpr std::uint16_t kUnknownMethod = 501;
inline constexpr std::uint16_t kSessionInUse = 506;

// A few words for a code, as comments of responses use them.
std::string_view reason_phrase(std::uint16_t code) noexcept;

// Everything of a message except its body and its flag.
struct Head {
  std::string transaction_id;
  std::string method;             // "SEND", "REPORT", another one; empty in a response
  std::uint16_t status_code = 0;  // of a response
  std::string comment;            // of a response

  Path to_path;
  Path from_path;
  std::optional<std::string> message_id;
  std::optional<ByteRange> byte_range;
  bool success_report = false;                        // absent means no
  FailureReport failure_report = FailureReport::yes;  // absent means yes
  std::optional<Status> status;
  std::vector<Header> other_headers;        // those unknown here, in their order
  std::optional<std::string> content_type;  // there is a body (perhaps empty) if and only if set

  bool is_response() const noexcept { return method.empty(); }
};

// The start line and the header lines of a frame as they came. The views belong to the framer.
struct RawHead {
  std::string_view transaction_id;
  std::string_view method;         // empty in a response
  std::uint16_t status_code = 0;   // of a response
  std::string_view comment;        // of a response
  std::string_view header_lines;   // each with its CRLF
  std::size_t headers_offset = 0;  // octets from the start of the frame to header_lines
  bool has_body = false;
};

// Reads the headers into `out`. On a fault it goes on, so that `out` holds every header that could
// be read (what a 400 response needs), and returns the first fault (malformed, with its place).
// Header names are compared without regard to case; the order of headers is not enforced.
Result<void> parse_head(const RawHead& raw, Head& out);

// Start line and headers with To-Path and From-Path first and Content-Type last, and the empty
// line that opens a body if there is a content_type. Values must hold no CR or LF.
void write_head(const Head& head, ByteVector& out);

// "-------", transaction id, flag, CRLF. After a body the caller writes a CRLF first.
void write_end_line(std::string_view transaction_id, Flag flag, ByteVector& out);

// A transaction id with 80 bits of randomness whose end-line does not occur in `body`.
Result<std::string> make_transaction_id(RandomSource& random, Bytes body = {});

// A Message-ID with 96 bits of randomness.
Result<std::string> make_message_id(RandomSource& random);

// A whole request: `body` is written if head.content_type is set. The transaction id of `head` is
// replaced by a new one, which is returned.
Result<std::string> write_request(Head head, Bytes body, Flag flag, RandomSource& random,
                                  ByteVector& out);

// The response to `request`: to the previous hop for SEND, along the whole path otherwise
// (RFC 4975 7.2). `request` needs a transaction id and a From-Path.
void write_response(const Head& request, std::uint16_t code, std::string_view comment,
                    const Uri& local, ByteVector& out);

}  // namespace keystub::msrp
