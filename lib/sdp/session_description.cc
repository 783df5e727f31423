#include "sdp/session_description.h"

#include <algorithm>
#include <charconv>

namespace keystub::sdp {
namespace {

// The order of the lines in a session and in a media description (RFC 8866 5).
constexpr std::string_view kSessionOrder = "vosiuepcbtrzka";
constexpr std::string_view kMediaOrder = "micbka";

// A line's place in its section; r= belongs to the t= before it, so the two share one.
std::size_t rank_of(char type, bool media) {
  return (media ? kMediaOrder : kSessionOrder).find(type == 'r' ? 't' : type);
}

// Where and how a line is at fault; the line number goes into the text when one is known.
std::unexpected<Error> bad_line(std::string text, std::string_view part, std::string_view clause) {
  return fail(Category::malformed, std::move(text), Place{"SDP", part, clause, 0});
}

Error at_line(const Error& error, std::size_t number, std::size_t offset) {
  Place place = error.place().value_or(Place{"SDP", {}, "RFC 8866 5", 0});
  place.offset = offset;
  return Error(error.category(), "line " + std::to_string(number) + ": " + error.text(), place);
}

bool is_line_text(std::string_view value) {
  return std::ranges::none_of(value, [](char c) { return c == '\0' || c == '\r' || c == '\n'; });
}

// token of RFC 8866 9: visible characters without the separators.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7F && !std::string_view("\"(),/:;<=>?@[\\]").contains(c);
  });
}

// A field between spaces.
bool is_field(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != 0x7F;
  });
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Runs of spaces separate once, as lenient readers do; the line itself is kept as it came.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = text.find_first_not_of(' '); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(' ', end);
  }
  return out;
}

std::vector<std::string> owned_words(std::optional<std::string_view> text) {
  if (!text) return {};
  const auto views = words(*text);
  return {views.begin(), views.end()};
}

