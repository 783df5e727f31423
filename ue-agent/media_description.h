// The one MSRP m-line of our offers and answers: TCP/TLS/MSRP with a=key-mgmt (RFC 4975 8, RFC
// 4145, RFC 4567).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "msrp/uri.h"
#include "sdp/session_description.h"
#include "service/config.h"

namespace keystub::ue {

struct MediaDescription {
  service::SocketAddress address;
  sdp::Setup setup = sdp::Setup::actpass;  // never holdconn: that asks for no connection
  msrp::Path path;
  std::vector<std::string> accept_types;
  std::vector<std::string> key_mgmt;  // values of a=key-mgmt, of the media or else of the session
};

// The first m-line that is TCP/TLS/MSRP and not rejected. denied: there is none, or it carries no
// a=key-mgmt or no msrps path, or asks for no connection: never anything less protected.
Result<MediaDescription> read_offer(const sdp::SessionDescription& offer);
// As read_offer, with the shape of an answer to `offer` and a role that suits it (RFC 4145 4.1).
Result<MediaDescription> read_answer(const sdp::SessionDescription& offer,
                                     const sdp::SessionDescription& answer);

// `session_id` is that of the o-line.
Result<sdp::SessionDescription> make_offer(const MediaDescription& media, std::uint64_t session_id);
// The other m-lines of `offer` are rejected. Call after read_offer().
Result<sdp::SessionDescription> make_answer(const sdp::SessionDescription& offer,
                                            const MediaDescription& media,
                                            std::uint64_t session_id);

// What to answer to an offered role; `preferred` decides where both are possible (else: active).
// denied where the offer leaves no such choice.
Result<sdp::Setup> choose_setup(sdp::Setup offered, std::optional<sdp::Setup> preferred);

}  // namespace keystub::ue
