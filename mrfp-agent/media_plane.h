// MediaPlane: the contexts (conferences) and streams (legs) of one event loop, and the requests of
// the Mp on them, free of gRPC. Knows pre-shared keys and streams; never tickets, never the KMS.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mrfp-agent/event_log.h"
#include "mrfp-agent/media_stream.h"

namespace keystub::mrfp {

struct ReserveRequest {
  std::string context_id;  // empty: a new context
  std::string local_ip;    // empty: the configured one
  std::string trace_id;
};

struct ReservedStream {
  std::string context_id;
  std::string stream_id;
  SocketAddress local;
  std::string msrp_path;
};

struct ConfigureRequest {
  TcpRole tcp_role = TcpRole::server;
  tlspsk::Role tls_role = tlspsk::Role::server;
  std::optional<SocketAddress> remote;
  std::vector<tlspsk::Candidate> keys;
  std::vector<std::string> cipher_suites;  // empty: the configured ones
  std::string msrp_local_path;             // empty, or the one that was reserved
  std::string msrp_remote_path;            // empty: not known yet
};

struct ModifyRequest {
  std::vector<tlspsk::Candidate> keys;  // empty: as they are
  std::string msrp_local_path;
  std::string msrp_remote_path;  // empty: as it is
};

struct StreamStatus {
  StreamName name;
  StreamState state = StreamState::reserved;
  SocketAddress local;
  std::optional<SocketAddress> remote;
  std::optional<tlspsk::SessionInfo> session;
};

// All calls on the loop's thread (EventLoop::post). Errors: malformed (a value), not_found (no such
// context or stream), conflict (the state forbids it), busy (a limit), unavailable (the network).
class MediaPlane final : private MediaStream::Observer {
 public:
  static constexpr std::size_t kMaxLegs = 2;

  // Everything must outlive the plane. Malformed: the list of cipher suites.
  static Result<std::unique_ptr<MediaPlane>> create(EventLoop& loop, RandomSource& random,
                                                    service::Log& log, EventLog& events,
                                                    const MediaSettings& settings,
                                                    MediaMetrics metrics = {});
  ~MediaPlane();
  MediaPlane(const MediaPlane&) = delete;
  MediaPlane& operator=(const MediaPlane&) = delete;

  Result<ReservedStream> reserve(const ReserveRequest& request);
  Result<void> configure(const std::string& context_id, const std::string& stream_id,
                         ConfigureRequest request);
  Result<void> start(const std::string& context_id, const std::string& stream_id, bool tcp,
                     bool tls);
  Result<void> modify(const std::string& context_id, const std::string& stream_id,
                      ModifyRequest request);
  // Empty stream id: the whole context.
  Result<void> release(const std::string& context_id, const std::string& stream_id);
  void release_all(const std::string& reason);
  std::vector<StreamStatus> list() const;

  EventLog& events() noexcept { return events_; }
  EventLoop& loop() noexcept { return loop_; }

 private:
  struct Context;

  MediaPlane(EventLoop& loop, RandomSource& random, service::Log& log, EventLog& events,
             const MediaSettings& settings, MediaMetrics metrics);
  void on_stream_established(MediaStream& stream, const tlspsk::SessionInfo& session) override;
  void on_stream_tcp_failure(MediaStream& stream, const Error& error, bool final) override;
  void on_stream_tls_failure(MediaStream& stream, const Error& error, bool final) override;
  void on_stream_ended(MediaStream& stream, const std::string& reason) override;

  Result<MediaStream*> find(const std::string& context_id, const std::string& stream_id);
  Result<std::unique_ptr<MediaStream>> reserve_port(StreamName name, const std::string& ip,
                                                    MessageRelay& relay);
  Result<std::shared_ptr<const tlspsk::Profile>> profile_for(
      const std::vector<std::string>& cipher_suites);
  Result<std::string> new_id();
  template <class What>
  void tell(const MediaStream& stream, What what);
  void update_gauges();

  EventLoop& loop_;
  RandomSource& random_;
  service::Log& log_;
  EventLog& events_;
  const MediaSettings settings_;
  MediaMetrics metrics_;
  std::shared_ptr<const tlspsk::Profile> default_profile_;
  std::map<std::vector<std::string>, std::shared_ptr<const tlspsk::Profile>> profiles_;
  std::map<std::string, std::unique_ptr<Context>> contexts_;
  std::size_t streams_ = 0;
  std::uint32_t next_port_ = 0;
};

}  // namespace keystub::mrfp
