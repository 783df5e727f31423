// Sockets of the media connection.
#include "ue-agent/media_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

namespace keystub::ue {

namespace {

struct RawAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_UNSPEC;

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<RawAddress> to_raw(const service::SocketAddress& address) {
  RawAddress raw;
  sockaddr_in ipv4{};
  sockaddr_in6 ipv6{};
  if (::inet_pton(AF_INET, address.ip.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(address.port);
    std::memcpy(&raw.storage, &ipv4, sizeof(ipv4));
    raw.size = sizeof(ipv4);
    raw.family = AF_INET;
  } else if (::inet_pton(AF_INET6, address.ip.c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(address.port);
    std::memcpy(&raw.storage, &ipv6, sizeof(ipv6));
    raw.size = sizeof(ipv6);
    raw.family = AF_INET6;
  } else {
    return fail(Category::malformed, "\"" + address.ip + "\" is no literal IP address");
  }
  return raw;
}

std::unexpected<Error> system_fault(std::string_view what, const service::SocketAddress& address,
                                    int number = errno) {
  return fail(Category::unavailable,
              std::string(what) + " " + address.to_string() + ": " + std::strerror(number));
}

// Small messages cross at once instead of waiting for more.
void set_no_delay(int socket) noexcept {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

Result<MediaListener> MediaListener::open(const service::SocketAddress& local) {
  auto raw = TRY(to_raw(local));
  FileDescriptor socket(::socket(raw.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_fault("no socket for", local);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), raw.get(), raw.size) != 0) return system_fault("cannot take", local);
  if (::listen(socket.get(), 4) != 0) return system_fault("cannot listen on", local);
  raw.size = sizeof(raw.storage);
  if (::getsockname(socket.get(), raw.get(), &raw.size) != 0) {
    return system_fault("cannot name the socket of", local);
  }
  service::SocketAddress bound = local;
  // The port lies at the same place in both families.
  sockaddr_in ipv4{};
  std::memcpy(&ipv4, &raw.storage, sizeof(ipv4));
  bound.port = ntohs(ipv4.sin_port);
  return MediaListener(std::move(socket), std::move(bound));
}

Result<FileDescriptor> MediaListener::accept(const Clock& clock, SteadyTime deadline) const {
  for (;;) {
    if (wait_for(socket_.get(), POLLIN, clock, deadline) == 0) {
      return fail(Category::unavailable,
                  "nobody connected to " + local_.to_string() + " in time (--timeout)");
    }
    FileDescriptor connection(
        ::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.valid()) {
      set_no_delay(connection.get());
      return connection;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      return system_fault("cannot accept on", local_);
    }
  }
}

Result<FileDescriptor> connect_tcp(const service::SocketAddress& remote, const Clock& clock,
                                   SteadyTime deadline) {
  const auto raw = TRY(to_raw(remote));
  FileDescriptor socket(::socket(raw.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_fault("no socket for", remote);
  if (::connect(socket.get(), raw.get(), raw.size) != 0 && errno != EINPROGRESS) {
    return system_fault("cannot connect to", remote);
  }
  if (wait_for(socket.get(), POLLOUT, clock, deadline) == 0) {
    return system_fault("cannot connect to", remote, ETIMEDOUT);
  }
  int fault = 0;
  socklen_t size = sizeof(fault);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size);
  if (fault != 0) return system_fault("cannot connect to", remote, fault);
  set_no_delay(socket.get());
  return socket;
}

}  // namespace keystub::ue
