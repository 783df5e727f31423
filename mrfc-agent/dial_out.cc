#include "mrfc-agent/dial_out.h"

#include <algorithm>

#include <fmt/format.h>

#include "mikey/key_mgmt_attribute.h"
#include "mrfc-agent/peer_identity.h"
#include "mrfc-agent/reserve.h"

namespace keystub::mrfc {
namespace {

// Dialogs of one offer whose keys are kept until the final answer.
constexpr std::size_t kMaxDialogs = 16;
constexpr std::size_t kMaxMedia = 8;

std::vector<std::string_view> views(const std::vector<std::string>& values) {
  return {values.begin(), values.end()};
}

std::vector<PskCandidate> clone(const std::vector<PskCandidate>& candidates) {
  std::vector<PskCandidate> out;
  out.reserve(candidates.size());
  for (const PskCandidate& candidate : candidates) out.push_back(candidate.clone());
  return out;
}

}  // namespace

Result<std::unique_ptr<DialOut>> DialOut::start(const Collaborators& with, OfferRequest request) {
  if (!with.policy.media_security) {
    return fail(Category::denied,
                "media security is configured off: there is nothing to offer "
                "(media.security)");
  }
  if (request.media.empty() || request.media.size() > kMaxMedia) {
    return fail(Category::malformed, fmt::format("an offer has 1 to {} media", kMaxMedia));
  }
  if (request.parties.claimed_peer.empty()) {
    return fail(Category::malformed, "claimed_peer is missing: whom is the offer for?");
  }
  const std::string self = TRY(serving_identity(with.policy, request.parties.served));
  std::string invited = TRY(user_identity(request.parties.claimed_peer));
  std::unique_ptr<DialOut> session(new DialOut(with, std::move(request), std::move(invited)));
  TRY(session->prepare(self));
  return session;
}

Result<void> DialOut::prepare(const std::string& self) {
  std::string conference_id = request_.conference_id;
  std::vector<LocalMedia> media;
  for (std::uint32_t index = 0; index < request_.media.size(); ++index) {
    Leg leg;
    leg.index = index;
    leg.stream =
        TRY(reserve_msrp(with_, request_.session_id, index, conference_id, request_.trace_id));

    auto granted = TRY(ticket(self));
    mikey::OfferParameters parameters;
    parameters.initiator = mikey::Identity::uri(self);
    parameters.responder = mikey::Identity::uri(invited_);
    // MRFC-I2: exactly one crypto session, of type TLS, without SP payload.
    parameters.sessions = mikey::tls_session(granted->session_keys, with_.policy.prot_type);
    parameters.sdp_ids = mikey::kKeyMgmtProtocol;
    parameters.csb_ids_in_use = with_.sessions.csb_ids();
    leg.offer =
        TRY(mikey::TransferOffer::start(with_.env, std::move(granted), std::move(parameters)));
    with_.sessions.set_csb_id(request_.session_id, index, leg.offer->csb_id());
    const auto message = TRY(mikey::Message::parse(leg.offer->message()));
    with_.sessions.set_key_origin(request_.session_id, index,
                                  TRY(key_origin(*message.ticket, {self, invited_})));

    LocalMedia local;
    local.address = leg.stream.local;
    local.msrp_path = leg.stream.msrp_path;
    local.accept_types =
        request_.media[index].empty() ? with_.policy.accept_types : request_.media[index];
    local.setup = Setup::actpass;
    media.push_back(std::move(local));
    legs_.push_back(std::move(leg));
  }
  for (std::size_t i = 0; i < legs_.size(); ++i) media[i].key_mgmt = legs_[i].offer->message();
  sdp_offer_ = TRY(write_offer(legs_.front().offer->csb_id(), media));
  return {};
}

// MRFC-I3: the KMS issues the ticket for us, or we issue it ourselves; never as the user.
Result<std::shared_ptr<const mikey::GrantedTicket>> DialOut::ticket(const std::string& self) {
  mikey::TicketPolicy wish = TRY(offered_ticket_policy(with_.policy, with_.env, self, invited_));
  if (with_.policy.key_source == KeySource::kms_issued) {
    auto granted = with_.keys.request_ticket(self, wish, request_.trace_id);
    if (!granted) {
      return std::unexpected(std::move(granted).error().with_context("request a ticket"));
    }
    // Key forking is what binds the keys to the one who answers (MRFC-I7).
    if (!granted->policy.flags.has(mikey::TicketFlag::i_forking)) {
      return fail(Category::denied, "the KMS granted a ticket without key forking");
    }
    // The KMS may narrow the wish; a ticket that leaves out the Request-URI is of no use (I7).
    if (!granted->policy.names_responder(invited_)) {
      return fail(Category::denied,
                  fmt::format("the KMS granted a ticket that {} may not resolve", invited_));
    }
    return std::make_shared<const mikey::GrantedTicket>(std::move(*granted));
  }
  if (with_.self_issue == nullptr) {
    return fail(Category::internal, "mode 3 without a ticket protection key");
  }
  auto issued = mikey::issue_ticket(with_.env, std::move(wish), *with_.self_issue);
  if (!issued) return std::unexpected(std::move(issued).error().with_context("issue a ticket"));
  return std::make_shared<const mikey::GrantedTicket>(std::move(*issued));
}

Result<void> DialOut::accept(const AnswerRequest& answer) {
  if (aborted_ || answered_) {
    return fail(Category::conflict,
                fmt::format("session {} {}", request_.session_id,
                            aborted_ ? "was aborted" : "has its final answer already"));
  }
  auto judged = judge(answer);
  if (!judged) {
    aborted_ = answer.final;
    return std::unexpected(std::move(judged).error().with_context("answer"));
  }
  std::string peer;
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    if (!(*judged)[i].rejected) peer = (*judged)[i].peer;
    Result<void> applied = answer.final ? apply_final(legs_[i], std::move((*judged)[i]))
                                        : apply_provisional(legs_[i], std::move((*judged)[i]));
    if (!applied) {
      aborted_ = true;
      return applied;
    }
  }
  if (answer.final) {
    answered_ = true;
    with_.sessions.set_peer(request_.session_id, answer.dialog_id, peer);
    // The ticket's keys and those of the other dialogs are wiped here.
    for (Leg& leg : legs_) {
      leg.offer.reset();
      leg.candidates.clear();
    }
  }
  return {};
}

