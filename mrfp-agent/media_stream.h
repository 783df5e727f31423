// MediaStream: one leg, one TCP media stream with its port, its keys, its TLS session and its MSRP
// session (TS 23.333 5.20.2; rows MRFP-1 to MRFP-8). Belongs to one event loop for life.
//
// As TCP server it accepts several connections at a time; the first that proves one of the
// stream's keys becomes the stream (MRFP-5). While several keys are there (SIP forking) others
// that prove one are parked until modify() leaves one key.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "mrfp-agent/media_metrics.h"
#include "mrfp-agent/media_settings.h"
#include "mrfp-agent/message_relay.h"
#include "mrfp-agent/secure_channel.h"
#include "service/log.h"

namespace keystub::mrfp {

enum class TcpRole : std::uint8_t { client, server };

enum class StreamState : std::uint8_t { reserved, configured, connecting, established };

// What all streams of a loop share.
struct StreamEnvironment {
  EventLoop& loop;
  RandomSource& random;
  service::Log& log;
  const MediaSettings& settings;
  MediaMetrics& metrics;
};

struct StreamName {
  std::string context_id;
  std::string stream_id;
  std::string trace_id;
};

struct StreamConfiguration {
  TcpRole tcp_role = TcpRole::server;
  tlspsk::Role tls_role = tlspsk::Role::server;
  std::optional<SocketAddress> remote;  // a TCP client needs it
  std::shared_ptr<const tlspsk::Profile> profile;
  std::vector<tlspsk::Candidate> keys;
  msrp::Path remote_path;  // empty: not known yet
};

// Requests return conflict where they do not fit the state, malformed for a bad value.
class MediaStream final : public Disposable,
                          public RelayLeg,
                          private TcpListener::Owner,
                          private SecureChannel::Owner {
 public:
  class Observer {
   public:
    virtual void on_stream_established(MediaStream& stream, const tlspsk::SessionInfo& session) = 0;
    // Not final: the stream still listens.
    virtual void on_stream_tcp_failure(MediaStream& stream, const Error& error, bool final) = 0;
    virtual void on_stream_tls_failure(MediaStream& stream, const Error& error, bool final) = 0;
    // The last call: port, connections and keys are gone. Hand the stream to EventLoop::dispose.
    virtual void on_stream_ended(MediaStream& stream, const std::string& reason) = 0;

   protected:
    ~Observer() = default;
  };

  // Takes `local` (port 0: any free one) and listens. Unavailable if the system refuses.
  static Result<std::unique_ptr<MediaStream>> reserve(const StreamEnvironment& environment,
                                                      StreamName name, const SocketAddress& local,
                                                      MessageRelay& relay, Observer& observer);
  ~MediaStream() override;

  Result<void> configure(StreamConfiguration configuration);
  Result<void> start(bool tcp, bool tls);
  // Without `keys` or `remote_path` that part stays as it is.
  Result<void> modify(std::optional<std::vector<tlspsk::Candidate>> keys,
                      std::optional<msrp::Path> remote_path);
  // Ends everything; on_stream_ended is called.
  void end(const std::string& reason);

  const StreamName& name() const noexcept { return name_; }
  StreamState state() const noexcept;
  const SocketAddress& local() const noexcept { return local_; }
  std::optional<SocketAddress> remote() const;
  // Only when established.
  const std::optional<tlspsk::SessionInfo>& session() const noexcept;
  const msrp::Uri& local_uri() const noexcept { return local_uri_; }
  std::uint64_t octets_received() const noexcept { return octets_received_; }
  std::uint64_t octets_sent() const noexcept { return octets_sent_; }

  msrp::Endpoint* endpoint() override { return endpoint_.get(); }
  void output_ready() override { schedule(); }
  void reading_may_change() override { schedule(); }

 private:
  MediaStream(const StreamEnvironment& environment, StreamName name, MessageRelay& relay,
              Observer& observer);
  void on_tcp_accepted(FileDescriptor socket, const SocketAddress& remote) override;
  void on_channel_secured(SecureChannel& channel) override;
  void on_channel_data(SecureChannel& channel, Bytes plain) override;
  void on_channel_room(SecureChannel& channel) override;
  void on_channel_end(SecureChannel& channel, const ChannelEnd& end) override;

  void secure_if_ready(SecureChannel& channel);
  void activate(SecureChannel& channel);
  void deactivate();
  void settle_on_active();
  void promote_parked();
  void drop(SecureChannel& channel);
  bool make_room_for_connection();
  void new_endpoint();
  void bind_session();
  bool can_be_reached() const noexcept;
  void tcp_failed(const Error& error, bool final);
  void tls_failed(const Error& error, bool final);

  void schedule();
  void pump();
  void flush();
  void arm_msrp_timer();
  void on_idle();

  const StreamEnvironment environment_;
  const StreamName name_;
  MessageRelay& relay_;
  Observer& observer_;
  SocketAddress local_;
  msrp::Uri local_uri_;

  std::optional<StreamConfiguration> configuration_;  // its keys are in keys_
  tlspsk::KeyRing keys_;                              // outlives channels_
  bool tcp_started_ = false;
  bool tls_started_ = false;
  bool ended_ = false;
  bool was_active_ = false;
  int failures_told_ = 0;

  std::unique_ptr<TcpListener> listener_;
  std::vector<std::unique_ptr<SecureChannel>> channels_;
  SecureChannel* active_ = nullptr;

  std::unique_ptr<msrp::Endpoint> endpoint_;
  bool bound_ = false;
  std::uint64_t octets_received_ = 0;
  std::uint64_t octets_sent_ = 0;
  SteadyTime last_activity_{};

  Timer setup_timer_;
  Timer idle_timer_;
  Timer msrp_timer_;
  Timer pump_timer_;
};

}  // namespace keystub::mrfp
