#include "mrfp-agent/media_stream.h"

#include <algorithm>

namespace keystub::mrfp {

namespace {

constexpr std::size_t kSessionIdOctets = 12;
constexpr std::size_t kPlainOctets = 16 * 1024;
// Strangers at the port must not fill the event history: further failures are only logged.
constexpr int kMaxFailuresTold = 16;

std::unique_ptr<SecureChannel> take(std::vector<std::unique_ptr<SecureChannel>>& channels,
                                    const SecureChannel& channel) {
  const auto found =
      std::ranges::find_if(channels, [&](const auto& entry) { return entry.get() == &channel; });
  if (found == channels.end()) return nullptr;
  std::unique_ptr<SecureChannel> taken = std::move(*found);
  channels.erase(found);
  return taken;
}

// To walk over channels while callbacks take some out. What is taken out lives until the end of
// the loop's turn, and says ended().
std::vector<SecureChannel*> snapshot(const std::vector<std::unique_ptr<SecureChannel>>& channels) {
  std::vector<SecureChannel*> pointers;
  pointers.reserve(channels.size());
  for (const auto& channel : channels) pointers.push_back(channel.get());
  return pointers;
}

}  // namespace

MediaStream::MediaStream(const StreamEnvironment& environment, StreamName name, MessageRelay& relay,
                         Observer& observer)
    : environment_(environment),
      name_(std::move(name)),
      relay_(relay),
      observer_(observer),
      setup_timer_(environment.loop,
                   [this] {
                     end("not established within " +
                         std::to_string(environment_.settings.setup_timeout.count() / 1000) + " s");
                   }),
      idle_timer_(environment.loop, [this] { on_idle(); }),
      msrp_timer_(environment.loop,
                  [this] {
                    if (endpoint_) endpoint_->on_time();
                    pump();
                  }),
      pump_timer_(environment.loop, [this] { pump(); }) {
  relay_.add(*this);
}

MediaStream::~MediaStream() {
  if (!ended_) relay_.remove(*this);
}

Result<std::unique_ptr<MediaStream>> MediaStream::reserve(const StreamEnvironment& environment,
                                                          StreamName name,
                                                          const SocketAddress& local,
                                                          MessageRelay& relay, Observer& observer) {
  std::unique_ptr<MediaStream> stream(
      new MediaStream(environment, std::move(name), relay, observer));
  stream->listener_ = TRY(TcpListener::open(environment.loop, local, *stream));
  stream->local_ = stream->listener_->local();
  msrp::Uri& uri = stream->local_uri_;
  uri.secure = true;
  uri.host = stream->local_.ip;
  uri.port = stream->local_.port;
  uri.session_id = to_hex(TRY(environment.random.bytes(kSessionIdOctets)));
  stream->setup_timer_.start(environment.settings.setup_timeout);
  return stream;
}

Result<void> MediaStream::configure(StreamConfiguration configuration) {
  if (tcp_started_ || tls_started_ || active_ != nullptr) {
    return fail(Category::conflict, "the stream has been started: only Modify changes it now");
  }
  if (configuration.tcp_role == TcpRole::client) {
    if (!configuration.remote || configuration.remote->port == 0) {
      return fail(Category::malformed, "a TCP client needs the remote address and port");
    }
    const SystemAddress remote = TRY(to_system(*configuration.remote));
    if (remote.family() != TRY(to_system(local_)).family()) {
      return fail(Category::malformed, "the remote address " + configuration.remote->ip +
                                           " is not of the family of the local one, " + local_.ip);
    }
  }
  TRY(keys_.replace(std::exchange(configuration.keys, {})));
  configuration_ = std::move(configuration);
  new_endpoint();
  if (configuration_->tcp_role == TcpRole::client) {
    listener_->set_accepting(false);
    for (SecureChannel* channel : snapshot(channels_)) drop(*channel);
    return {};
  }
  listener_->set_accepting(true);
  for (SecureChannel* channel : snapshot(channels_)) secure_if_ready(*channel);
  return {};
}

Result<void> MediaStream::start(bool tcp, bool tls) {
  if (!configuration_) {
    return fail(Category::conflict, "the stream is not configured yet");
  }
  if (!tcp && !tls) return fail(Category::malformed, "neither TCP nor TLS is to be started");
  if (tcp && configuration_->tcp_role != TcpRole::client) {
    return fail(Category::conflict, "the stream is TCP server: its peer connects");
  }
  if (tls && configuration_->tls_role != tlspsk::Role::client) {
    return fail(Category::conflict, "the stream is TLS server: its peer starts TLS");
  }
  if ((tcp && tcp_started_) || (tls && tls_started_)) {
    return fail(Category::conflict, "this has been started already");
  }
  if (tls && keys_.only() == nullptr) {
    return fail(Category::conflict, "a TLS client needs exactly one key, this stream has " +
                                        std::to_string(keys_.size()));
  }
  if (tls) tls_started_ = true;
  if (tcp) {
    tcp_started_ = true;
    environment_.loop.dispose(std::move(listener_));
    auto channel = SecureChannel::connect(environment_.loop, local_.ip, *configuration_->remote,
                                          environment_.settings.channel, *this);
    if (!channel) {
      // Told as an event too: the request was right, the network is not.
      tcp_failed(channel.error(), true);
      end(channel.error().text());
      return {};
    }
    channels_.push_back(std::move(*channel));
  }
  for (SecureChannel* channel : snapshot(channels_)) secure_if_ready(*channel);
  return {};
}

Result<void> MediaStream::modify(std::optional<std::vector<tlspsk::Candidate>> keys,
                                 std::optional<msrp::Path> remote_path) {
  if (!configuration_) {
    return fail(Category::conflict, "the stream is not configured yet");
  }
  if (keys) {
    if (keys->empty()) return fail(Category::malformed, "no key is left: release the stream");
    TRY(keys_.replace(std::move(*keys)));
  }
  if (remote_path) {
    configuration_->remote_path = std::move(*remote_path);
    endpoint_->set_remote(configuration_->remote_path);
  }
  if (keys) {
    for (SecureChannel* channel : snapshot(channels_)) {
      if (!ended_) channel->keys_changed();
    }
  }
  if (ended_) return {};
  promote_parked();
  settle_on_active();
  bind_session();
  schedule();
  return {};
}

void MediaStream::end(const std::string& reason) {
  if (ended_) return;
  flush();
  ended_ = true;
  setup_timer_.cancel();
  idle_timer_.cancel();
  msrp_timer_.cancel();
  pump_timer_.cancel();
  relay_.remove(*this);
  if (endpoint_) endpoint_->close();
  if (listener_) {
    listener_->set_accepting(false);
    environment_.loop.dispose(std::move(listener_));
  }
  deactivate();
  for (SecureChannel* channel : snapshot(channels_)) drop(*channel);
  (void)keys_.replace({});
  environment_.log.info("stream ended", {{"trace_id", name_.trace_id},
                                         {"stream", name_.stream_id},
                                         {"reason", reason},
                                         {"octets_received", octets_received_},
                                         {"octets_sent", octets_sent_}});
  observer_.on_stream_ended(*this, reason);
}

StreamState MediaStream::state() const noexcept {
  if (active_ != nullptr) return StreamState::established;
  if (!configuration_) return StreamState::reserved;
  return channels_.empty() ? StreamState::configured : StreamState::connecting;
}

std::optional<SocketAddress> MediaStream::remote() const {
  if (active_ != nullptr) return active_->remote();
  return configuration_ ? configuration_->remote : std::nullopt;
}

const std::optional<tlspsk::SessionInfo>& MediaStream::session() const noexcept {
  static const std::optional<tlspsk::SessionInfo> kNone;
  return active_ != nullptr ? active_->session() : kNone;
}

void MediaStream::on_tcp_accepted(FileDescriptor socket, const SocketAddress& remote) {
  if (!make_room_for_connection()) return;
  auto channel = SecureChannel::accept(environment_.loop, std::move(socket), remote,
                                       environment_.settings.channel, *this);
  if (!channel) return;
  channels_.push_back(std::move(*channel));
  secure_if_ready(*channels_.back());
}

void MediaStream::on_channel_secured(SecureChannel& channel) {
  (channel.session()->tls_version == "TLSv1.3" ? environment_.metrics.handshakes_tls13
                                               : environment_.metrics.handshakes_tls12)
      .add();
  channel.keep();
  if (active_ == nullptr) activate(channel);
}

void MediaStream::on_channel_data(SecureChannel& channel, Bytes plain) {
  if (&channel != active_) return;
  octets_received_ += plain.size();
  environment_.metrics.octets_received.add(static_cast<double>(plain.size()));
  last_activity_ = environment_.loop.clock().steady_now();
  if (const auto received = endpoint_->receive(plain); !received) {
    return end("MSRP: " + received.error().describe());
  }
  pump();
}

void MediaStream::on_channel_room(SecureChannel& channel) {
  if (&channel == active_) pump();
}

void MediaStream::on_channel_end(SecureChannel& channel, const ChannelEnd& end_of_channel) {
  if (auto taken = take(channels_, channel)) environment_.loop.dispose(std::move(taken));
  if (ended_) return;
  const bool was_active = &channel == active_;
  if (was_active) deactivate();
  const Error& error = end_of_channel.error;
  const bool is_client = configuration_ && configuration_->tcp_role == TcpRole::client;
  switch (end_of_channel.kind) {
    case ChannelEnd::Kind::tcp_failed:
      tcp_failed(error, is_client);
      if (is_client) end(error.text());
      return;
    case ChannelEnd::Kind::tls_failed: {
      // The session's own key was withdrawn, or a handshake failed.
      const bool final = is_client || (was_active && !can_be_reached());
      tls_failed(error, final);
      if (final) return end(error.text());
      if (was_active) setup_timer_.start(environment_.settings.setup_timeout);
      return;
    }
    case ChannelEnd::Kind::peer_closed:
    case ChannelEnd::Kind::broken:
      if (was_active) end(error.text());
      return;  // a parked one just goes
  }
}

void MediaStream::secure_if_ready(SecureChannel& channel) {
  if (!configuration_) return;
  if (configuration_->tls_role == tlspsk::Role::client && !tls_started_) return;
  channel.secure(configuration_->profile, configuration_->tls_role, keys_);
}

void MediaStream::activate(SecureChannel& channel) {
  active_ = &channel;
  if (std::exchange(was_active_, true)) {
    relay_.reset(*this);
    new_endpoint();
  }
  setup_timer_.cancel();
  last_activity_ = environment_.loop.clock().steady_now();
  if (environment_.settings.idle_timeout.count() != 0) {
    idle_timer_.start(environment_.settings.idle_timeout);
  }
  const tlspsk::SessionInfo& session = *channel.session();
  environment_.metrics.established.add(1);
  environment_.log.info("stream established", {{"trace_id", name_.trace_id},
                                               {"stream", name_.stream_id},
                                               {"remote", channel.remote().to_string()},
                                               {"tls_version", session.tls_version},
                                               {"cipher_suite", session.cipher_suite},
                                               {"psk_identity", session.psk_identity},
                                               {"dialog", session.dialog_id}});
  observer_.on_stream_established(*this, session);
  settle_on_active();
  bind_session();
  schedule();
}

void MediaStream::deactivate() {
  if (std::exchange(active_, nullptr) == nullptr) return;
  environment_.metrics.established.add(-1);
  idle_timer_.cancel();
}

// One key is left and its session stands: nobody else can become this stream.
void MediaStream::settle_on_active() {
  if (active_ == nullptr || keys_.only() == nullptr) return;
  if (listener_) {
    listener_->set_accepting(false);
    environment_.loop.dispose(std::move(listener_));
  }
  for (SecureChannel* channel : snapshot(channels_)) {
    if (channel != active_) drop(*channel);
  }
}

void MediaStream::promote_parked() {
  if (active_ != nullptr) return;
  const auto parked = std::ranges::find_if(
      channels_, [](const auto& channel) { return channel->session().has_value(); });
  if (parked != channels_.end()) activate(**parked);
}

void MediaStream::drop(SecureChannel& channel) {
  channel.close();
  if (auto taken = take(channels_, channel)) environment_.loop.dispose(std::move(taken));
}

// The oldest connection that proved nothing yet makes way for a new one: who only occupies places
// is gone before the right peer runs out of patience.
bool MediaStream::make_room_for_connection() {
  const std::size_t pending = channels_.size() - (active_ != nullptr ? 1 : 0);
  if (pending < environment_.settings.max_pending_connections) return true;
  const auto oldest = std::ranges::find_if(channels_, [&](const auto& channel) {
    return channel.get() != active_ && !channel->session().has_value();
  });
  if (oldest == channels_.end()) return false;
  drop(**oldest);
  return true;
}

void MediaStream::new_endpoint() {
  if (endpoint_) endpoint_->close();
  endpoint_ = std::make_unique<msrp::Endpoint>(
      local_uri_, configuration_->remote_path,
      relay_.endpoint_settings(environment_.settings.max_message_octets), environment_.loop.clock(),
      environment_.random, relay_.listener(*this));
  bound_ = false;
}

// RFC 4975 5.4: the active side sends first, an empty SEND if it has nothing to say.
void MediaStream::bind_session() {
  if (bound_ || active_ == nullptr || configuration_->tcp_role != TcpRole::client ||
      configuration_->remote_path.empty()) {
    return;
  }
  bound_ = endpoint_->send({}, {}).has_value();
}

bool MediaStream::can_be_reached() const noexcept {
  return listener_ != nullptr || !channels_.empty();
}

void MediaStream::tcp_failed(const Error& error, bool final) {
  environment_.metrics.tcp_failures.add();
  environment_.log.info(
      "TCP failed",
      {{"trace_id", name_.trace_id}, {"stream", name_.stream_id}, {"reason", error.describe()}});
  if (final || ++failures_told_ <= kMaxFailuresTold) {
    observer_.on_stream_tcp_failure(*this, error, final);
  }
}

void MediaStream::tls_failed(const Error& error, bool final) {
  environment_.metrics.tls_failures.add();
  environment_.log.warning(
      "TLS failed",
      {{"trace_id", name_.trace_id}, {"stream", name_.stream_id}, {"reason", error.describe()}});
  if (final || ++failures_told_ <= kMaxFailuresTold) {
    observer_.on_stream_tls_failure(*this, error, final);
  }
}

void MediaStream::schedule() {
  if (!ended_ && !pump_timer_.running()) pump_timer_.start(std::chrono::milliseconds(0));
}

// Writes what can be written, and reads on or holds the peer back.
void MediaStream::pump() {
  flush();
  if (ended_ || active_ == nullptr) return;
  arm_msrp_timer();
  active_->set_reading(!endpoint_->wants_pause() && relay_.may_read(*this));
}

void MediaStream::flush() {
  if (ended_ || active_ == nullptr) return;
  ByteVector plain;
  bool wrote = false;
  while (active_ != nullptr && active_->queued() < environment_.settings.queue_octets &&
         endpoint_->has_output()) {
    plain.clear();
    if (!endpoint_->write(plain, kPlainOctets) || plain.empty()) break;
    octets_sent_ += plain.size();
    environment_.metrics.octets_sent.add(static_cast<double>(plain.size()));
    active_->send(plain);
    wrote = true;
  }
  if (!wrote) return;
  last_activity_ = environment_.loop.clock().steady_now();
  relay_.drained(*this);
}

void MediaStream::arm_msrp_timer() {
  const auto deadline = endpoint_->next_deadline();
  if (!deadline) return msrp_timer_.cancel();
  if (!msrp_timer_.running() || msrp_timer_.due() != *deadline) msrp_timer_.start_at(*deadline);
}

void MediaStream::on_idle() {
  const auto idle_since = environment_.loop.clock().steady_now() - last_activity_;
  if (idle_since >= environment_.settings.idle_timeout) {
    return end("idle for " + std::to_string(environment_.settings.idle_timeout.count() / 1000) +
               " s");
  }
  idle_timer_.start_at(last_activity_ + environment_.settings.idle_timeout);
}

}  // namespace keystub::mrfp
