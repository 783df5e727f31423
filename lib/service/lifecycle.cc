// Hardening, signals, readiness: see lifecycle.h.
#include "service/lifecycle.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace keystub::service {
namespace {

std::unexpected<Error> system_fault(Category category, const std::string& what) {
  return fail(category, what + ": " + std::strerror(errno));
}

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// sd_notify's protocol: one datagram to the socket in NOTIFY_SOCKET; '@' is an abstract one.
bool notify_service_manager(std::string_view message, int flags = 0) noexcept {
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr || *name == '\0') return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(name);
  if (length >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, name, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const auto sent = ::sendto(socket, message.data(), message.size(), MSG_NOSIGNAL | flags,
                             reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(socket);
  return sent == static_cast<ssize_t>(message.size());
}

}  // namespace

Result<void> harden_process() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) {
    return system_fault(Category::internal, "core dumps cannot be switched off");
  }
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return system_fault(Category::internal, "PR_SET_DUMPABLE cannot be cleared");
  }
  ::umask(077);
  return {};
}

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

namespace {

bool may_lock_everything() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capget, &header, data) == 0 &&
         (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

}  // namespace

Result<void> lock_memory() {
  // On fault: what is mapped and never touched costs nothing.
  if (!may_lock_everything() || ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return fail(
        Category::denied,
        "memory cannot be locked, so keys may reach swap: set LimitMEMLOCK=infinity for the "
        "service, or switch swap off");
  }
  return {};
}

Result<std::unique_ptr<Signals>> Signals::create() {
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  const sigset_t set = handled_signals();
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return fail(Category::internal,
                std::string("signals cannot be blocked: ") + std::strerror(error));
  }
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int signal_fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (wake_fd < 0 || signal_fd < 0) {
    auto fault = system_fault(Category::internal, "signalfd");
    if (wake_fd >= 0) ::close(wake_fd);
    if (signal_fd >= 0) ::close(signal_fd);
    return fault;
  }
  return std::unique_ptr<Signals>(new Signals(signal_fd, wake_fd));
}

Signals::~Signals() {
  ::close(signal_fd_);
  ::close(wake_fd_);
  const sigset_t set = handled_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void Signals::wait_for_stop(const std::function<void()>& on_reload) {
  for (bool stop = false; !stop;) {
    pollfd waiting[2] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0) continue;  // EINTR: a debugger, a stop signal
    if ((waiting[1].revents & POLLIN) != 0) stop = true;
    signalfd_siginfo info{};
    while (::read(signal_fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
      if (info.ssi_signo == SIGHUP) {
        if (on_reload) on_reload();
      } else {
        stop = true;
      }
    }
  }
  // Their default action from now on: end the process.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void Signals::request_stop() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full: then the wake-up is pending anyway.
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof(one));
}

Result<void> announce_ready(const std::filesystem::path& ready_file,
                            const std::vector<Endpoint>& endpoints) {
  if (!ready_file.empty()) {
    const std::filesystem::path draft = ready_file.string() + ".new";
    std::ofstream out(draft, std::ios::trunc);
    for (const auto& endpoint : endpoints) out << endpoint.name << '=' << endpoint.address << '\n';
    out.close();
    std::error_code error;
    if (out) std::filesystem::rename(draft, ready_file, error);
    if (!out || error) {
      return fail(Category::unavailable, "ready file " + ready_file.string() +
                                             " cannot be written: does its folder exist?");
    }
  }
  if (!notify_service_manager("READY=1")) {
    return fail(Category::unavailable, "the service manager at NOTIFY_SOCKET cannot be reached");
  }
  return {};
}

void announce_stopping(const std::filesystem::path& ready_file) noexcept {
  if (!ready_file.empty()) ::unlink(ready_file.c_str());
  notify_service_manager("STOPPING=1", MSG_DONTWAIT);  // a manager that is busy delays no stop
}

Result<std::vector<Endpoint>> read_ready_file(const std::filesystem::path& ready_file) {
  std::ifstream in(ready_file);
  if (!in) return fail(Category::not_found, "no ready file " + ready_file.string());
  std::vector<Endpoint> endpoints;
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) {
      return fail(Category::malformed,
                  ready_file.string() + ": \"" + line + "\" is not name=address");
    }
    endpoints.push_back({line.substr(0, equals), line.substr(equals + 1)});
  }
  return endpoints;
}

}  // namespace keystub::service
