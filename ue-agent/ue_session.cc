// One session, step by step.
#include "ue-agent/ue_session.h"

#include "ue-agent/document_io.h"

namespace keystub::ue {

namespace {

// A user answers a few offers in a minute, not thousands in a second.
constexpr std::size_t kReplayCapacity = 4096;

replay::Options replay_options(const UeConfig& config) {
  replay::Options options;
  options.skew = config.replay_skew;
  options.capacity = kReplayCapacity;
  return options;
}

}  // namespace

Result<void> create_replay_memory(const UeConfig& config) {
  return replay::ReplayWindow::create(config.replay_file, replay_options(config));
}

UeSession::UeSession(const mikey::Environment& env, const UeConfig& config, Reporter& reporter,
                     SessionOptions options)
    : env_(env),
      config_(config),
      reporter_(reporter),
      options_(std::move(options)),
      deadline_(env.clock.steady_now() + options_.timeout) {}

Result<void> UeSession::offer(TicketSource& tickets, OfferOptions options,
                              const std::filesystem::path& offer_out,
                              const std::filesystem::path& answer_in) {
  const auto listener = TRY(MediaListener::open(config_.media_listen));
  OfferProcedure procedure(env_, config_, tickets, reporter_, std::move(options));
  const auto sdp_offer = TRY(procedure.make_offer(listener.local()));
  TRY(write_document(offer_out, sdp_offer, env_.clock, deadline_));
  const auto sdp_answer = TRY(read_document(answer_in, env_.clock, deadline_));
  return run_media(TRY(procedure.accept_answer(sdp_answer)), listener);
}

Result<void> UeSession::answer(TicketResolver& resolver, AnswerOptions options,
                               const std::filesystem::path& offer_in,
                               const std::filesystem::path& answer_out) {
  const auto listener = TRY(MediaListener::open(config_.media_listen));
  const auto sdp_offer = TRY(read_document(offer_in, env_.clock, deadline_));
  auto answer = TRY(answer_once(resolver, std::move(options), sdp_offer, listener.local()));
  TRY(write_document(answer_out, answer.sdp, env_.clock, deadline_));
  return run_media(std::move(answer.plan), listener);
}

Result<Answer> UeSession::answer_once(TicketResolver& resolver, AnswerOptions options,
                                      std::string_view sdp_offer,
                                      const service::SocketAddress& local) {
  // Open only while it is asked: another answer of the same user may come meanwhile.
  const auto seen =
      TRY(replay::ReplayWindow::open(config_.replay_file, env_.clock, replay_options(config_)));
  if (seen->memory() == replay::Memory::lost) {
    reporter_.event("replay memory lost",
                    {{"because", seen->lost_because()}, {"file", config_.replay_file.string()}});
  }
  AnswerProcedure procedure(env_, config_, resolver, *seen, reporter_, std::move(options));
  return procedure.answer(sdp_offer, local);
}

Result<void> UeSession::run_media(MediaPlan plan, const MediaListener& listener) {
  if (options_.no_media) {
    reporter_.event("lab fault", {{"what", "no media: the session ends here"}});
    return {};
  }
  if (options_.wrong_psk) {
    plan.key.psk = TRY(env_.random.secret<PskTag>(plan.key.psk.size()));
    reporter_.event("lab fault", {{"what", "TLS gets another key than the agreed one"}});
  }
  if (options_.connect_to) {
    plan.active = true;
    plan.remote = *options_.connect_to;
    reporter_.event("lab fault", {{"what", "connecting to a stream that is not ours"},
                                  {"remote", plan.remote.to_string()}});
  }
  const auto profile = TRY(tlspsk::Profile::create(config_.cipher_suites, env_.random));
  MediaConnection connection({env_.clock, env_.random, reporter_, deadline_}, profile,
                             std::move(plan), options_.script);
  return connection.run(listener);
}

}  // namespace keystub::ue
