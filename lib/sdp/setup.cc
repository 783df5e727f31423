#include "sdp/setup.h"

#include <array>
#include <string>

namespace keystub::sdp {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"active", "passive", "actpass", "holdconn"};

}  // namespace

std::string_view setup_name(Setup setup) noexcept {
  return kNames[static_cast<std::size_t>(setup)];
}

Result<Setup> parse_setup(std::string_view value) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (value == kNames[i]) return static_cast<Setup>(i);
  }
  return fail(Category::malformed, "a=setup must be active, passive, actpass or holdconn",
              Place{"SDP", "a=setup", "RFC 4145 4", 0});
}

bool is_allowed_answer(Setup offer, Setup answer) noexcept {
  switch (offer) {
    case Setup::active: return answer == Setup::passive || answer == Setup::holdconn;
    case Setup::passive: return answer == Setup::active || answer == Setup::holdconn;
    case Setup::actpass: return answer != Setup::actpass;
    case Setup::holdconn: return answer == Setup::holdconn;
  }
  return false;
}

Setup choose_answer(std::optional<Setup> offer, bool prefer_active) noexcept {
  switch (offer.value_or(kDefaultOfferSetup)) {
    case Setup::active: return Setup::passive;
    case Setup::passive: return Setup::active;
    case Setup::actpass: return prefer_active ? Setup::active : Setup::passive;
    case Setup::holdconn: break;
  }
  return Setup::holdconn;
}

Result<TcpActive> tcp_active(std::optional<Setup> offer, std::optional<Setup> answer) {
  const Setup offered = offer.value_or(kDefaultOfferSetup);
  const Setup answered = answer.value_or(kDefaultAnswerSetup);
  if (!is_allowed_answer(offered, answered)) {
    std::string text = "a=setup:";
    text.append(setup_name(answered)).append(answer ? "" : " (the default)");
    text.append(" is no answer to a=setup:").append(setup_name(offered));
    text.append(offer ? "" : " (the default)").append(": refuse the answer");
    return fail(Category::malformed, std::move(text), Place{"SDP", "a=setup", "RFC 4145 4.1", 0});
  }
  if (answered == Setup::holdconn) return TcpActive::nobody;
  return answered == Setup::active ? TcpActive::answerer : TcpActive::offerer;
}

}  // namespace keystub::sdp