// All of the answer, before anything of it is acted upon.
Result<std::vector<DialOut::Judged>> DialOut::judge(const AnswerRequest& answer) const {
  const RemoteDescription description = TRY(read_description(answer.sdp));
  if (description.media.size() != legs_.size()) {
    return fail(Category::malformed,
                fmt::format("the answer has {} m-lines, the offer had {} (RFC 3264 6)",
                            description.media.size(), legs_.size()));
  }
  std::vector<Judged> judged;
  std::string peer;
  for (const Leg& leg : legs_) {
    Judged media = TRY(judge_media(leg, description, answer));
    if (!media.rejected) {
      if (!peer.empty() && peer != media.peer) {
        return fail(Category::denied,
                    fmt::format("{} and {} answer in one dialog", peer, media.peer));
      }
      peer = media.peer;
    }
    judged.push_back(std::move(media));
  }
  return judged;
}

Result<DialOut::Judged> DialOut::judge_media(const Leg& leg, const RemoteDescription& description,
                                             const AnswerRequest& answer) const {
  Judged judged;
  judged.remote = description.media[leg.index];
  const RemoteMedia& remote = judged.remote;
  if (remote.port == 0) {
    judged.rejected = true;
    return judged;
  }
  const std::string where = fmt::format("m-line {}", leg.index);
  if (!remote.is_secured_msrp()) {
    return fail(Category::denied,
                fmt::format("{}: {} {} answers an offer of {}: protection is not negotiable", where,
                            remote.media, remote.transport, kTcpTlsMsrp));
  }
  judged.roles = TRY(msrp_roles_when_answered(remote.setup.value_or(sdp::kDefaultAnswerSetup)));
  if (remote.msrp_path.empty()) {
    return fail(Category::malformed, where + ": a=path is missing (RFC 4975 8.2)");
  }
  if (judged.roles.tcp_client && remote.ip.empty()) {
    return fail(Category::malformed, where + ": c= gives no literal address to connect to");
  }

  // Answered at media level as it was offered; a peer that moved it to session level is understood.
  const auto& values = remote.key_mgmt.empty() ? description.session_key_mgmt : remote.key_mgmt;
  auto key_mgmt = mikey::read_key_mgmt(views(values));
  if (!key_mgmt) return std::unexpected(std::move(key_mgmt).error().with_context(where));
  auto accepted = leg.offer->accept(key_mgmt->message);
  if (!accepted) return std::unexpected(std::move(accepted).error().with_context(where));
  TRY(check_responder(with_.policy, leg.offer->ticket().policy, accepted->peer,
                      answer.asserted_peer, invited_));
  if (accepted->sessions.size() != 1) {
    return fail(Category::malformed, where +
                                         ": the answer has more than the one crypto session "
                                         "that was offered");
  }
  const mikey::EstablishedSession& session = accepted->sessions.front();
  judged.peer = accepted->peer.data;
  judged.key.identity =
      with_.policy.psk_identity.format(accepted->csb_id, session.cs_id, accepted->mac);
  judged.key.psk = session.tek.retag<PskTag>();
  judged.key.dialog_id = answer.dialog_id;
  std::size_t other_dialogs = 0;
  for (const PskCandidate& known : leg.candidates) {
    if (known.dialog_id == answer.dialog_id) continue;
    ++other_dialogs;
    if (known.identity == judged.key.identity) {
      return fail(Category::denied,
                  fmt::format("{}: dialogs {} and {} answer with the same TRANSFER_RESP", where,
                              known.dialog_id, answer.dialog_id));
    }
  }
  if (!answer.final && other_dialogs >= kMaxDialogs) {
    return fail(Category::busy, fmt::format("more than {} dialogs answer one offer", kMaxDialogs));
  }
  return judged;
}