template <class Int>
std::optional<Int> number(std::string_view text) {
  Int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Origin> parse_origin(std::string_view value) {
  const auto part = words(value);
  if (part.size() != 6 || !is_digits(part[1]) || !is_digits(part[2]) ||
      !std::ranges::all_of(part, is_field)) {
    return bad_line("o= must be: user name, session id, version, IN, IP4 or IP6, address",
                    "o=", "RFC 8866 5.2");
  }
  return Origin{std::string(part[0]), std::string(part[1]), std::string(part[2]),
                std::string(part[3]), std::string(part[4]), std::string(part[5])};
}

Result<std::string> format_origin(const Origin& origin) {
  for (const std::string* field :
       {&origin.username, &origin.network_type, &origin.address_type, &origin.address}) {
    if (!is_field(*field)) {
      return bad_line("a field of o= is empty or has white space in it", "o=", "RFC 8866 5.2");
    }
  }
  if (!is_digits(origin.session_id) || !is_digits(origin.session_version)) {
    return bad_line("session id and version of o= are decimal numbers", "o=", "RFC 8866 5.2");
  }
  return origin.username + " " + origin.session_id + " " + origin.session_version + " " +
         origin.network_type + " " + origin.address_type + " " + origin.address;
}

Result<Connection> parse_connection(std::string_view value) {
  const auto part = words(value);
  if (part.size() != 3 || !std::ranges::all_of(part, is_field)) {
    return bad_line("c= must be: IN, IP4 or IP6, address", "c=", "RFC 8866 5.7");
  }
  return Connection{std::string(part[0]), std::string(part[1]), std::string(part[2])};
}

Result<std::string> format_connection(const Connection& connection) {
  if (!is_field(connection.network_type) || !is_field(connection.address_type) ||
      !is_field(connection.address)) {
    return bad_line("a field of c= is empty or has white space in it", "c=", "RFC 8866 5.7");
  }
  return connection.network_type + " " + connection.address_type + " " + connection.address;
}

// proto = token *("/" token)
bool is_proto(std::string_view text) {
  while (true) {
    const std::size_t slash = text.find('/');
    if (!is_token(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

Result<MediaLine> parse_media_line(std::string_view value) {
  constexpr std::string_view kClause = "RFC 8866 5.14";
  const auto part = words(value);
  if (part.size() < 4) {
    return bad_line("m= must be: media, port, protocol and at least one format", "m=", kClause);
  }
  MediaLine line;
  line.media = part[0];
  const std::size_t slash = part[1].find('/');
  const auto port = number<std::uint16_t>(part[1].substr(0, slash));
  if (!port) return bad_line("the port of m= is not a number up to 65535", "m=", kClause);
  line.port = *port;
  if (slash != std::string_view::npos) {
    line.ports = number<std::uint32_t>(part[1].substr(slash + 1));
    if (line.ports.value_or(0) == 0) {
      return bad_line("the number of ports of m= is not a number from 1", "m=", kClause);
    }
  }
  line.proto = part[2];
  if (!is_token(line.media) || !is_proto(line.proto)) {
    return bad_line("media or protocol of m= is not a token", "m=", kClause);
  }
  line.formats.assign(part.begin() + 3, part.end());
  if (!std::ranges::all_of(line.formats, is_field)) {
    return bad_line("a format of m= holds a control character", "m=", kClause);
  }
  return line;
}

Result<std::string> format_media_line(const MediaLine& line) {
  std::string out = line.media + " " + std::to_string(line.port);
  if (line.ports) out += "/" + std::to_string(*line.ports);
  out += " " + line.proto;
  for (const std::string& format : line.formats) {
    if (!is_field(format)) {
      return bad_line("a format of m= is empty or has white space in it", "m=", "RFC 8866 5.14");
    }
    out += " " + format;
  }
  // Whatever else is wrong with it shows when it is read.
  if (TRY(parse_media_line(out)) != line) {
    return bad_line("a field of m= has white space in it", "m=", "RFC 8866 5.14");
  }
  return out;
}

// "name" or "name:value" of an a= line.
std::string_view attribute_name(std::string_view line) { return line.substr(0, line.find(':')); }
std::string_view attribute_value(std::string_view line) {
  const std::size_t colon = line.find(':');
  return colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
}

Result<std::string> format_attribute(std::string_view name, std::optional<std::string_view> value) {
  if (!is_token(name) || (value && !is_line_text(*value))) {
    return bad_line("the name of an attribute is a token, its value stands on one line",
                    "a=", "RFC 8866 5.13");
  }
  std::string out(name);
  if (value) out.append(":").append(*value);
  return out;
}

bool names(const Line& line, std::string_view name) {
  return line.type == 'a' && attribute_name(line.value) == name;
}

}  // namespace

Connection Connection::to(std::string_view address) {
  return {"IN", address.contains(':') ? "IP6" : "IP4", std::string(address)};
}

// --- Section -----------------------------------------------------------------------------------

const std::string* Section::line(char type) const noexcept {
  const auto found = std::ranges::find(lines_, type, &Line::type);
  return found == lines_.end() ? nullptr : &found->value;
}

std::optional<std::string_view> Section::attribute(std::string_view name) const noexcept {
  for (const Line& line : lines_) {
    if (names(line, name)) return attribute_value(line.value);
  }
  return std::nullopt;
}

std::vector<std::string_view> Section::attributes(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const Line& line : lines_) {
    if (names(line, name)) out.push_back(attribute_value(line.value));
  }
  return out;
}

Result<void> Section::add_line(char type, std::string_view value) {
  if (type < 'a' || type > 'z' || !is_line_text(value)) {
    return bad_line("a line is a small letter, = and a value without line breaks", "line",
                    "RFC 8866 5");
  }
  if (!lines_.empty() && (type == 'm' || type == 'v')) {
    return bad_line("m= and v= open a section and come once in it", "line", "RFC 8866 5");
  }
  const bool media = !lines_.empty() && lines_.front().type == 'm';
  // Lines of unknown types stay behind those that they followed; new ones go to the end.
  auto place = lines_.end();
  if (const std::size_t rank = rank_of(type, media); rank != std::string_view::npos) {
    while (place != lines_.begin()) {
      const std::size_t before = rank_of((place - 1)->type, media);
      if (before != std::string_view::npos && before <= rank) break;
      --place;
    }
  }
  lines_.insert(place, {type, std::string(value)});
  return {};
}

Result<void> Section::set_line(char type, std::string_view value) {
  const auto found = std::ranges::find(lines_, type, &Line::type);
  if (found == lines_.end()) return add_line(type, value);
  found->value = value;
  return {};
}

Result<void> Section::add_attribute(std::string_view name, std::optional<std::string_view> value) {
  return add_line('a', TRY(format_attribute(name, value)));
}

Result<void> Section::set_attribute(std::string_view name, std::optional<std::string_view> value) {
  const auto first =
      std::ranges::find_if(lines_, [&](const Line& line) { return names(line, name); });
  std::string text = TRY(format_attribute(name, value));
  if (first == lines_.end()) return add_line('a', text);
  first->value = std::move(text);
  const std::string kept(name);  // `name` may be a view into a line that goes away
  lines_.erase(
      std::remove_if(first + 1, lines_.end(), [&](const Line& line) { return names(line, kept); }),
      lines_.end());
  return {};
}

void Section::remove_attributes(std::string_view name) {
  const std::string kept(name);
  std::erase_if(lines_, [&](const Line& line) { return names(line, kept); });
}

void Section::remove_lines(char type) {
  if (type == 'm' || type == 'v') return;
  std::erase_if(lines_, [&](const Line& line) { return line.type == type; });
}

Result<std::optional<Connection>> Section::connection() const {
  const std::string* const value = line('c');
  if (value == nullptr) return std::nullopt;
  return std::optional<Connection>(TRY(parse_connection(*value)));
}

Result<void> Section::set_connection(const Connection& connection) {
  return set_line('c', TRY(format_connection(connection)));
}

// --- MediaSection ------------------------------------------------------------------------------

Result<MediaSection> MediaSection::make(const MediaLine& line) {
  MediaSection section;
  std::string value = TRY(format_media_line(line));
  section.lines_.push_back({'m', std::move(value)});
  section.media_line_ = line;
  return section;
}

Result<void> MediaSection::set_media_line(const MediaLine& line) {
  lines_.front().value = TRY(format_media_line(line));
  media_line_ = line;
  return {};
}

std::vector<std::string> MediaSection::path() const { return owned_words(attribute("path")); }

std::vector<std::string> MediaSection::accept_types() const {
  return owned_words(attribute("accept-types"));
}

// --- SessionDescription ------------------------------------------------------------------------

Result<SessionDescription> SessionDescription::parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_octets) {
    return fail(Category::busy, "the SDP has " + std::to_string(text.size()) +
                                    " octets, the limit is " + std::to_string(limits.max_octets));
  }
  SessionDescription out;
  Section* section = &out.session_;
  std::size_t number = 0;
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size();) {
    ++number;
    const std::size_t line_start = at;
    const std::size_t feed = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, feed - at);
    at = feed + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto fault = [&](Category category, std::string what) {
      return std::unexpected(at_line(Error(category, std::move(what)), number, line_start));
    };
    if (line.empty()) {
      // Bodies often end with an empty line too many; inside, it would hide what follows.
      if (text.find_first_not_of("\r\n", line_start) == std::string_view::npos) break;
      return fault(Category::malformed, "an empty line stands inside the SDP; remove it");
    }
    if (++lines > limits.max_lines) {
      return fault(Category::busy,
                   "there are more lines than the limit of " + std::to_string(limits.max_lines));
    }
    if (line.size() > limits.max_line_octets) {
      return fault(Category::busy, "the line has " + std::to_string(line.size()) +
                                       " octets, the limit is " +
                                       std::to_string(limits.max_line_octets));
    }
    if (line.size() < 2 || line[0] < 'a' || line[0] > 'z' || line[1] != '=') {
      return fault(Category::malformed, "a line starts with a small letter and =");
    }
    const char type = line[0];
    const std::string_view value = line.substr(2);
    if (!is_line_text(value)) {
      return fault(Category::malformed, "the line holds a NUL or a CR without LF");
    }
    if (lines == 1 && line != "v=0") {
      return fault(Category::malformed, "SDP starts with v=0; no other version is known");
    }
    if (lines != 1 && type == 'v') {
      return fault(Category::malformed, "a second v= line: one SDP holds one session");
    }
    if (type == 'm') {
      if (out.media_.size() == limits.max_media) {
        return fault(Category::busy, "there are more media descriptions than the limit of " +
                                         std::to_string(limits.max_media));
      }
      auto parsed = parse_media_line(value);
      if (!parsed) return std::unexpected(at_line(parsed.error(), number, line_start));
      MediaSection media;
      media.media_line_ = *std::move(parsed);
      section = &out.media_.emplace_back(std::move(media));
    } else if (type == 'o') {
      const auto parsed = parse_origin(value);
      if (!parsed) return std::unexpected(at_line(parsed.error(), number, line_start));
    } else if (type == 'c') {
      const auto parsed = parse_connection(value);
      if (!parsed) return std::unexpected(at_line(parsed.error(), number, line_start));
    }
    section->lines_.push_back({type, std::string(value)});
  }
  for (const char type : {'v', 'o', 's'}) {
    if (out.session_.line(type) == nullptr) {
      return bad_line(std::string("the ") + type + "= line is missing in front of the first m=",
                      "session", "RFC 8866 5");
    }
  }
  return out;
}

