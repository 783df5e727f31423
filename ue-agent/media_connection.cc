// The poll loop between socket, TLS engine and MSRP endpoint.
#include "ue-agent/media_connection.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace keystub::ue {

namespace {

// For the peer's close_notify after ours.
constexpr std::chrono::seconds kClosingTime{2};
constexpr std::size_t kPieceOctets = 16 * 1024;
constexpr std::size_t kMaxShownOctets = 1024;

}  // namespace

MediaConnection::MediaConnection(Context context, std::shared_ptr<const tlspsk::Profile> profile,
                                 MediaPlan plan, MediaScript script)
    : context_(context),
      profile_(std::move(profile)),
      plan_(std::move(plan)),
      script_(std::move(script)),
      msrp_(plan_.local_uri, plan_.remote_path, {}, context_.clock, context_.random, *this) {}

Result<void> MediaConnection::run(const MediaListener& listener) {
  TRY(connect(listener));
  std::vector<tlspsk::Candidate> candidates;
  candidates.push_back(std::move(plan_.key));
  TRY(keys_.replace(std::move(candidates)));
  tls_ = TRY(tlspsk::Engine::create(
      profile_, plan_.active ? tlspsk::Role::client : tlspsk::Role::server, keys_));
  TRY(tls_->start());
  auto played = exchange();
  if (!played) {
    // What is still there may be the alert that tells the peer why.
    if (tls_->state() == tlspsk::State::established) tls_->close();
    std::ignore = flush();
    return played;
  }
  close_in_order();
  return {};
}

Result<void> MediaConnection::connect(const MediaListener& listener) {
  if (plan_.active) {
    socket_ = TRY(connect_tcp(plan_.remote, context_.clock, context_.deadline));
    context_.reporter.event("tcp connected",
                            {{"role", "active"}, {"remote", plan_.remote.to_string()}});
  } else {
    socket_ = TRY(listener.accept(context_.clock, context_.deadline));
    context_.reporter.event("tcp connected",
                            {{"role", "passive"}, {"local", listener.local().to_string()}});
  }
  return {};
}

Result<void> MediaConnection::exchange() {
  for (;;) {
    TRY(send_when_due());
    TRY(flush());
    if (send_result_ && !send_result_->ok()) {
      return fail(Category::denied,
                  "the peer refused the message: " + std::to_string(send_result_->status) + " " +
                      send_result_->comment);
    }
    const bool closed = tls_->state() == tlspsk::State::closed;
    if (script_played() && (closed || (outgoing_.empty() && !msrp_.has_output()))) return {};
    if (closed) {
      return fail(Category::unavailable, "the peer ended TLS before " + what_is_missing());
    }
    const bool readable = tls_->wants_input() && !msrp_.wants_pause();
    const auto events =
        static_cast<short>((readable ? POLLIN : 0) | (outgoing_.empty() ? 0 : POLLOUT));
    const auto wake =
        std::min(context_.deadline, msrp_.next_deadline().value_or(SteadyTime::max()));
    const short came = wait_for(socket_.get(), events, context_.clock, wake);
    if (came == 0) {
      if (context_.clock.steady_now() >= context_.deadline) {
        return fail(Category::unavailable,
                    "the time is over (--timeout) before " + what_is_missing());
      }
      msrp_.on_time();
    }
    if ((came & (POLLIN | POLLHUP | POLLERR)) != 0) TRY(take_input());
  }
}

Result<void> MediaConnection::take_input() {
  std::array<std::uint8_t, kPieceOctets> buffer;
  const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return fail(Category::unavailable, std::string("the connection broke (") +
                                           std::strerror(errno) + ") before " + what_is_missing());
  }
  if (count == 0) {
    TRY(tls_->feed_end());
    return fail(Category::unavailable, "the peer ended the connection before " + what_is_missing());
  }
  TRY(tls_->feed(Bytes(buffer.data(), static_cast<std::size_t>(count))));
  report_session();
  while (const std::size_t plain = TRY(tls_->read(buffer))) {
    TRY(msrp_.receive(Bytes(buffer.data(), plain)));
  }
  return {};
}

