// Which rules of RFC 6043 (and RFC 3830, RFC 4563) a message breaks, as far as it can be seen
// without keys. Uses the library's own rules wherever an exchange has one.
#pragma once

#include <string>
#include <vector>

#include "mikey/message.h"

namespace keystub::mikey::cli {

struct Finding {
  enum class Severity : std::uint8_t {
    error,    // breaks a MUST or SHALL, or a reader refuses the message
    warning,  // breaks a SHOULD, or is unusual
  };
  Severity severity = Severity::error;
  std::string payload;
  std::string clause;
  std::size_t offset = 0;
  std::string text;
};

// In the order of the message. Octets that are no message have the one finding that says why.
std::vector<Finding> lint(Bytes octets);

}  // namespace keystub::mikey::cli
