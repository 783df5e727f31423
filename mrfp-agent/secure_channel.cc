#include "mrfp-agent/secure_channel.h"

#include <array>

namespace keystub::mrfp {

namespace {

constexpr std::size_t kPlainOctets = 16 * 1024;

std::string seconds(std::chrono::milliseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

SecureChannel::SecureChannel(EventLoop& loop, SocketAddress remote, const ChannelTimeouts& timeouts,
                             Owner& owner)
    : remote_(std::move(remote)),
      timeouts_(timeouts),
      owner_(owner),
      timeout_(loop, [this] { on_timeout(); }) {}

Result<std::unique_ptr<SecureChannel>> SecureChannel::connect(EventLoop& loop,
                                                              const std::string& local_ip,
                                                              const SocketAddress& remote,
                                                              const ChannelTimeouts& timeouts,
                                                              Owner& owner) {
  std::unique_ptr<SecureChannel> channel(new SecureChannel(loop, remote, timeouts, owner));
  channel->tcp_ = TRY(TcpConnection::connect(loop, local_ip, remote, *channel));
  channel->timeout_.start(timeouts.connect);
  return channel;
}

Result<std::unique_ptr<SecureChannel>> SecureChannel::accept(EventLoop& loop, FileDescriptor socket,
                                                             const SocketAddress& remote,
                                                             const ChannelTimeouts& timeouts,
                                                             Owner& owner) {
  std::unique_ptr<SecureChannel> channel(new SecureChannel(loop, remote, timeouts, owner));
  channel->tcp_ = TRY(TcpConnection::adopt(loop, std::move(socket), remote, *channel));
  channel->timeout_.start(timeouts.handshake);
  return channel;
}

void SecureChannel::secure(std::shared_ptr<const tlspsk::Profile> profile, tlspsk::Role role,
                           const tlspsk::KeyRing& keys) {
  if (ended_ || engine_) return;
  profile_ = std::move(profile);
  role_ = role;
  keys_ = &keys;
  if (tcp_->connected()) begin_tls();
}

void SecureChannel::keys_changed() {
  if (ended_ || !engine_) return;
  if (!engine_->keys_changed()) return end_from_engine();
  advance();
}

const std::optional<tlspsk::SessionInfo>& SecureChannel::session() const noexcept {
  static const std::optional<tlspsk::SessionInfo> kNone;
  return engine_ ? engine_->session() : kNone;
}

void SecureChannel::set_reading(bool reading) {
  if (ended_ || reading == reading_) return;
  reading_ = reading;
  // Inside on_channel_data the loop of read_plain() sees the change itself.
  if (reading && secured_ && !in_read_) read_plain();
  if (!ended_) update_tcp_reading();
}

void SecureChannel::send(Bytes plain) {
  if (ended_ || !secured_) return;
  // A failure here is one of the engine's state and comes back with the next input.
  (void)engine_->write(plain);
  flush();
}

void SecureChannel::keep() { timeout_.cancel(); }

void SecureChannel::close() {
  if (ended_) return;
  ended_ = true;
  timeout_.cancel();
  if (engine_) {
    engine_->close();
    flush();
  }
  TcpConnection::retire(std::move(tcp_));
}

void SecureChannel::on_tcp_connected() {
  timeout_.start(timeouts_.handshake);
  if (profile_) begin_tls();
}

void SecureChannel::on_tcp_data(Bytes data) {
  const auto fed = engine_->feed(data);
  if (!fed) return end_from_engine();
  advance();
}

void SecureChannel::on_tcp_room() { owner_.on_channel_room(*this); }

void SecureChannel::on_tcp_end() {
  if (!engine_) {
    return end(ChannelEnd::Kind::tcp_failed,
               Error(Category::unavailable, "the peer ended TCP before TLS could start"));
  }
  const auto ended = engine_->feed_end();
  if (!ended) {
    return end(secured_ ? ChannelEnd::Kind::broken : ChannelEnd::Kind::tcp_failed, ended.error());
  }
  end(ChannelEnd::Kind::peer_closed, Error(Category::unavailable, "the peer closed the session"));
}

void SecureChannel::on_tcp_failure(Error error) {
  end(secured_ ? ChannelEnd::Kind::broken : ChannelEnd::Kind::tcp_failed, std::move(error));
}

void SecureChannel::begin_tls() {
  auto engine = tlspsk::Engine::create(profile_, role_, *keys_);
  if (!engine) return end(ChannelEnd::Kind::tls_failed, std::move(engine).error());
  engine_ = std::move(*engine);
  if (const auto started = engine_->start(); !started) {
    return end(ChannelEnd::Kind::tls_failed, started.error());
  }
  advance();
}

// After anything that may have moved the engine on.
void SecureChannel::advance() {
  flush();
  if (!secured_ && engine_->state() == tlspsk::State::established) {
    secured_ = true;
    owner_.on_channel_secured(*this);
    if (ended_) return;
  }
  if (secured_ && reading_ && !in_read_) read_plain();
  if (!ended_) update_tcp_reading();
}

void SecureChannel::read_plain() {
  std::array<std::uint8_t, kPlainOctets> plain;
  in_read_ = true;
  while (reading_ && !ended_) {
    const auto got = engine_->read(plain);
    if (!got) {
      end_from_engine();
      break;
    }
    if (*got == 0) {
      if (engine_->state() == tlspsk::State::closed) {
        end(ChannelEnd::Kind::peer_closed,
            Error(Category::unavailable, "the peer closed the session"));
      }
      break;
    }
    owner_.on_channel_data(*this, Bytes(plain).first(*got));
  }
  in_read_ = false;
  // Reading may have made output: an answer to a KeyUpdate, or an alert.
  if (!ended_) flush();
}

void SecureChannel::flush() {
  ByteVector wire;
  engine_->take_output(wire);
  tcp_->send(std::move(wire));
}

void SecureChannel::update_tcp_reading() {
  const bool wanted = engine_ && engine_->wants_input() && (!secured_ || reading_);
  tcp_->set_reading(wanted);
}

void SecureChannel::on_timeout() {
  if (!tcp_->connected()) {
    return end(ChannelEnd::Kind::tcp_failed,
               Error(Category::unavailable, "cannot connect to " + remote_.to_string() +
                                                ": no answer for " + seconds(timeouts_.connect)));
  }
  std::string text = "the TLS handshake took longer than " + seconds(timeouts_.handshake);
  if (!engine_) {
    text = "TLS was not asked for within " + seconds(timeouts_.handshake);
  } else if (engine_->state() == tlspsk::State::waiting_for_key) {
    text = "no key came for this stream within " + seconds(timeouts_.handshake);
  }
  end(ChannelEnd::Kind::tls_failed, Error(Category::unavailable, std::move(text)));
}

void SecureChannel::end(ChannelEnd::Kind kind, Error error) {
  if (ended_) return;
  ended_ = true;
  timeout_.cancel();
  // An alert or close_notify goes out before TCP ends.
  if (engine_) flush();
  TcpConnection::retire(std::move(tcp_));
  owner_.on_channel_end(*this, ChannelEnd{kind, std::move(error)});
}

void SecureChannel::end_from_engine() {
  const bool withdrawn = engine_->error() && engine_->error()->category() == Category::denied;
  end(secured_ && !withdrawn ? ChannelEnd::Kind::broken : ChannelEnd::Kind::tls_failed,
      *engine_->error());
}

}  // namespace keystub::mrfp