Result<void> MediaConnection::flush() {
  for (;;) {
    // Never more than one piece ahead of the socket: answers must not wait behind a long message.
    if (tls_->state() == tlspsk::State::established && outgoing_.empty() && msrp_.has_output()) {
      ByteVector plain;
      TRY(msrp_.write(plain, kPieceOctets));
      TRY(tls_->write(plain));
    }
    tls_->take_output(outgoing_);
    if (outgoing_.empty()) return {};
    const auto count = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EAGAIN) return {};
      if (errno == EINTR) continue;
      // The peer's last words (an alert) may still be unread: reading reports the end.
      outgoing_.clear();
      return {};
    }
    outgoing_.erase(outgoing_.begin(), outgoing_.begin() + count);
  }
}

Result<void> MediaConnection::send_when_due() {
  if (tls_->state() != tlspsk::State::established) return {};
  const bool due = script_.send && !sent_ && received_ >= script_.send_after;
  if (due) {
    sent_ = true;
    msrp::OutgoingMessage message;
    message.content_type = "text/plain";
    message.message_id = TRY(msrp::make_message_id(context_.random));
    sent_id_ = message.message_id;
    TRY(msrp_.send(std::move(message), to_vector(as_bytes(*script_.send))));
    context_.reporter.event("message sent", {{"text", *script_.send}, {"id", sent_id_}});
  } else if (plan_.active && !bound_ && !sent_) {
    // The active side speaks first, if need be without a body (RFC 4975 5.4).
    TRY(msrp_.send({}, {}));
  }
  bound_ = true;
  return {};
}

void MediaConnection::report_session() {
  if (reported_ || !tls_->session()) return;
  reported_ = true;
  const auto& session = *tls_->session();
  context_.reporter.event("tls established", {{"role", plan_.active ? "client" : "server"},
                                              {"version", session.tls_version},
                                              {"suite", session.cipher_suite},
                                              {"psk_identity", session.psk_identity}});
}

msrp::Endpoint::Verdict MediaConnection::on_message(msrp::ReceivedMessage message) {
  ++received_;
  const auto shown = std::min(message.body.size(), kMaxShownOctets);
  context_.reporter.event("message received", {{"text", as_text(Bytes(message.body).first(shown))},
                                               {"content_type", message.content_type},
                                               {"octets", message.body.size()},
                                               {"id", message.origin.message_id}});
  return {};
}

void MediaConnection::on_send_result(const msrp::SendResult& result) {
  if (result.message_id != sent_id_) return;
  send_result_ = result;
  context_.reporter.event("message answered",
                          {{"status", result.status}, {"id", result.message_id}});
}

void MediaConnection::close_in_order() {
  const SteadyTime deadline = context_.clock.steady_now() + kClosingTime;
  tls_->close();
  std::ignore = flush();
  while (tls_->state() == tlspsk::State::closing) {
    if (wait_for(socket_.get(), POLLIN, context_.clock, deadline) == 0) break;
    std::array<std::uint8_t, kPieceOctets> buffer;
    const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count <= 0) break;
    if (!tls_->feed(Bytes(buffer.data(), static_cast<std::size_t>(count)))) break;
    // What is still said is not listened to any more; behind it comes close_notify.
    while (tls_->read(buffer).value_or(0) != 0) {
    }
  }
  context_.reporter.event("tls ended", {{"by_both", tls_->state() == tlspsk::State::closed},
                                        {"messages_received", received_}});
  socket_.reset();
}

bool MediaConnection::script_played() const noexcept {
  return tls_->session() && bound_ && received_ >= script_.expect &&
         (!script_.send || send_result_);
}

std::string MediaConnection::what_is_missing() const {
  if (!tls_->session()) return "the TLS handshake was complete";
  if (received_ < script_.expect) {
    return "all messages were there: " + std::to_string(received_) + " of " +
           std::to_string(script_.expect);
  }
  return "the message was answered";
}

}  // namespace keystub::ue
