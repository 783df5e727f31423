#include "mrfp-agent/media_plane.h"

#include <algorithm>
#include <utility>

namespace keystub::mrfp {

namespace {

constexpr std::size_t kIdOctets = 12;
// Lists that controllers ask for: more would only be permutations.
constexpr std::size_t kMaxProfiles = 32;

Result<void> check_local_path(const MediaStream& stream, const std::string& path) {
  if (path.empty()) return {};
  const msrp::Path parsed = TRY(msrp::parse_path(path));
  if (parsed.size() == 1 && msrp::equivalent(parsed.front(), stream.local_uri())) return {};
  return fail(Category::malformed, "the local MSRP path is " + stream.local_uri().to_string() +
                                       " and cannot be changed");
}

Result<msrp::Path> parse_remote_path(const std::string& path) {
  if (path.empty()) return msrp::Path{};
  auto parsed = msrp::parse_path(path);
  if (!parsed) {
    return std::unexpected(std::move(parsed).error().with_context("remote MSRP path"));
  }
  return parsed;
}

}  // namespace

struct MediaPlane::Context final : Disposable {
  Context(std::size_t queue_octets, service::Counter messages) : relay(queue_octets, messages) {}
  MessageRelay relay;
  std::map<std::string, std::unique_ptr<MediaStream>> streams;
};

MediaPlane::MediaPlane(EventLoop& loop, RandomSource& random, service::Log& log, EventLog& events,
                       const MediaSettings& settings, MediaMetrics metrics)
    : loop_(loop),
      random_(random),
      log_(log),
      events_(events),
      settings_(settings),
      metrics_(metrics) {}

MediaPlane::~MediaPlane() { release_all("the MRFP stops"); }

Result<std::unique_ptr<MediaPlane>> MediaPlane::create(EventLoop& loop, RandomSource& random,
                                                       service::Log& log, EventLog& events,
                                                       const MediaSettings& settings,
                                                       MediaMetrics metrics) {
  std::unique_ptr<MediaPlane> plane(new MediaPlane(loop, random, log, events, settings, metrics));
  plane->default_profile_ = TRY(tlspsk::Profile::create(settings.cipher_suites, random));
  return plane;
}

Result<ReservedStream> MediaPlane::reserve(const ReserveRequest& request) {
  if (streams_ >= settings_.max_streams) {
    return fail(Category::busy,
                "the limit of " + std::to_string(settings_.max_streams) + " streams is reached");
  }
  const std::string ip = request.local_ip.empty() ? settings_.ip : request.local_ip;
  if (is_any(TRY(to_system({ip, 0})))) {
    return fail(Category::malformed, "the local address must be one that peers can connect to");
  }
  std::string context_id = request.context_id;
  Context* context = nullptr;
  std::unique_ptr<Context> fresh;
  if (context_id.empty()) {
    context_id = TRY(new_id());
    fresh = std::make_unique<Context>(settings_.queue_octets, metrics_.messages);
    context = fresh.get();
  } else {
    const auto found = contexts_.find(context_id);
    if (found == contexts_.end()) {
      return fail(Category::not_found, "there is no context " + context_id);
    }
    context = found->second.get();
    if (context->streams.size() >= kMaxLegs) {
      return fail(Category::conflict,
                  "the context has " + std::to_string(kMaxLegs) + " streams already");
    }
  }
  const std::string stream_id = TRY(new_id());
  const StreamName name{context_id, stream_id, request.trace_id};
  auto stream = TRY(reserve_port(name, ip, context->relay));
  ReservedStream reserved{context_id, name.stream_id, stream->local(),
                          stream->local_uri().to_string()};
  log_.info("stream reserved", {{"trace_id", name.trace_id},
                                {"context", context_id},
                                {"stream", name.stream_id},
                                {"local", reserved.local.to_string()}});
  context->streams.emplace(name.stream_id, std::move(stream));
  if (fresh) contexts_.emplace(context_id, std::move(fresh));
  ++streams_;
  update_gauges();
  return reserved;
}

Result<void> MediaPlane::configure(const std::string& context_id, const std::string& stream_id,
                                   ConfigureRequest request) {
  MediaStream& stream = *TRY(find(context_id, stream_id));
  TRY(check_local_path(stream, request.msrp_local_path));
  StreamConfiguration configuration;
  configuration.tcp_role = request.tcp_role;
  configuration.tls_role = request.tls_role;
  configuration.remote = std::move(request.remote);
  configuration.profile = TRY(profile_for(request.cipher_suites));
  configuration.keys = std::move(request.keys);
  configuration.remote_path = TRY(parse_remote_path(request.msrp_remote_path));
  return stream.configure(std::move(configuration));
}

Result<void> MediaPlane::start(const std::string& context_id, const std::string& stream_id,
                               bool tcp, bool tls) {
  return TRY(find(context_id, stream_id))->start(tcp, tls);
}

Result<void> MediaPlane::modify(const std::string& context_id, const std::string& stream_id,
                                ModifyRequest request) {
  MediaStream& stream = *TRY(find(context_id, stream_id));
  TRY(check_local_path(stream, request.msrp_local_path));
  std::optional<std::vector<tlspsk::Candidate>> keys;
  if (!request.keys.empty()) keys = std::move(request.keys);
  std::optional<msrp::Path> remote_path;
  if (!request.msrp_remote_path.empty()) {
    remote_path = TRY(parse_remote_path(request.msrp_remote_path));
  }
  return stream.modify(std::move(keys), std::move(remote_path));
}

Result<void> MediaPlane::release(const std::string& context_id, const std::string& stream_id) {
  static const std::string kReason = "released by the controller";
  if (!stream_id.empty()) {
    TRY(find(context_id, stream_id))->end(kReason);
    return {};
  }
  const auto found = contexts_.find(context_id);
  if (found == contexts_.end()) {
    return fail(Category::not_found, "there is no context " + context_id);
  }
  std::vector<MediaStream*> streams;
  for (const auto& [id, stream] : found->second->streams) streams.push_back(stream.get());
  for (MediaStream* stream : streams) stream->end(kReason);
  return {};
}

void MediaPlane::release_all(const std::string& reason) {
  std::vector<MediaStream*> streams;
  for (const auto& [context_id, context] : contexts_) {
    for (const auto& [id, stream] : context->streams) streams.push_back(stream.get());
  }
  for (MediaStream* stream : streams) stream->end(reason);
}

std::vector<StreamStatus> MediaPlane::list() const {
  std::vector<StreamStatus> all;
  all.reserve(streams_);
  for (const auto& [context_id, context] : contexts_) {
    for (const auto& [id, stream] : context->streams) {
      all.push_back(
          {stream->name(), stream->state(), stream->local(), stream->remote(), stream->session()});
    }
  }
  return all;
}

void MediaPlane::on_stream_established(MediaStream& stream, const tlspsk::SessionInfo& session) {
  tell(stream, session);
}

void MediaPlane::on_stream_tcp_failure(MediaStream& stream, const Error& error, bool final) {
  tell(stream, TcpFailed{error.text(), final});
}

void MediaPlane::on_stream_tls_failure(MediaStream& stream, const Error& error, bool final) {
  tell(stream, TlsFailed{error.text(), final});
}

void MediaPlane::on_stream_ended(MediaStream& stream, const std::string& reason) {
  tell(stream, Released{reason, stream.octets_received(), stream.octets_sent()});
  const auto context = contexts_.find(stream.name().context_id);
  if (context == contexts_.end()) return;
  const auto found = context->second->streams.find(stream.name().stream_id);
  if (found == context->second->streams.end()) return;
  // The stream before its context: it refers to the context's relay.
  loop_.dispose(std::move(found->second));
  context->second->streams.erase(found);
  if (context->second->streams.empty()) {
    loop_.dispose(std::move(context->second));
    contexts_.erase(context);
  }
  --streams_;
  update_gauges();
}

Result<MediaStream*> MediaPlane::find(const std::string& context_id, const std::string& stream_id) {
  const auto context = contexts_.find(context_id);
  if (context == contexts_.end()) {
    return fail(Category::not_found, "there is no context " + context_id);
  }
  const auto stream = context->second->streams.find(stream_id);
  if (stream == context->second->streams.end()) {
    return fail(Category::not_found,
                "there is no stream " + stream_id + " in the context " + context_id);
  }
  return stream->second.get();
}

Result<std::unique_ptr<MediaStream>> MediaPlane::reserve_port(StreamName name,
                                                              const std::string& ip,
                                                              MessageRelay& relay) {
  const StreamEnvironment environment{loop_, random_, log_, settings_, metrics_};
  if (settings_.last_port == 0) {
    return MediaStream::reserve(environment, std::move(name), {ip, 0}, relay, *this);
  }
  // In turn, so that a port rests before it is used again.
  const std::uint32_t count = settings_.last_port - settings_.first_port + 1u;
  std::string last_reason;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(settings_.first_port + next_port_++ % count);
    auto stream = MediaStream::reserve(environment, name, {ip, port}, relay, *this);
    if (stream || stream.error().category() != Category::unavailable) return stream;
    last_reason = stream.error().text();
  }
  return fail(Category::busy, "no media port from " + std::to_string(settings_.first_port) +
                                  " to " + std::to_string(settings_.last_port) +
                                  " can be taken: " + last_reason);
}