Result<SessionDescription> SessionDescription::make(const Origin& origin,
                                                    const std::optional<Connection>& connection,
                                                    std::string_view session_name) {
  SessionDescription out;
  TRY(out.session_.add_line('v', "0"));
  TRY(out.set_origin(origin));
  TRY(out.session_.add_line('s', session_name));
  if (connection) TRY(out.session_.set_connection(*connection));
  TRY(out.session_.add_line('t', "0 0"));
  return out;
}

std::string SessionDescription::to_string() const {
  std::string out;
  const auto write = [&](const Section& section) {
    for (const Line& line : section.lines()) {
      out.append(1, line.type).append("=").append(line.value).append("\r\n");
    }
  };
  write(session_);
  for (const MediaSection& media : media_) write(media);
  return out;
}

Result<Origin> SessionDescription::origin() const {
  const std::string* const value = session_.line('o');
  if (value == nullptr) return bad_line("there is no o= line", "o=", "RFC 8866 5.2");
  return parse_origin(*value);
}

Result<void> SessionDescription::set_origin(const Origin& origin) {
  return session_.set_line('o', TRY(format_origin(origin)));
}

std::optional<std::string_view> SessionDescription::attribute(std::size_t index,
                                                              std::string_view name) const {
  const auto own = media_[index].attribute(name);
  return own ? own : session_.attribute(name);
}

Result<Connection> SessionDescription::connection(std::size_t index) const {
  if (const auto own = TRY(media_[index].connection())) return *own;
  if (const auto common = TRY(session_.connection())) return *common;
  return bad_line("neither the session nor media description " + std::to_string(index + 1) +
                      " has a c= line: no address to connect to",
                  "c=", "RFC 8866 5.7");
}

Result<std::optional<Setup>> SessionDescription::setup(std::size_t index) const {
  const auto value = attribute(index, "setup");
  if (!value) return std::nullopt;
  return std::optional<Setup>(TRY(parse_setup(*value)));
}

Result<ConnectionUse> SessionDescription::connection_use(std::size_t index) const {
  const auto value = attribute(index, "connection");
  if (!value || *value == "new") return ConnectionUse::fresh;
  if (*value == "existing") return ConnectionUse::existing;
  return bad_line("a=connection must be new or existing", "a=connection", "RFC 4145 5");
}

std::vector<std::string_view> SessionDescription::key_mgmt(std::size_t index) const {
  auto own = media_[index].attributes("key-mgmt");
  return own.empty() ? session_.attributes("key-mgmt") : own;
}

}  // namespace keystub::sdp
