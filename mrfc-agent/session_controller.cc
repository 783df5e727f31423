#include "mrfc-agent/session_controller.h"

#include <fmt/format.h>

namespace keystub::mrfc {
namespace {

constexpr std::size_t kSessionIdOctets = 16;
constexpr std::size_t kDialogIdOctets = 8;

std::unexpected<Error> no_session(const std::string& session_id) {
  return fail(Category::not_found, fmt::format("there is no session {}", session_id));
}

}  // namespace

Result<std::string> SessionController::open(std::string& trace_id,
                                            const std::shared_ptr<Slot>& slot) {
  std::string session_id = to_hex(TRY(with_.env.random.bytes(kSessionIdOctets)));
  if (trace_id.empty()) trace_id = session_id;
  auto opened = with_.sessions.open(session_id, trace_id);
  if (!opened && opened.error().category() == Category::busy) {
    // A caller that never releases must not block the others: what is over makes room.
    for (const std::string& ended : with_.sessions.ended()) {
      static_cast<void>(release(ended, {}));
    }
    opened = with_.sessions.open(session_id, trace_id);
  }
  TRY(std::move(opened));
  const std::scoped_lock lock(mutex_);
  slots_.emplace(session_id, slot);
  return session_id;
}

std::shared_ptr<SessionController::Slot> SessionController::find(
    const std::string& session_id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = slots_.find(session_id);
  return found == slots_.end() ? nullptr : found->second;
}

void SessionController::end(const std::string& session_id, Slot& slot, MediaState state,
                            const std::string& detail, const std::string& trace_id) {
  const auto status = with_.sessions.find(session_id);
  const std::string& trace = trace_id.empty() && status ? status->trace_id : trace_id;
  slot.over = true;
  slot.dial_out.reset();
  with_.sessions.move_all(session_id, state, detail);
  for (const StreamKey& stream : with_.sessions.streams(session_id)) {
    with_.releases.release(stream, trace);
  }
  with_.sessions.remove(session_id);
  const std::scoped_lock lock(mutex_);
  slots_.erase(session_id);
}

Result<CreatedOffer> SessionController::create_offer(OfferRequest request) {
  const auto slot = std::make_shared<Slot>();
  const std::scoped_lock step(slot->mutex);
  request.session_id = TRY(open(request.trace_id, slot));
  const std::string session_id = request.session_id;
  const std::string trace_id = request.trace_id;
  auto started = DialOut::start(with_, std::move(request));
  if (!started) {
    end(session_id, *slot, MediaState::failed, started.error().text(), trace_id);
    return std::unexpected(std::move(started).error());
  }
  slot->dial_out = std::move(*started);
  CreatedOffer created;
  created.session_id = session_id;
  created.sdp_offer = slot->dial_out->sdp_offer();
  created.key_source = with_.policy.key_source;
  if (const auto status = with_.sessions.find(session_id)) {
    created.conference_id = status->conference_id;
  }
  return created;
}

Result<SessionStatus> SessionController::accept_answer(const std::string& session_id,
                                                       const AnswerRequest& answer) {
  const auto slot = find(session_id);
  if (slot == nullptr) return no_session(session_id);
  const std::scoped_lock step(slot->mutex);
  if (slot->over) return no_session(session_id);
  if (slot->dial_out == nullptr) {
    return fail(Category::conflict,
                fmt::format("session {} is a dial-in: the answer was ours", session_id));
  }
  auto accepted = slot->dial_out->accept(answer);
  if (!accepted) {
    if (slot->dial_out->aborted()) {
      end(session_id, *slot, MediaState::failed, accepted.error().text(), answer.trace_id);
    }
    return std::unexpected(std::move(accepted).error());
  }
  auto status = with_.sessions.find(session_id);
  if (!status) return no_session(session_id);
  status->dialog_id = answer.dialog_id;
  return std::move(*status);
}

Result<AcceptedOffer> SessionController::accept_offer(IncomingOffer offer) {
  const auto slot = std::make_shared<Slot>();
  const std::scoped_lock step(slot->mutex);
  offer.session_id = TRY(open(offer.trace_id, slot));
  const std::string session_id = offer.session_id;
  const std::string trace_id = offer.trace_id;
  auto answered = [&]() -> Result<std::string> {
    offer.dialog_id = to_hex(TRY(with_.env.random.bytes(kDialogIdOctets)));
    return DialIn(with_, std::move(offer)).run();
  }();
  if (!answered) {
    end(session_id, *slot, MediaState::failed, answered.error().text(), trace_id);
    return std::unexpected(std::move(answered).error());
  }
  auto status = with_.sessions.find(session_id);
  if (!status) return no_session(session_id);
  return AcceptedOffer{std::move(*status), std::move(*answered)};
}

Result<void> SessionController::release_because(const std::string& session_id,
                                                const std::string& detail,
                                                const std::string& trace_id) {
  const auto slot = find(session_id);
  if (slot == nullptr) return no_session(session_id);
  const std::scoped_lock step(slot->mutex);
  if (slot->over) return no_session(session_id);
  end(session_id, *slot, MediaState::released, detail, trace_id);
  return {};
}

Result<void> SessionController::release(const std::string& session_id,
                                        const std::string& trace_id) {
  return release_because(session_id, "released by the controller", trace_id);
}

std::size_t SessionController::cut(const KeyRevocation& revocation) {
  std::size_t ended = 0;
  const std::string detail = fmt::format("cut: the KMS revoked {}", revocation.what());
  for (const std::string& session_id : with_.sessions.cut_by(revocation)) {
    if (release_because(session_id, detail, {})) ++ended;
  }
  return ended;
}

void SessionController::release_all() {
  for (const SessionStatus& session : with_.sessions.list()) {
    // One that ended meanwhile is what we want.
    static_cast<void>(release(session.session_id, session.trace_id));
  }
}

void SessionController::on_media_event(const MediaEvent& event) {
  switch (event.kind) {
    case MediaEvent::Kind::established:
      with_.sessions.move(event.stream, MediaState::established, event.detail);
      return;
    case MediaEvent::Kind::tcp_failure:
      with_.sessions.move(event.stream, MediaState::failed, "TCP: " + event.detail);
      return;
    case MediaEvent::Kind::tls_failure:
      with_.sessions.move(event.stream, MediaState::failed, "TLS: " + event.detail);
      return;
    case MediaEvent::Kind::released:
      with_.sessions.move(event.stream, MediaState::released, event.detail);
      return;
  }
}

std::vector<StreamKey> SessionController::expected_streams() const {
  return with_.sessions.all_streams();
}

void SessionController::on_streams_lost(const std::vector<StreamKey>& streams) {
  for (const StreamKey& stream : streams) {
    with_.sessions.move(stream, MediaState::failed, "the MRFP does not have the stream any more");
  }
}

void SessionController::on_gateway_back() { with_.releases.retry(); }

}  // namespace keystub::mrfc
