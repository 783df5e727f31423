// SDP session descriptions (RFC 8866): read, looked up, changed, written.
//
// Every line is kept as it came, known or not, in its order; reading and writing changes nothing
// but line ends (LF and CRLF are read, CRLF is written). Typed values are read out of the lines on
// demand. Plain values: copy them freely; one thread at a time while changing one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sdp/setup.h"

namespace keystub::sdp {

struct Limits {
  std::size_t max_octets = 128 * 1024;
  std::size_t max_lines = 2000;
  std::size_t max_line_octets = 32 * 1024;  // a=key-mgmt carries a whole MIKEY message
  std::size_t max_media = 64;
};

// "<type>=<value>"; the value may hold anything but NUL, CR and LF.
struct Line {
  char type = 'a';
  std::string value;
  friend bool operator==(const Line&, const Line&) = default;
};

// o= (RFC 8866 5.2). Numbers stay digits: they may be longer than 64 bits.
struct Origin {
  std::string username = "-";
  std::string session_id;
  std::string session_version;
  std::string network_type = "IN";
  std::string address_type;  // "IP4" or "IP6"
  std::string address;
  friend bool operator==(const Origin&, const Origin&) = default;
};

// c= (RFC 8866 5.7).
struct Connection {
  std::string network_type = "IN";
  std::string address_type;  // "IP4" or "IP6"
  std::string address;
  friend bool operator==(const Connection&, const Connection&) = default;

  // For a literal IPv4 or IPv6 address; the type follows from the colons.
  static Connection to(std::string_view address);
};

// m= (RFC 8866 5.14).
struct MediaLine {
  std::string media;                   // "message"
  std::uint16_t port = 0;              // 0: the stream is rejected or ended
  std::optional<std::uint32_t> ports;  // the number after a slash
  std::string proto;                   // "TCP/TLS/MSRP", any token
  std::vector<std::string> formats;    // at least one
  friend bool operator==(const MediaLine&, const MediaLine&) = default;
};

// The lines of the session, or of one media description (then the first line is its m=).
class Section {
 public:
  const std::vector<Line>& lines() const noexcept { return lines_; }

  // The value of the first line of a type, nullptr where there is none.
  const std::string* line(char type) const noexcept;

  // The value of the first attribute of that name: empty for "a=name", no value where it is
  // absent. Names are compared exactly. Views live as long as the section is not changed.
  std::optional<std::string_view> attribute(std::string_view name) const noexcept;
  bool has_attribute(std::string_view name) const noexcept { return attribute(name).has_value(); }
  // The values of all of them, in order.
  std::vector<std::string_view> attributes(std::string_view name) const;

  // Adds a line at the place that RFC 8866 5 gives its type, behind those of the same type.
  // Fails (malformed) when the value cannot stand on one line, or for another m= or v=.
  Result<void> add_line(char type, std::string_view value);
  // "a=name:value", or "a=name" without a value.
  Result<void> add_attribute(std::string_view name,
                             std::optional<std::string_view> value = std::nullopt);
  // Replaces all attributes of that name by one, which takes the place of the first.
  Result<void> set_attribute(std::string_view name,
                             std::optional<std::string_view> value = std::nullopt);
  void remove_attributes(std::string_view name);
  // All lines of a type; m= and v= stay, a section is nothing without them.
  void remove_lines(char type);

  // c= of this section alone. No value where there is none; malformed if it cannot be read.
  Result<std::optional<Connection>> connection() const;
  Result<void> set_connection(const Connection& connection);

  friend bool operator==(const Section&, const Section&) = default;

 protected:
  friend class SessionDescription;
  Result<void> set_line(char type, std::string_view value);
  std::vector<Line> lines_;
};

class MediaSection : public Section {
 public:
  // Fails (malformed) unless `line` can stand as an m= line.
  static Result<MediaSection> make(const MediaLine& line);

  const MediaLine& media_line() const noexcept { return media_line_; }
  Result<void> set_media_line(const MediaLine& line);
  // Rejected (RFC 3264 6), or ended.
  bool rejected() const noexcept { return media_line_.port == 0; }

  // "a=path": its URIs as text (RFC 4975 8.2; msrp/uri.h reads them). Empty where it is absent.
  std::vector<std::string> path() const;
  // "a=accept-types" (RFC 4975 8.6). Empty where it is absent.
  std::vector<std::string> accept_types() const;

  friend bool operator==(const MediaSection&, const MediaSection&) = default;

 private:
  friend class SessionDescription;
  MediaSection() = default;
  MediaLine media_line_;
};

// "a=connection" (RFC 4145 5).
enum class ConnectionUse : std::uint8_t { fresh /* "new" */, existing };

class SessionDescription {
 public:
  // Fails with malformed (the line number is in the text) or with busy where a limit is passed.
  // v=0 must come first; o= and s= must be there; what else is missing shows when it is asked for.
  static Result<SessionDescription> parse(std::string_view text, const Limits& limits = {});

  // A new description: v=0, o=, s=, c= if given, t=0 0. Fails (malformed) when a value has white
  // space or a control character.
  static Result<SessionDescription> make(const Origin& origin,
                                         const std::optional<Connection>& connection = std::nullopt,
                                         std::string_view session_name = "-");

  std::string to_string() const;

  Section& session() noexcept { return session_; }
  const Section& session() const noexcept { return session_; }
  std::vector<MediaSection>& media() noexcept { return media_; }
  const std::vector<MediaSection>& media() const noexcept { return media_; }

  Result<Origin> origin() const;
  Result<void> set_origin(const Origin& origin);

  // The values that hold for the media description `index`: its own, else those of the session.
  // `index` must be below media().size().
  std::optional<std::string_view> attribute(std::size_t index, std::string_view name) const;
  // Fails (malformed) where neither level has a readable c=.
  Result<Connection> connection(std::size_t index) const;
  // No value where the attribute is absent (the default depends on offer or answer: setup.h).
  Result<std::optional<Setup>> setup(std::size_t index) const;
  // "new" where it is absent.
  Result<ConnectionUse> connection_use(std::size_t index) const;
  // Values of "a=key-mgmt" as text ("mikey <base64>"): those of the media description, and if it
  // has none those of the session (RFC 4567 3.1). Empty where there are none.
  std::vector<std::string_view> key_mgmt(std::size_t index) const;

  friend bool operator==(const SessionDescription&, const SessionDescription&) = default;

 private:
  Section session_;
  std::vector<MediaSection> media_;
};

}  // namespace keystub::sdp
