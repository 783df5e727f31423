// Accept, SO_PEERCRED, hand over: see unix_listener.h.
#include "rpc/unix_listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <grpcpp/server_posix.h>

namespace keystub::rpc {
namespace {

constexpr int kBacklog = 64;

std::unexpected<Error> socket_fault(const std::filesystem::path& path, const char* what) {
  return fail(Category::unavailable,
              "socket " + path.string() + ": " + what + ": " + std::strerror(errno));
}

}  // namespace

Result<std::unique_ptr<UnixListener>> UnixListener::open(const std::filesystem::path& path,
                                                         std::vector<uid_t> allowed_uids) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof(address.sun_path)) {
    return fail(Category::malformed, "socket path " + text + " must have 1 to " +
                                         std::to_string(sizeof(address.sun_path) - 1) + " octets");
  }
  text.copy(address.sun_path, text.size());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);

  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return socket_fault(path, "socket");
  const bool answers = ::connect(probe, name, sizeof(address)) == 0;
  const bool stale = !answers && errno == ECONNREFUSED;
  ::close(probe);
  if (answers) {
    return fail(Category::conflict, "socket " + text + " is in use by another process");
  }
  if (stale) {
    struct stat info{};
    if (::lstat(text.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(text.c_str());
  }

  const bool others =
      std::ranges::any_of(allowed_uids, [](uid_t uid) { return uid != 0 && uid != ::getuid(); });
  const mode_t mode = others ? 0666 : 0600;
  if (allowed_uids.empty()) allowed_uids = {::getuid(), 0};

  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return socket_fault(path, "socket");
  // fchmod before bind decides the mode of the file that bind makes: there is no moment in which
  // somebody else could connect.
  if (::fchmod(socket, mode) != 0 || ::bind(socket, name, sizeof(address)) != 0 ||
      ::chmod(text.c_str(), mode) != 0 || ::listen(socket, kBacklog) != 0) {
    auto fault = socket_fault(path, "cannot listen");
    ::close(socket);
    return fault;
  }
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    auto fault = socket_fault(path, "eventfd");
    ::close(socket);
    return fault;
  }
  return std::unique_ptr<UnixListener>(
      new UnixListener(path, std::move(allowed_uids), socket, wake));
}

UnixListener::UnixListener(std::filesystem::path path, std::vector<uid_t> allowed_uids, int socket,
                           int wake) noexcept
    : path_(std::move(path)),
      allowed_uids_(std::move(allowed_uids)),
      socket_(socket),
      wake_(wake) {}

UnixListener::~UnixListener() {
  stop();
  ::close(wake_);
}

void UnixListener::start(grpc::Server& server) {
  thread_ = std::thread([this, &server] { accept_loop(server); });
}

void UnixListener::stop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  if (!std::exchange(closed_, true)) {
    ::unlink(path_.c_str());
    ::close(socket_);
  }
}

void UnixListener::accept_loop(grpc::Server& server) {
  for (;;) {
    pollfd waiting[2] = {{socket_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
      // Out of descriptors: the backlog stays readable, so do not spin on it.
      if (errno == EMFILE || errno == ENFILE) ::poll(&waiting[1], 1, 100);
      continue;
    }
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
        std::ranges::find(allowed_uids_, credentials.uid) == allowed_uids_.end()) {
      ::close(connection);
      continue;
    }
    {
      const std::scoped_lock lock(mutex_);
      peers_.insert_or_assign(connection,
                              UnixPeer{credentials.uid, credentials.gid, credentials.pid});
    }
    grpc::AddInsecureChannelFromFd(&server, connection);  // owns the descriptor from here on
  }
}

std::optional<UnixPeer> UnixListener::peer(std::string_view grpc_peer) const {
  constexpr std::string_view kScheme = "fd:";
  if (!grpc_peer.starts_with(kScheme)) return std::nullopt;
  grpc_peer.remove_prefix(kScheme.size());
  int descriptor = -1;
  const auto [end, error] =
      std::from_chars(grpc_peer.data(), grpc_peer.data() + grpc_peer.size(), descriptor);
  if (error != std::errc() || end != grpc_peer.data() + grpc_peer.size()) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  const auto found = peers_.find(descriptor);
  if (found == peers_.end()) return std::nullopt;
  return found->second;
}

}  // namespace keystub::rpc
