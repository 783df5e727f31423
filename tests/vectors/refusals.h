// The messages of the published vectors that have to be refused.
#pragma once

#include <map>
#include <string>

#include "tests/vectors/call.h"

namespace keystub::vectors {

// For the file. `calls` are the exchanges by id. Throws where a receiver accepts one of them, or
// refuses it for another reason than the catalogue says.
Json refusals(const std::map<std::string, Call>& calls);

// What a receiver said, as the file says it.
Json refused(const Error& error);

}  // namespace keystub::vectors
