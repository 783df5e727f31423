#include "mrfp-agent/tcp.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace keystub::mrfp {

namespace {

constexpr int kBacklog = 16;
constexpr int kAcceptsPerTurn = 16;
constexpr int kReadsPerTurn = 4;
constexpr std::size_t kReadOctets = 16 * 1024;
constexpr std::chrono::milliseconds kDescriptorPause{100};
// A peer that vanished is noticed within two minutes, even where nothing is sent.
constexpr int kKeepAliveIdleSeconds = 60;
constexpr int kKeepAliveIntervalSeconds = 15;
constexpr int kKeepAliveProbes = 4;

Error refused(const std::string& doing, int code) {
  return {Category::unavailable, doing + ": " + system_error_text(code)};
}

Result<FileDescriptor> open_socket(int family) {
  FileDescriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return std::unexpected(refused("cannot make a TCP socket", errno));
  return socket;
}

void set_option(const FileDescriptor& socket, int level, int option, int value) {
  (void)::setsockopt(socket.get(), level, option, &value, sizeof value);
}

}  // namespace

Result<std::unique_ptr<TcpListener>> TcpListener::open(EventLoop& loop, const SocketAddress& local,
                                                       Owner& owner) {
  const SystemAddress address = TRY(to_system(local));
  FileDescriptor socket = TRY(open_socket(address.family()));
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  SystemAddress bound;
  bound.size = sizeof bound.storage;
  if (::bind(socket.get(), address.get(), address.size) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 ||
      ::getsockname(socket.get(), bound.get(), &bound.size) != 0) {
    return std::unexpected(refused("cannot listen on " + local.to_string(), errno));
  }
  const int fd = socket.get();
  std::unique_ptr<TcpListener> listener(
      new TcpListener(loop, std::move(socket), from_system(bound), owner));
  listener->token_ = TRY(loop.add(fd, EPOLLIN, *listener));
  return listener;
}

TcpListener::TcpListener(EventLoop& loop, FileDescriptor socket, SocketAddress local, Owner& owner)
    : loop_(loop),
      socket_(std::move(socket)),
      local_(std::move(local)),
      owner_(owner),
      retry_(loop, [this] { set_accepting(accepting_); }) {}

TcpListener::~TcpListener() { loop_.remove(token_); }

void TcpListener::set_accepting(bool accepting) {
  accepting_ = accepting;
  loop_.modify(token_, accepting ? std::uint32_t{EPOLLIN} : 0);
}

void TcpListener::on_fd_ready(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn && accepting_; ++i) {
    SystemAddress remote;
    remote.size = sizeof remote.storage;
    FileDescriptor socket(
        ::accept4(socket_.get(), remote.get(), &remote.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.valid()) {
      owner_.on_tcp_accepted(std::move(socket), from_system(remote));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The connection stays in the queue and would wake us at once.
      loop_.modify(token_, 0);
      retry_.start(kDescriptorPause);
    }
    if (errno != EINTR && errno != ECONNABORTED) return;
  }
}