Result<void> DialOut::apply_provisional(Leg& leg, Judged judged) {
  if (judged.rejected) return {};
  std::erase_if(leg.candidates,
                [&](const PskCandidate& known) { return known.dialog_id == judged.key.dialog_id; });
  leg.candidates.push_back(judged.key.clone());
  if (judged.roles.tcp_client) return {};
  if (!leg.configured) return configure(leg, judged, clone(leg.candidates));
  return with_.media.modify(leg.stream.key, leg.candidates, judged.remote.msrp_path,
                            request_.trace_id);
}

Result<void> DialOut::apply_final(Leg& leg, Judged judged) {
  if (judged.rejected) {
    with_.sessions.move(request_.session_id, leg.index, MediaState::rejected,
                        "rejected by the answer");
    with_.sessions.unbind(leg.stream.key);
    with_.releases.release(leg.stream.key, request_.trace_id);
    return {};
  }
  std::vector<PskCandidate> keys;
  keys.push_back(std::move(judged.key));
  if (leg.configured) {
    if (judged.roles.tcp_client) {
      return fail(Category::denied,
                  fmt::format("m-line {}: the final answer is passive after another dialog was "
                              "active: the stream cannot be both server and client",
                              leg.index));
    }
    return with_.media.modify(leg.stream.key, keys, judged.remote.msrp_path, request_.trace_id);
  }
  return configure(leg, judged, std::move(keys));
}

// MRFC-I6, B2, B3, B5.
Result<void> DialOut::configure(Leg& leg, const Judged& judged, std::vector<PskCandidate> keys) {
  StreamConfiguration configuration;
  if (judged.roles.tcp_client) configuration.remote = {judged.remote.ip, judged.remote.port};
  configuration.roles = judged.roles;
  configuration.keys = std::move(keys);
  configuration.cipher_suites = with_.policy.cipher_suites;
  configuration.remote_msrp_path = judged.remote.msrp_path;
  with_.sessions.set_roles(request_.session_id, leg.index, judged.roles);
  with_.sessions.move(request_.session_id, leg.index, MediaState::connecting, {});
  TRY(with_.media.configure(leg.stream.key, configuration, request_.trace_id));
  leg.configured = true;
  if (judged.roles.tcp_client || judged.roles.tls_client) {
    TRY(with_.media.start(leg.stream.key, judged.roles, request_.trace_id));
  }
  return {};
}

}  // namespace keystub::mrfc
