// The file of the published vectors, lib/mikey/vectors/keystub-mikey-1.json.
#pragma once

#include <string>

namespace keystub::vectors {

// Its whole text. Throws where the library does not do what the catalogue expects.
std::string document();

}  // namespace keystub::vectors