Result<std::shared_ptr<const tlspsk::Profile>> MediaPlane::profile_for(
    const std::vector<std::string>& cipher_suites) {
  if (cipher_suites.empty()) return default_profile_;
  for (const std::string& name : cipher_suites) {
    if (std::ranges::find(settings_.cipher_suites, name) == settings_.cipher_suites.end()) {
      return fail(Category::malformed,
                  "the cipher suite \"" + name + "\" is not among those of this MRFP");
    }
  }
  if (const auto found = profiles_.find(cipher_suites); found != profiles_.end()) {
    return found->second;
  }
  auto profile = TRY(tlspsk::Profile::create(cipher_suites, random_));
  if (profiles_.size() < kMaxProfiles) profiles_.emplace(cipher_suites, profile);
  return profile;
}

Result<std::string> MediaPlane::new_id() { return to_hex(TRY(random_.bytes(kIdOctets))); }

template <class What>
void MediaPlane::tell(const MediaStream& stream, What what) {
  StreamEvent event;
  event.context_id = stream.name().context_id;
  event.stream_id = stream.name().stream_id;
  event.trace_id = stream.name().trace_id;
  event.what = std::move(what);
  events_.append(std::move(event));
}

void MediaPlane::update_gauges() {
  metrics_.contexts.set(static_cast<double>(contexts_.size()));
  metrics_.streams.set(static_cast<double>(streams_));
}

}  // namespace keystub::mrfp
