// The Error messages of the published vectors (RFC 6043 5.4).
#pragma once

#include <map>
#include <string>

#include "tests/vectors/call.h"

namespace keystub::vectors {

// For the file. `calls` are the exchanges by id. Throws where the receiver of an Error message says
// something else than the catalogue.
Json errors(const std::map<std::string, Call>& calls);

// What the receiver made of an Error message, as the file says it.
Json outcome(const Result<mikey::ReceivedError>& error);

}  // namespace keystub::vectors
