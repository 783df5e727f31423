#include "mrfc-agent/dial_in.h"

#include <algorithm>

#include <fmt/format.h>

#include "mrfc-agent/reserve.h"

namespace keystub::mrfc {

Result<std::string> DialIn::run() {
  const std::string self = TRY(serving_identity(with_.policy, offer_.parties.served));
  description_ = TRY(read_description(offer_.sdp));
  TRY(choose_media());
  // What costs nothing first, for all m-lines, then the KMS, then the MRFP.
  for (Leg& leg : legs_) TRY(check_early(leg));
  for (Leg& leg : legs_) TRY(resolve(leg, self));

  std::string conference_id = offer_.conference_id;
  for (Leg& leg : legs_) {
    leg.stream = TRY(
        reserve_msrp(with_, offer_.session_id, leg.remote->index, conference_id, offer_.trace_id));
    TRY(respond(leg, self));
  }
  for (const RemoteMedia& remote : description_.media) {
    const bool served = std::ranges::any_of(
        legs_, [&](const Leg& leg) { return leg.remote->index == remote.index; });
    if (served) continue;
    with_.sessions.add_media(offer_.session_id, {.index = remote.index,
                                                 .kind = MediaKind::msrp,
                                                 .state = MediaState::rejected,
                                                 .roles = {}});
  }
  with_.sessions.set_peer(offer_.session_id, offer_.dialog_id,
                          legs_.front().answer->established.peer.data);
  std::string sdp_answer = TRY(answer());
  // MRFC-R4, last: keys go out only once nothing else can fail.
  for (const Leg& leg : legs_) TRY(configure(leg));
  return sdp_answer;
}

Result<void> DialIn::choose_media() {
  for (const RemoteMedia& remote : description_.media) TRY(choose(remote));
  if (legs_.empty()) {
    return fail(Category::denied,
                with_.policy.media_security
                    ? "the offer has no m-line of MSRP over TLS with a=key-mgmt:mikey: nothing "
                      "else is served"
                    : "media security is configured off: secured media are rejected, and nothing "
                      "else is served (media.security)");
  }
  return {};
}

// Makes a leg of an m-line that can be served; others are left to be rejected.
Result<void> DialIn::choose(const RemoteMedia& remote) {
  // MRFC-B7: off means rejected. An m-line without key management stays without: never downgraded,
  // and never upgraded behind the caller's back.
  if (!with_.policy.media_security || remote.port == 0 || !remote.is_secured_msrp()) return {};
  const bool session_level = remote.key_mgmt.empty();
  const auto& values = session_level ? description_.session_key_mgmt : remote.key_mgmt;
  if (values.empty()) return {};

  const std::string where = fmt::format("m-line {}", remote.index);
  if (session_level &&
      std::ranges::any_of(legs_, [](const Leg& leg) { return leg.session_level; })) {
    // One TRANSFER_INIT has one crypto session, which can protect one m-line only.
    return fail(Category::denied, where +
                                      ": the session-level a=key-mgmt is used by another "
                                      "m-line already");
  }
  Leg leg;
  leg.remote = &remote;
  leg.session_level = session_level;
  leg.setup = TRY(answer_setup(remote.setup, with_.policy.prefer_active));
  leg.roles = TRY(msrp_roles_when_answering(leg.setup));
  if (remote.msrp_path.empty()) {
    return fail(Category::malformed, where + ": a=path is missing (RFC 4975 8.2)");
  }
  if (leg.roles.tcp_client && remote.ip.empty()) {
    return fail(Category::malformed, where + ": c= gives no literal address to connect to");
  }
  auto key_mgmt = mikey::read_key_mgmt(std::vector<std::string_view>(values.begin(), values.end()));
  if (!key_mgmt) return std::unexpected(std::move(key_mgmt).error().with_context(where));
  leg.key_mgmt = std::move(*key_mgmt);
  legs_.push_back(std::move(leg));
  return {};
}

// MRFC-R1, MRFC-I4 and the clock half of MRFC-R5: what needs no call.
Result<void> DialIn::check_early(Leg& leg) const {
  const WallTime now = with_.env.clock.now();
  leg.received = TRY(mikey::ReceivedTransfer::parse(leg.key_mgmt.message));
  TRY(mikey::check_sdp_ids(leg.received->message(), leg.key_mgmt.protocol_list));
  TRY(check_skew(with_.policy, leg.received->t(), now));
  return leg.received->check_early(responder_profile(with_.policy), now);
}

// MRFC-R2 and the memory half of MRFC-R5.
Result<void> DialIn::resolve(Leg& leg, const std::string& self) const {
  // Before the KMS is asked: what it revokes after its answer finds the session here.
  with_.sessions.set_key_origin(offer_.session_id, leg.remote->index,
                                TRY(key_origin(leg.received->ticket(), {self})));
  auto resolved = with_.keys.resolve_ticket(self, leg.received->ticket(), offer_.trace_id);
  if (!resolved) {
    return std::unexpected(std::move(resolved).error().with_context("resolve the ticket"));
  }
  if (resolved->idr_r && *resolved->idr_r != mikey::Identity::uri(self)) {
    return fail(Category::denied, fmt::format("the KMS bound the keys to {}, we serve {}",
                                              resolved->idr_r->data, self));
  }
  leg.verified = TRY(leg.received->verify(std::move(*resolved), mikey::Identity::uri(self)));
  TRY(check_caller(leg.verified->initiator(), offer_.parties));
  // RFC 3830 5.4: only what is verified enters the window, or anybody could fill it. [3830-5.4-05]
  return with_.replay.admit(replay::tag_of(leg.received->mac()), leg.received->t().to_wall_time());
}

// MRFC-R3.
Result<void> DialIn::respond(Leg& leg, const std::string& self) const {
  leg.answer = TRY(leg.verified->respond(
      with_.env, {.responder = mikey::Identity::uri(self), .sessions = {}, .policies = {}}));
  if (leg.answer->message.empty()) {
    return fail(Category::denied,
                "the ticket forbids a TRANSFER_RESP (F = 0), which the answer "
                "needs");
  }
  return {};
}

// MRFC-R4 and B2, B3, B5: the key goes out in the same step as the TCP start. A TLS server waits
// for the ClientHello.
Result<void> DialIn::configure(const Leg& leg) const {
  const mikey::EstablishedTransfer& established = leg.answer->established;
  const mikey::EstablishedSession& session = established.sessions.front();
  StreamConfiguration configuration;
  if (leg.roles.tcp_client) configuration.remote = {leg.remote->ip, leg.remote->port};
  configuration.roles = leg.roles;
  configuration.keys.push_back(
      {with_.policy.psk_identity.format(established.csb_id, session.cs_id, established.mac),
       session.tek.retag<PskTag>(), offer_.dialog_id});
  configuration.cipher_suites = with_.policy.cipher_suites;
  configuration.remote_msrp_path = leg.remote->msrp_path;
  with_.sessions.set_csb_id(offer_.session_id, leg.remote->index, established.csb_id);
  with_.sessions.set_roles(offer_.session_id, leg.remote->index, leg.roles);
  with_.sessions.move(offer_.session_id, leg.remote->index, MediaState::connecting, {});
  TRY(with_.media.configure(leg.stream.key, configuration, offer_.trace_id));
  if (leg.roles.tcp_client || leg.roles.tls_client) {
    TRY(with_.media.start(leg.stream.key, leg.roles, offer_.trace_id));
  }
  return {};
}

// RFC 3264 6: an m-line for each of the offer.
Result<std::string> DialIn::answer() const {
  std::vector<std::optional<LocalMedia>> media(description_.media.size());
  Bytes session_key_mgmt;
  for (const Leg& leg : legs_) {
    LocalMedia local;
    local.address = leg.stream.local;
    local.msrp_path = leg.stream.msrp_path;
    local.accept_types = with_.policy.accept_types;
    local.setup = leg.setup;
    // At the level of the offer.
    (leg.session_level ? session_key_mgmt : local.key_mgmt) = leg.answer->message;
    media[leg.remote->index] = std::move(local);
  }
  return write_answer(description_, legs_.front().answer->established.csb_id, media,
                      session_key_mgmt);
}

}  // namespace keystub::mrfc
