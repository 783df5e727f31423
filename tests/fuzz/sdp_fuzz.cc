// Fuzzes the SDP reader (RFC 8866): what was read is written and read again without a change, every
// typed value that reads can be written, and an answer can be made to every offer.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "sdp/offer_answer.h"
#include "sdp/session_description.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keystub;
  using namespace keystub::sdp;
  const auto parsed = SessionDescription::parse(as_text(Bytes(data, size)));
  if (!parsed) {
    require(!parsed.error().describe().empty());
    return 0;
  }
  const std::string text = parsed->to_string();
  Limits no_limits;
  no_limits.max_octets = text.size();  // CRLF may have made it longer than what was read
  const auto again = SessionDescription::parse(text, no_limits);
  require(again.has_value() && *again == *parsed && again->to_string() == text);

  SessionDescription changed = *parsed;
  require(changed.set_origin(parsed->origin().value()).has_value());
  for (std::size_t i = 0; i < parsed->media().size(); ++i) {
    require(changed.media()[i].set_media_line(parsed->media()[i].media_line()).has_value());
    static_cast<void>(parsed->setup(i));
    static_cast<void>(parsed->connection_use(i));
    static_cast<void>(parsed->key_mgmt(i));
    static_cast<void>(parsed->media()[i].path());
    static_cast<void>(parsed->media()[i].accept_types());
    if (const auto connection = parsed->connection(i)) {
      require(changed.media()[i].set_connection(*connection).has_value());
      require(changed.connection(i).value() == *connection);
    }
    require(changed.media()[i].set_attribute("setup", "active").has_value());
    require(changed.setup(i).value() == Setup::active);
  }
  const auto answer = make_rejecting_answer(*parsed, {"-", "1", "1", "IN", "IP4", "192.0.2.1"});
  require(answer.has_value() && check_answer(*parsed, *answer).has_value());
  return 0;
}
