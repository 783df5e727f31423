// A message as a tree of names and values: what explain prints, diff compares and build reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keystub::mikey::cli {

// A payload, a group of fields, or one field.
struct Node {
  enum class Kind : std::uint8_t {
    group,    // has children and no value
    number,   // "42"
    text,     // "0x2a", "NTP-UTC (0)", "\"sip:alice@example.com\"" or hex
    derived,  // follows from the rest (lengths, Next Payload, decrypted keys): build ignores it
  };

  std::string name;
  Kind kind = Kind::group;
  std::string value;
  std::string note;        // for people: a point in time, a number of octets
  std::string clause;      // of a payload
  std::size_t offset = 0;  // from the start of the message, in octets
  std::size_t length = 0;  // in octets; bit fields count the octet that they begin in
  std::size_t line = 0;    // of the text that it was read from, 0 for none
  std::vector<Node> children;

  bool is_group() const noexcept { return kind == Kind::group; }
};

// Octets of an identity or a URL: quoted when they are printable ASCII, else hex.
std::string quote_or_hex(std::string_view octets);

}  // namespace keystub::mikey::cli
