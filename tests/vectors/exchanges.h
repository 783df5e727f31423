// The exchanges of the published vectors: their inputs, made from names so that they can be made
// again.
#pragma once

#include <string>
#include <vector>

#include "tests/vectors/call.h"

namespace keystub::vectors {

// How the octets of an exchange are made; the text goes into the file.
inline constexpr std::string_view kHowValuesAreMade =
    "Keys, RANDs and the like are the first octets of SHA-256(\"keystub-mikey-1 EXCHANGE NAME "
    "0\"), "
    "SHA-256(\"keystub-mikey-1 EXCHANGE NAME 1\"), and so on.";

struct Exchange {
  std::string id;
  std::string title;
  Json inputs;
};

// In the order of the file.
std::vector<Exchange> exchanges();

}  // namespace keystub::vectors
