// The life of a daemon: hardening, signals, readiness, stop.
//
//   TRY(harden_process());
//   raise_descriptor_limit();                  // of a daemon that serves many connections
//   auto signals = TRY(Signals::create());     // before any thread is started
//   …                                          // listen
//   TRY(announce_ready(ready_file, {{"tickets", "127.0.0.1:7443"}}));
//   signals->wait_for_stop([&] { reload(); });  // the main thread waits here
//   announce_stopping(ready_file);
//   …                                          // phase 1: drain; phase 2: shut down
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub::service {

// No core dumps (RLIMIT_CORE 0) and no ptrace by the same user (PR_SET_DUMPABLE 0): memory holds
// keys. umask 077: files are the daemon's own. Call first in main.
Result<void> harden_process();

// Raises the soft limit of file descriptors to the hard one: each connection takes one. Never fails
// loudly.
void raise_descriptor_limit() noexcept;

// Keeps the memory of the process, also what it gets later, out of swap: it holds keys. denied
// where this is not permitted for all of it (it needs CAP_IPC_LOCK, or an unlimited
// RLIMIT_MEMLOCK): a lock with a limit would make a later allocation fail.
Result<void> lock_memory();

// SIGTERM, SIGINT and SIGHUP as events instead of interruptions; SIGPIPE is ignored.
class Signals {
 public:
  // Blocks the signals in the calling thread and in all threads that it starts later, so call it
  // before any library starts threads. One per process. internal when the system refuses.
  static Result<std::unique_ptr<Signals>> create();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  // Waits for SIGTERM, SIGINT or request_stop(), and calls on_reload on this thread for each
  // SIGHUP meanwhile. When it returns, a second SIGTERM or SIGINT ends the process at once:
  // whoever stops twice does not want to wait for the drain. Call from one thread.
  void wait_for_stop(const std::function<void()>& on_reload = {});

  // As if SIGTERM came. Any thread, any number of times.
  void request_stop() noexcept;

 private:
  Signals(int signal_fd, int wake_fd) noexcept : signal_fd_(signal_fd), wake_fd_(wake_fd) {}
  int signal_fd_;
  int wake_fd_;
};

// A listener that is up: its name and "ip:port" (or a socket path).
struct Endpoint {
  std::string name;
  std::string address;
};

// Everything listens: writes `ready_file` (if not empty) in one step, one line name=address per
// endpoint, and tells the service manager (READY=1 to NOTIFY_SOCKET, if set).
Result<void> announce_ready(const std::filesystem::path& ready_file,
                            const std::vector<Endpoint>& endpoints);
// Not ready any more: removes the file and sends STOPPING=1. Never fails loudly.
void announce_stopping(const std::filesystem::path& ready_file) noexcept;

// What announce_ready wrote; not_found when there is no such file. For health checks and tests.
Result<std::vector<Endpoint>> read_ready_file(const std::filesystem::path& ready_file);

}  // namespace keystub::service
