// How two messages differ: payloads and fields that only one has, and values that are not the same.
#pragma once

#include <string>
#include <vector>

#include "mikey/cli/node.h"

namespace keystub::mikey::cli {

struct Difference {
  enum class Kind : std::uint8_t { changed, removed, added };
  Kind kind = Kind::changed;
  std::string path;    // "IDR 2 / ID data"; the number counts payloads of one name from 1
  std::string before;  // a value; for a payload or group its number of octets
  std::string after;
};

// Lengths and Next Payload are not compared: they follow from the rest.
std::vector<Difference> diff(const std::vector<Node>& before, const std::vector<Node>& after);

}  // namespace keystub::mikey::cli
