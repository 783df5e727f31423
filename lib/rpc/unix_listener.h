// A Unix socket for gRPC that knows who connects: gRPC's own unix listener tells no uid, so this
// one accepts, reads SO_PEERCRED, and hands the connection to a grpc::Server.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"

namespace grpc {
class Server;
}

namespace keystub::rpc {

struct UnixPeer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

// Thread-safe, but start() and stop() are for one thread.
class UnixListener {
 public:
  // Binds and listens on `path`; connections wait until start(). A socket file left by a dead
  // process is replaced; one that answers is a conflict. Peers with another uid than those in
  // `allowed_uids` are disconnected; empty: our own uid and root. Mode 0600, or 0666 where others
  // than these two are allowed: the kernel then lets everybody connect, and the uid decides.
  static Result<std::unique_ptr<UnixListener>> open(const std::filesystem::path& path,
                                                    std::vector<uid_t> allowed_uids = {});
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  ~UnixListener();  // stop(), and removes the socket file

  // Accepts on a thread of its own and hands connections to `server`, which must live until
  // stop() returned. rpc::Server does both (Server::Options::unix_listener).
  void start(grpc::Server& server);
  // No more connections. Those that stand are the server's.
  void stop() noexcept;

  // The process behind a gRPC peer text ("fd:9"); nothing for other peers.
  std::optional<UnixPeer> peer(std::string_view grpc_peer) const;

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  UnixListener(std::filesystem::path path, std::vector<uid_t> allowed_uids, int socket,
               int wake) noexcept;
  void accept_loop(grpc::Server& server);

  const std::filesystem::path path_;
  const std::vector<uid_t> allowed_uids_;
  const int socket_;
  const int wake_;
  std::thread thread_;
  mutable std::mutex mutex_;
  // By descriptor number. An entry is overwritten when the kernel hands the number out again, so
  // the map never holds more than the highest number of open descriptors.
  std::map<int, UnixPeer> peers_;
  bool closed_ = false;
};

}  // namespace keystub::rpc