TcpConnection::TcpConnection(EventLoop& loop, FileDescriptor socket, SocketAddress remote,
                             bool connected, Owner& owner)
    : loop_(loop),
      socket_(std::move(socket)),
      remote_(std::move(remote)),
      owner_(&owner),
      connected_(connected),
      report_(loop, [this] { gone(); }) {
  set_option(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket_, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket_, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(socket_, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(socket_, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

TcpConnection::~TcpConnection() { loop_.remove(token_); }

Result<std::unique_ptr<TcpConnection>> TcpConnection::connect(EventLoop& loop,
                                                              const std::string& local_ip,
                                                              const SocketAddress& remote,
                                                              Owner& owner) {
  const SystemAddress address = TRY(to_system(remote));
  const SystemAddress local = TRY(to_system({local_ip, 0}));
  FileDescriptor socket = TRY(open_socket(address.family()));
  if (::bind(socket.get(), local.get(), local.size) != 0) {
    return std::unexpected(refused("cannot connect from " + local_ip, errno));
  }
  if (::connect(socket.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) {
    return std::unexpected(refused("cannot connect to " + remote.to_string(), errno));
  }
  std::unique_ptr<TcpConnection> connection(
      new TcpConnection(loop, std::move(socket), remote, false, owner));
  TRY(connection->watch());
  return connection;
}

Result<std::unique_ptr<TcpConnection>> TcpConnection::adopt(EventLoop& loop, FileDescriptor socket,
                                                            SocketAddress remote, Owner& owner) {
  std::unique_ptr<TcpConnection> connection(
      new TcpConnection(loop, std::move(socket), std::move(remote), true, owner));
  TRY(connection->watch());
  return connection;
}

Result<void> TcpConnection::watch() {
  interest_ = connected_ ? 0 : std::uint32_t{EPOLLOUT};
  token_ = TRY(loop_.add(socket_.get(), interest_, *this));
  return {};
}

void TcpConnection::set_reading(bool reading) {
  reading_ = reading;
  update_interest();
}

void TcpConnection::send(ByteVector data) {
  if (lost_ || data.empty()) return;
  if (queued() == 0) {
    out_ = std::move(data);
    out_sent_ = 0;
  } else {
    if (out_sent_ > out_.size() / 2) {
      out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_sent_));
      out_sent_ = 0;
    }
    out_.insert(out_.end(), data.begin(), data.end());
  }
  if (connected_) write_some();
  update_interest();
}

void TcpConnection::retire(std::unique_ptr<TcpConnection> connection) {
  if (connection->lost_ || !connection->connected_) {
    connection->owner_ = nullptr;
    connection->report_.cancel();
    EventLoop& loop = connection->loop_;
    loop.remove(connection->token_);
    loop.dispose(std::move(connection));
    return;
  }
  TcpConnection& self = *connection;
  self.owner_ = nullptr;
  self.retiring_ = true;
  self.loop_.keep(std::move(connection));
  self.report_.start(kRetireTime);
  self.continue_retiring();
}

void TcpConnection::on_fd_ready(std::uint32_t events) {
  if (!connected_) return finish_connecting();
  if ((events & EPOLLOUT) != 0 && queued() != 0) {
    write_some();
    if (retiring_) {
      continue_retiring();
    } else if (owner_ != nullptr && !lost_ && queued() <= kRoomBelow) {
      owner_->on_tcp_room();
    }
  }
  const bool readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (readable && !lost_ && (reading_ || retiring_ || (events & (EPOLLHUP | EPOLLERR)) != 0)) {
    read_some();
  }
  update_interest();
}

void TcpConnection::finish_connecting() {
  int code = 0;
  socklen_t size = sizeof code;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  if (code != 0) return lose(code);
  connected_ = true;
  update_interest();
  if (owner_ != nullptr) owner_->on_tcp_connected();
}

void TcpConnection::read_some() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const MutableBytes buffer = loop_.scratch().first(kReadOctets);
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) lose(errno);
      return;
    }
    if (got == 0) {
      peer_ended_ = true;
      update_interest();
      if (retiring_) return continue_retiring();
      if (owner_ != nullptr) owner_->on_tcp_end();
      return;
    }
    // A retired connection reads only to see the end.
    if (owner_ != nullptr) owner_->on_tcp_data(buffer.first(static_cast<std::size_t>(got)));
    if (!retiring_ && (owner_ == nullptr || !reading_)) return;
  }
}

void TcpConnection::write_some() {
  while (queued() != 0) {
    const ssize_t sent = ::send(socket_.get(), out_.data() + out_sent_, queued(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) lose(errno);
      return;
    }
    out_sent_ += static_cast<std::size_t>(sent);
  }
  out_.clear();
  out_sent_ = 0;
  if (out_.capacity() > 4 * kRoomBelow) out_.shrink_to_fit();
}

void TcpConnection::lose(int code) {
  if (lost_) return;
  lost_.emplace(refused((connected_ ? "the TCP connection with " : "cannot connect to ") +
                            remote_.to_string() + (connected_ ? " broke" : ""),
                        code));
  loop_.remove(token_);
  token_ = 0;
  report_.start(std::chrono::milliseconds(0));
}

void TcpConnection::gone() {
  if (retiring_) {
    loop_.remove(token_);
    loop_.discard(this);
    return;
  }
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->on_tcp_failure(*lost_);
}

void TcpConnection::update_interest() {
  if (token_ == 0 || lost_) return;
  std::uint32_t wanted = 0;
  if (!connected_ || queued() != 0) wanted |= EPOLLOUT;
  if (connected_ && (reading_ || retiring_) && !peer_ended_) wanted |= EPOLLIN | EPOLLRDHUP;
  if (wanted == interest_) return;
  interest_ = wanted;
  loop_.modify(token_, wanted);
}

void TcpConnection::continue_retiring() {
  if (queued() == 0 && !fin_sent_) {
    fin_sent_ = true;
    (void)::shutdown(socket_.get(), SHUT_WR);
  }
  if ((fin_sent_ && peer_ended_) || lost_) {
    report_.start(std::chrono::milliseconds(0));
  }
  update_interest();
}

}  // namespace keystub::mrfp
