// Socket addresses as literal text and as the system wants them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "service/config.h"

namespace keystub::mrfp {

using service::SocketAddress;

struct SystemAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
};

// Malformed unless `address.ip` is a literal IPv4 or IPv6 address.
Result<SystemAddress> to_system(const SocketAddress& address);
SocketAddress from_system(const SystemAddress& address);

// "0.0.0.0" or "::", which nobody can connect to.
bool is_any(const SystemAddress& address) noexcept;

// "address in use", as the system says it.
std::string system_error_text(int code);

}  // namespace keystub::mrfp
