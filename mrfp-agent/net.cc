#include "mrfp-agent/net.h"

#include <arpa/inet.h>

#include <array>
#include <system_error>

namespace keystub::mrfp {

Result<SystemAddress> to_system(const SocketAddress& address) {
  SystemAddress system;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&system.storage);
  if (::inet_pton(AF_INET, address.ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    system.size = sizeof(sockaddr_in);
    return system;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&system.storage);
  if (::inet_pton(AF_INET6, address.ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    system.size = sizeof(sockaddr_in6);
    return system;
  }
  return fail(Category::malformed, "\"" + address.ip + "\" is not a literal IPv4 or IPv6 address");
}

SocketAddress from_system(const SystemAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(v6->sin6_port)};
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
  ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  return {text.data(), ntohs(v4->sin_port)};
}

bool is_any(const SystemAddress& address) noexcept {
  if (address.family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
  }
  return reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr.s_addr == INADDR_ANY;
}

std::string system_error_text(int code) { return std::system_category().message(code); }

}  // namespace keystub::mrfp
