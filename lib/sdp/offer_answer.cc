#include "sdp/offer_answer.h"

#include <algorithm>

namespace keystub::sdp {
namespace {

std::unexpected<Error> bad_answer(std::string text) {
  return fail(Category::malformed, std::move(text), Place{"SDP answer", "m=", "RFC 3264 6", 0});
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

Result<SessionDescription> make_rejecting_answer(const SessionDescription& offer,
                                                 const Origin& origin,
                                                 const std::optional<Connection>& connection) {
  SessionDescription answer = TRY(SessionDescription::make(origin, connection));
  // RFC 3264 6: the time of the answer is that of the offer.
  // Repetitions stay with the t= that they belong to, so all of them are copied in their order.
  const auto is_time = [](const Line& line) { return line.type == 't' || line.type == 'r'; };
  if (std::ranges::any_of(offer.session().lines(), is_time)) {
    answer.session().remove_lines('t');
    for (const Line& line : offer.session().lines()) {
      if (is_time(line)) TRY(answer.session().add_line(line.type, line.value));
    }
  }
  for (const MediaSection& offered : offer.media()) {
    MediaLine line = offered.media_line();
    line.port = 0;
    line.ports.reset();
    answer.media().push_back(TRY(MediaSection::make(line)));
  }
  return answer;
}

Result<void> check_answer(const SessionDescription& offer, const SessionDescription& answer) {
  if (offer.media().size() != answer.media().size()) {
    return bad_answer("the answer has " + std::to_string(answer.media().size()) +
                      " m-lines, the offer has " + std::to_string(offer.media().size()) +
                      ": every offered stream needs its m-line in the answer");
  }
  for (std::size_t i = 0; i < offer.media().size(); ++i) {
    const MediaLine& offered = offer.media()[i].media_line();
    const MediaLine& answered = answer.media()[i].media_line();
    const std::string which = "m-line " + std::to_string(i + 1) + " of the answer ";
    if (!equal_ignoring_case(offered.media, answered.media)) {
      return bad_answer(which + "is about other media than the offer's");
    }
    if (!equal_ignoring_case(offered.proto, answered.proto)) {
      return bad_answer(which + "names another protocol than the offer's");
    }
    if (offered.port == 0 && answered.port != 0) {
      return bad_answer(which + "takes a stream that the offer has ended (port 0)");
    }
  }
  return {};
}

}  // namespace keystub::sdp
