// Reading and writing the MSRP m-line over lib/sdp.
#include "ue-agent/media_description.h"

#include "sdp/offer_answer.h"

namespace keystub::ue {

namespace {

constexpr std::string_view kMedia = "message";
constexpr std::string_view kTransport = "TCP/TLS/MSRP";

std::unexpected<Error> denied(std::string text) { return fail(Category::denied, std::move(text)); }

// The position of our m-line.
Result<std::size_t> find_media(const sdp::SessionDescription& description) {
  bool rejected = false;
  for (std::size_t index = 0; index < description.media().size(); ++index) {
    const auto& line = description.media()[index].media_line();
    if (line.media != kMedia || line.proto != kTransport) continue;
    if (line.port != 0) return index;
    rejected = true;
  }
  if (rejected) return denied("the other side rejected the protected media (port 0)");
  return denied("there is no m=message with TCP/TLS/MSRP: unprotected media is not accepted");
}

Result<MediaDescription> read_media(const sdp::SessionDescription& description, std::size_t index,
                                    sdp::Setup default_setup) {
  const auto& section = description.media()[index];
  MediaDescription media;
  media.address.ip = TRY(description.connection(index)).address;
  media.address.port = section.media_line().port;
  media.setup = TRY(description.setup(index)).value_or(default_setup);
  if (media.setup == sdp::Setup::holdconn) return denied("a=setup:holdconn asks for no connection");
  for (const auto value : description.key_mgmt(index)) media.key_mgmt.emplace_back(value);
  if (media.key_mgmt.empty()) {
    return denied("the media has no a=key-mgmt: unprotected media is not accepted");
  }
  const auto path = description.attribute(index, "path");
  if (!path) return fail(Category::malformed, "the MSRP media has no a=path");
  media.path = TRY(msrp::parse_path(*path));
  if (!media.path.back().secure) return denied("a=path is not msrps: MSRP without TLS is refused");
  media.accept_types = section.accept_types();
  return media;
}

Result<void> write_media(sdp::MediaSection& section, const MediaDescription& media) {
  auto line = section.media_line();
  line.port = media.address.port;
  TRY(section.set_media_line(line));
  TRY(section.set_connection(sdp::Connection::to(media.address.ip)));
  std::string accept_types;
  for (const auto& type : media.accept_types) {
    accept_types += (accept_types.empty() ? "" : " ") + type;
  }
  TRY(section.add_attribute("accept-types", accept_types));
  TRY(section.add_attribute("path", msrp::format_path(media.path)));
  TRY(section.add_attribute("setup", sdp::setup_name(media.setup)));
  TRY(section.add_attribute("connection", "new"));
  for (const auto& value : media.key_mgmt) TRY(section.add_attribute("key-mgmt", value));
  return {};
}

sdp::Origin make_origin(const MediaDescription& media, std::uint64_t session_id) {
  const auto connection = sdp::Connection::to(media.address.ip);
  sdp::Origin origin;
  origin.session_id = std::to_string(session_id);
  origin.session_version = "1";
  origin.address_type = connection.address_type;
  origin.address = connection.address;
  return origin;
}

}  // namespace

Result<MediaDescription> read_offer(const sdp::SessionDescription& offer) {
  return read_media(offer, TRY(find_media(offer)), sdp::kDefaultOfferSetup);
}

Result<MediaDescription> read_answer(const sdp::SessionDescription& offer,
                                     const sdp::SessionDescription& answer) {
  TRY(sdp::check_answer(offer, answer));
  const auto index = TRY(find_media(answer));
  auto media = TRY(read_media(answer, index, sdp::kDefaultAnswerSetup));
  TRY(sdp::tcp_active(TRY(offer.setup(index)), TRY(answer.setup(index))));
  return media;
}

Result<sdp::SessionDescription> make_offer(const MediaDescription& media,
                                           std::uint64_t session_id) {
  auto offer = TRY(sdp::SessionDescription::make(make_origin(media, session_id)));
  sdp::MediaLine line;
  line.media = kMedia;
  line.port = media.address.port;
  line.proto = kTransport;
  line.formats = {"*"};
  offer.media().push_back(TRY(sdp::MediaSection::make(line)));
  TRY(write_media(offer.media().back(), media));
  return offer;
}

Result<sdp::SessionDescription> make_answer(const sdp::SessionDescription& offer,
                                            const MediaDescription& media,
                                            std::uint64_t session_id) {
  const auto index = TRY(find_media(offer));
  auto answer = TRY(sdp::make_rejecting_answer(offer, make_origin(media, session_id),
                                               sdp::Connection::to(media.address.ip)));
  TRY(write_media(answer.media()[index], media));
  return answer;
}

Result<sdp::Setup> choose_setup(sdp::Setup offered, std::optional<sdp::Setup> preferred) {
  const auto chosen =
      sdp::choose_answer(offered, preferred.value_or(sdp::Setup::active) == sdp::Setup::active);
  if (preferred && chosen != *preferred) {
    return denied("the offer is " + std::string(sdp::setup_name(offered)) + ": to answer " +
                  std::string(sdp::setup_name(*preferred)) + " is not possible");
  }
  return chosen;
}

}  // namespace keystub::ue
