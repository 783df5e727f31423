#include "mrfc-agent/session_sdp.h"

#include <arpa/inet.h>

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "mikey/key_mgmt_attribute.h"
#include "sdp/offer_answer.h"

namespace keystub::mrfc {
namespace {

constexpr std::string_view kKeyMgmt = "key-mgmt";

bool is_literal_address(const std::string& text) {
  std::array<std::uint8_t, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

std::vector<std::string> owned(const std::vector<std::string_view>& values) {
  return {values.begin(), values.end()};
}

Result<RemoteMedia> read_media(const sdp::SessionDescription& description, std::size_t index) {
  const sdp::MediaSection& section = description.media()[index];
  RemoteMedia media;
  media.index = static_cast<std::uint32_t>(index);
  media.media = section.media_line().media;
  media.transport = section.media_line().proto;
  media.port = section.media_line().port;
  if (!media.is_secured_msrp() || media.port == 0) return media;
  const sdp::Connection connection = TRY(description.connection(index));
  if (is_literal_address(connection.address)) media.ip = connection.address;
  media.setup = TRY(description.setup(index));
  media.msrp_path = fmt::format("{}", fmt::join(section.path(), " "));
  media.key_mgmt = owned(section.attributes(kKeyMgmt));
  return media;
}

sdp::Origin origin_of(std::uint32_t session_number, const std::string& ip) {
  const sdp::Connection at = sdp::Connection::to(ip);
  sdp::Origin origin;
  origin.session_id = std::to_string(session_number);
  origin.session_version = "1";
  origin.address_type = at.address_type;
  origin.address = at.address;
  return origin;
}

// What stands under an m-line of MSRP over TLS. No a=fingerprint: the pre-shared key takes the
// place of certificates.
Result<void> describe(sdp::MediaSection& section, const LocalMedia& media) {
  TRY(section.set_connection(sdp::Connection::to(media.address.ip)));
  TRY(section.add_attribute("accept-types", fmt::format("{}", fmt::join(media.accept_types, " "))));
  TRY(section.add_attribute("path", media.msrp_path));
  TRY(section.add_attribute("setup", sdp::setup_name(media.setup)));
  if (!media.key_mgmt.empty()) {
    TRY(section.add_attribute(kKeyMgmt, mikey::format_key_mgmt(media.key_mgmt)));
  }
  return {};
}

}  // namespace

Result<RemoteDescription> read_description(std::string_view text) {
  RemoteDescription description;
  description.sdp = TRY(sdp::SessionDescription::parse(text));
  description.session_key_mgmt = owned(description.sdp.session().attributes(kKeyMgmt));
  for (std::size_t index = 0; index < description.sdp.media().size(); ++index) {
    auto media = read_media(description.sdp, index);
    if (!media) {
      return std::unexpected(
          std::move(media).error().with_context(fmt::format("m-line {}", index)));
    }
    description.media.push_back(std::move(*media));
  }
  return description;
}

Result<std::string> write_offer(std::uint32_t session_number,
                                const std::vector<LocalMedia>& media) {
  const std::string& ip = media.front().address.ip;
  auto offer =
      TRY(sdp::SessionDescription::make(origin_of(session_number, ip), sdp::Connection::to(ip)));
  for (const LocalMedia& local : media) {
    sdp::MediaLine line;
    line.media = "message";
    line.port = local.address.port;
    line.proto = kTcpTlsMsrp;
    line.formats = {"*"};
    auto section = TRY(sdp::MediaSection::make(line));
    TRY(describe(section, local));
    offer.media().push_back(std::move(section));
  }
  return offer.to_string();
}

Result<std::string> write_answer(const RemoteDescription& offer, std::uint32_t session_number,
                                 const std::vector<std::optional<LocalMedia>>& media,
                                 Bytes session_key_mgmt) {
  std::string ip;
  for (const auto& local : media) {
    if (local && ip.empty()) ip = local->address.ip;
  }
  auto answer = TRY(sdp::make_rejecting_answer(offer.sdp, origin_of(session_number, ip),
                                               sdp::Connection::to(ip)));
  if (!session_key_mgmt.empty()) {
    TRY(answer.session().add_attribute(kKeyMgmt, mikey::format_key_mgmt(session_key_mgmt)));
  }
  for (std::size_t index = 0; index < media.size(); ++index) {
    if (!media[index]) continue;
    sdp::MediaSection& section = answer.media()[index];
    sdp::MediaLine line = section.media_line();
    line.port = media[index]->address.port;
    TRY(section.set_media_line(line));
    TRY(describe(section, *media[index]));
  }
  return answer.to_string();
}

}  // namespace keystub::mrfc
