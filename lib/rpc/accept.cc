#include "rpc/accept.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>

namespace keystub::rpc {
namespace {

// Descriptors from this one on are not for connections: the lowest that is free is taken first.
std::atomic<int> first_own{std::numeric_limits<int>::max()};

bool passes(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

void bound_accepted_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto most = std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max());
  first_own = std::max(static_cast<int>(most) - kOwnDescriptors, kOwnDescriptors);
}

}  // namespace keystub::rpc

extern "C" int accept4(int socket, sockaddr* address, socklen_t* size, int flags) {
  for (;;) {
    const auto connection = static_cast<int>(::syscall(SYS_accept4, socket, address, size, flags));
    if (connection < 0) {
      // What waits is accepted with the next one that comes.
      if (keystub::rpc::passes(errno)) errno = EAGAIN;
      return -1;
    }
    if (connection < keystub::rpc::first_own.load(std::memory_order_relaxed)) return connection;
    ::close(connection);
  }
}
