// TCP without blocking: a listener and a connection on one event loop.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "mrfp-agent/event_loop.h"
#include "mrfp-agent/net.h"

namespace keystub::mrfp {

// Belongs to its loop's thread.
class TcpListener final : public Disposable, private EventLoop::FdHandler {
 public:
  class Owner {
   public:
    // May pause or destroy nothing but what it accepted.
    virtual void on_tcp_accepted(FileDescriptor socket, const SocketAddress& remote) = 0;

   protected:
    ~Owner() = default;
  };

  // Listens on `local` (port 0: any). Malformed: no literal address. Unavailable: the system
  // refuses, for example because the port is taken.
  static Result<std::unique_ptr<TcpListener>> open(EventLoop& loop, const SocketAddress& local,
                                                   Owner& owner);
  ~TcpListener() override;
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  // With the real port.
  const SocketAddress& local() const noexcept { return local_; }
  // Connections wait in the system's queue meanwhile.
  void set_accepting(bool accepting);

 private:
  TcpListener(EventLoop& loop, FileDescriptor socket, SocketAddress local, Owner& owner);
  void on_fd_ready(std::uint32_t events) override;

  EventLoop& loop_;
  FileDescriptor socket_;
  SocketAddress local_;
  Owner& owner_;
  EventLoop::Token token_ = 0;
  bool accepting_ = true;
  Timer retry_;  // after the system ran out of descriptors
};

// One connection. Belongs to its loop's thread. Ends in one of three ways: the owner destroys it
// (reset), retires it (orderly end), or on_tcp_failure.
class TcpConnection final : public Disposable, private EventLoop::FdHandler {
 public:
  // Inside a callback every method may be called, and the connection may be retired or disposed
  // of, but not destroyed. After either nothing is called any more.
  class Owner {
   public:
    virtual void on_tcp_connected() = 0;
    virtual void on_tcp_data(Bytes data) = 0;
    // The send queue has become short enough for more.
    virtual void on_tcp_room() = 0;
    // The peer sends no more (FIN).
    virtual void on_tcp_end() = 0;
    // The connection is lost. Never called from within send().
    virtual void on_tcp_failure(Error error) = 0;

   protected:
    ~Owner() = default;
  };

  // Sends the SYN, from `local_ip`. Malformed: an address. Unavailable: the system refuses at once.
  static Result<std::unique_ptr<TcpConnection>> connect(EventLoop& loop,
                                                        const std::string& local_ip,
                                                        const SocketAddress& remote, Owner& owner);
  // A socket that a listener accepted. Reads nothing until set_reading(true).
  static Result<std::unique_ptr<TcpConnection>> adopt(EventLoop& loop, FileDescriptor socket,
                                                      SocketAddress remote, Owner& owner);
  ~TcpConnection() override;

  bool connected() const noexcept { return connected_; }
  const SocketAddress& remote() const noexcept { return remote_; }

  // Off at first.
  void set_reading(bool reading);

  // Writes what the system takes and queues the rest: the owner looks at queued() and stops.
  void send(ByteVector data);
  std::size_t queued() const noexcept { return out_.size() - out_sent_; }
  // on_tcp_room() is called when the queue falls to this many octets.
  static constexpr std::size_t kRoomBelow = 32 * 1024;

  // Writes the queue, ends our direction (FIN), waits a short while for the peer's end so that
  // nothing is lost to a reset, and goes. The loop owns the connection meanwhile.
  static void retire(std::unique_ptr<TcpConnection> connection);
  static constexpr std::chrono::milliseconds kRetireTime{2000};

 private:
  TcpConnection(EventLoop& loop, FileDescriptor socket, SocketAddress remote, bool connected,
                Owner& owner);
  Result<void> watch();
  void on_fd_ready(std::uint32_t events) override;
  void finish_connecting();
  void read_some();
  void write_some();
  void lose(int code);
  void gone();
  void update_interest();
  void continue_retiring();

  EventLoop& loop_;
  FileDescriptor socket_;
  SocketAddress remote_;
  Owner* owner_;  // null once retired, lost or ended
  bool connected_;
  bool reading_ = false;
  bool peer_ended_ = false;
  bool retiring_ = false;
  bool fin_sent_ = false;
  EventLoop::Token token_ = 0;
  std::uint32_t interest_ = 0;

  ByteVector out_;
  std::size_t out_sent_ = 0;
  std::optional<Error> lost_;
  Timer report_;  // tells the owner of lost_; ends retiring
};

}  // namespace keystub::mrfp
