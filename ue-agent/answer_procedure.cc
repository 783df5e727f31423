// The responder's part.
#include "ue-agent/answer_procedure.h"

#include "mikey/key_mgmt_attribute.h"
#include "ue-agent/key_agreement.h"

namespace keystub::ue {

AnswerProcedure::AnswerProcedure(const mikey::Environment& env, const UeConfig& config,
                                 TicketResolver& resolver, replay::ReplayWindow& seen,
                                 Reporter& reporter, AnswerOptions options)
    : env_(env),
      config_(config),
      resolver_(resolver),
      seen_(seen),
      reporter_(reporter),
      options_(std::move(options)) {}

Result<void> AnswerProcedure::check_skew(const mikey::Timestamp& t) const {
  if (!t.is_time()) {
    return fail(Category::malformed, "the offer's timestamp is a counter, not a time");
  }
  const auto difference = t.to_wall_time() - env_.clock.now();
  if (difference > config_.replay_skew || difference < -config_.replay_skew) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(difference).count();
    return fail(Category::expired, "the offer's time differs from our clock by " +
                                       std::to_string(seconds) + " s: set the clocks right");
  }
  return {};
}

Result<mikey::VerifiedTransfer> AnswerProcedure::authenticate(
    const mikey::ReceivedTransfer& received) {
  // What the message itself rules out costs no call to the KMS.
  mikey::ResponderProfile profile;
  profile.own_identities = {config_.identity()};
  TRY(received.check_early(profile, env_.clock.now()));
  TRY(check_skew(received.t()));
  report_policy(reporter_, "ticket received", received.claimed_policy());

  auto resolved = TRY(resolver_.resolve(received.ticket()));
  reporter_.event("ticket resolved", {{"for", resolved.idr_r ? resolved.idr_r->data : config_.uri},
                                      {"keys", resolved.session_keys.size()}});
  auto verified = TRY(received.verify(std::move(resolved), config_.identity()));
  if (!options_.from.empty() && verified.initiator().data != options_.from) {
    return fail(Category::denied, "the ticket is " + verified.initiator().data +
                                      "'s, but the caller is " + options_.from);
  }
  // Only what is genuine is remembered (RFC 3830 5.4), and before the answer leaves. [3830-5.4-05]
  TRY(seen_.admit(replay::tag_of(received.mac()), received.t().to_wall_time()));
  return verified;
}

Result<Answer> AnswerProcedure::answer(std::string_view sdp_offer,
                                       const service::SocketAddress& local) {
  const auto offer = TRY(sdp::SessionDescription::parse(sdp_offer));
  const auto offered = TRY(read_offer(offer));
  const sdp::Setup setup = TRY(choose_setup(offered.setup, options_.setup));

  const std::vector<std::string_view> values(offered.key_mgmt.begin(), offered.key_mgmt.end());
  const auto key_mgmt = TRY(mikey::read_key_mgmt(values));
  const auto received = TRY(mikey::ReceivedTransfer::parse(key_mgmt.message));
  TRY(mikey::check_sdp_ids(received.message(), key_mgmt.protocol_list));
  const auto verified = TRY(authenticate(received));

  mikey::ResponseParameters parameters;
  parameters.responder = config_.identity();
  const auto transfer = TRY(verified.respond(env_, std::move(parameters)));

  Answer answer;
  answer.plan.active = setup == sdp::Setup::active;
  answer.plan.remote = offered.address;
  answer.plan.local_uri = TRY(make_msrp_uri(local, env_.random));
  answer.plan.remote_path = offered.path;
  answer.plan.key = TRY(stream_key(transfer.established));
  const MediaDescription media{.address = local,
                               .setup = setup,
                               .path = {answer.plan.local_uri},
                               .accept_types = config_.accept_types,
                               .key_mgmt = {mikey::format_key_mgmt(transfer.message)}};
  answer.sdp = TRY(make_answer(offer, media, TRY(make_session_id(env_.random)))).to_string();
  reporter_.event("answer made", {{"caller", transfer.established.peer.data},
                                  {"our_role", sdp::setup_name(setup)},
                                  {"transfer_resp_octets", transfer.message.size()},
                                  {"psk_identity", answer.plan.key.identity},
                                  {"psk_bits", answer.plan.key.psk.bits()}});
  return answer;
}

}  // namespace keystub::ue
