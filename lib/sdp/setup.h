// The "a=setup" attribute: which side opens the TCP connection (RFC 4145 section 4).
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace keystub::sdp {

enum class Setup : std::uint8_t {
  active,    // "I connect"
  passive,   // "I wait"
  actpass,   // "you choose"; offers only
  holdconn,  // "no connection for the time being"
};

std::string_view setup_name(Setup setup) noexcept;
// Exactly one of the four words of RFC 4145, else malformed.
Result<Setup> parse_setup(std::string_view value);

// What an absent attribute means (RFC 4145 4.1).
inline constexpr Setup kDefaultOfferSetup = Setup::active;
inline constexpr Setup kDefaultAnswerSetup = Setup::passive;

// The table of RFC 4145 4.1: whether `answer` may stand against `offer`.
bool is_allowed_answer(Setup offer, Setup answer) noexcept;

// What to answer. `prefer_active` decides where the offer leaves the choice (actpass).
Setup choose_answer(std::optional<Setup> offer, bool prefer_active) noexcept;

enum class TcpActive : std::uint8_t {
  offerer,   // the offerer sends the SYN
  answerer,  // the answerer sends it
  nobody,    // holdconn: no connection for now
};

// Who opens the connection once both sides have spoken; no value stands for an absent attribute.
// Fails (malformed) when the answer is not allowed against the offer.
Result<TcpActive> tcp_active(std::optional<Setup> offer, std::optional<Setup> answer);

}  // namespace keystub::sdp
