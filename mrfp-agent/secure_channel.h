// SecureChannel: one TCP connection and the TLS-PSK session on it. TLS starts as soon as TCP
// stands (MRFP-4), and TCP goes as soon as TLS is over (MRFP-2).
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "mrfp-agent/tcp.h"
#include "tlspsk/engine.h"

namespace keystub::mrfp {

struct ChannelTimeouts {
  std::chrono::milliseconds connect{10'000};    // SYN to TCP
  std::chrono::milliseconds handshake{10'000};  // TCP to TLS, waiting for a key included
};

struct ChannelEnd {
  enum class Kind : std::uint8_t {
    tcp_failed,   // TCP did not come about, or broke before TLS stood
    tls_failed,   // the handshake failed, or the session's key was withdrawn
    peer_closed,  // close_notify after TLS stood
    broken,       // TLS stood and broke: reset, truncated, a bad record
  };
  Kind kind;
  Error error;
};

// Belongs to its loop's thread.
class SecureChannel final : public Disposable, private TcpConnection::Owner {
 public:
  // Inside a callback every method may be called; the channel must be handed to
  // EventLoop::dispose, not destroyed.
  class Owner {
   public:
    // TLS stands; session() is set. Data flows once set_reading(true) was called.
    virtual void on_channel_secured(SecureChannel& channel) = 0;
    virtual void on_channel_data(SecureChannel& channel, Bytes plain) = 0;
    virtual void on_channel_room(SecureChannel& channel) = 0;
    // Once, and the last call. Never after close().
    virtual void on_channel_end(SecureChannel& channel, const ChannelEnd& end) = 0;

   protected:
    ~Owner() = default;
  };

  static Result<std::unique_ptr<SecureChannel>> connect(EventLoop& loop,
                                                        const std::string& local_ip,
                                                        const SocketAddress& remote,
                                                        const ChannelTimeouts& timeouts,
                                                        Owner& owner);
  static Result<std::unique_ptr<SecureChannel>> accept(EventLoop& loop, FileDescriptor socket,
                                                       const SocketAddress& remote,
                                                       const ChannelTimeouts& timeouts,
                                                       Owner& owner);

  // Says how TLS is to be spoken; until then nothing is read. Begins at once if TCP stands. May
  // call on_channel_end. `keys` must outlive the channel.
  void secure(std::shared_ptr<const tlspsk::Profile> profile, tlspsk::Role role,
              const tlspsk::KeyRing& keys);
  // The key ring changed: a waiting handshake goes on, a session whose key is gone ends. May call
  // on_channel_end and on_channel_secured.
  void keys_changed();

  const SocketAddress& remote() const noexcept { return remote_; }
  // Set from on_channel_secured on.
  const std::optional<tlspsk::SessionInfo>& session() const noexcept;

  // Application data. Off at first.
  void set_reading(bool reading);
  // Encrypts and queues. Nothing happens unless secured: the end comes by itself.
  void send(Bytes plain);
  // Encrypted octets that wait for the network.
  std::size_t queued() const noexcept { return tcp_ ? tcp_->queued() : 0; }

  // The handshake timeout no longer counts: who proved a key may stay.
  void keep();

  // Says close_notify and ends TCP. No further callback.
  void close();
  bool ended() const noexcept { return ended_; }

 private:
  SecureChannel(EventLoop& loop, SocketAddress remote, const ChannelTimeouts& timeouts,
                Owner& owner);
  void on_tcp_connected() override;
  void on_tcp_data(Bytes data) override;
  void on_tcp_room() override;
  void on_tcp_end() override;
  void on_tcp_failure(Error error) override;

  void begin_tls();
  void advance();
  void read_plain();
  void flush();
  void update_tcp_reading();
  void on_timeout();
  void end(ChannelEnd::Kind kind, Error error);
  void end_from_engine();

  SocketAddress remote_;
  ChannelTimeouts timeouts_;
  Owner& owner_;
  std::unique_ptr<TcpConnection> tcp_;
  std::shared_ptr<const tlspsk::Profile> profile_;
  tlspsk::Role role_ = tlspsk::Role::server;
  const tlspsk::KeyRing* keys_ = nullptr;
  std::unique_ptr<tlspsk::Engine> engine_;
  bool reading_ = false;
  bool secured_ = false;
  bool ended_ = false;
  bool in_read_ = false;
  Timer timeout_;
};

}  // namespace keystub::mrfp
