// Error messages (RFC 6043 5.4, RFC 3830 5.1.2): Error message = HDR, T, (ERR), {SP}, [V].
//
// One without V is only a recommendation: anybody can have sent it, and anybody can make one by
// leaving V out of a genuine one. Whoever gives up an exchange for it should ask for V.
#pragma once

#include <vector>

#include "mikey/exchange.h"

namespace keystub::mikey {

// What an Error message tells the sender of the message in error.
struct Refusal {
  std::vector<ErrorNo> numbers;           // one or more
  std::vector<SecurityPolicy> supported;  // instead of policies that we do not support

  Refusal(ErrorNo number) : numbers{number} {}  // NOLINT: a number alone is a refusal
  Refusal(std::vector<ErrorNo> error_numbers, std::vector<SecurityPolicy> policies)
      : numbers(std::move(error_numbers)), supported(std::move(policies)) {}
};

// An Error message that was received.
struct ReceivedError {
  std::vector<ErrorNo> numbers;  // one or more
  std::vector<SecurityPolicy> supported;
  bool authenticated = false;  // it has V, and its MAC verifies
};

// Which Error messages end an exchange when they come instead of the answer.
enum class ErrorsTaken : std::uint8_t {
  all,            // the failure says whether it was authenticated
  authenticated,  // one without V is refused (unauthenticated): the answer may still come
};

// An Error message about the message with the header `about`, unauthenticated; the exchanges build
// authenticated ones (refuse()). `refusal` must have a number.
Result<ByteVector> build_error(const Environment& env, const Header& about, const Refusal& refusal);

// The error number that names a failure best.
ErrorNo error_no_for(const Error& error) noexcept;

}  // namespace keystub::mikey
