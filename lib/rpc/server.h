// A gRPC server with our limits, real bound ports, and a stop in two phases that cannot hang.
//
// Why two phases (gRPC 1.51): Shutdown() waits for ever for an open stream. So phase 1 asks each
// stream to stop reading, to answer what is in flight and to finish UNAVAILABLE; phase 2 is
// Shutdown(deadline), which cancels the rest. A reactor that has no OnCancel can still hang it:
// EVERY reactor overrides OnCancel and finishes exactly once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include "base/error.h"

namespace keystub::rpc {

class UnixListener;

// The streams that a server must wind up before it stops. Thread-safe; outlives its server's
// reactors.
class Drain {
 public:
  // Membership of one stream; leaving is dropping it. Move-only.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept
        : drain_(std::exchange(other.drain_, nullptr)), id_(other.id_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      if (this != &other) {
        leave();
        drain_ = std::exchange(other.drain_, nullptr);
        id_ = other.id_;
      }
      return *this;
    }
    ~Ticket() { leave(); }
    // Call when the stream has finished (OnDone). After it returns, on_drain neither runs nor
    // will run. Must not be called from inside on_drain.
    void leave() noexcept;

   private:
    friend class Drain;
    Ticket(Drain* drain, std::uint64_t id) : drain_(drain), id_(id) {}
    Drain* drain_ = nullptr;
    std::uint64_t id_ = 0;
  };

  // A stream begins. `on_drain` is called at most once, from the stopping thread: stop reading,
  // answer what is in flight, finish UNAVAILABLE. It must not wait. When the server is draining
  // already it is called from here, before join() returns.
  Ticket join(std::function<void()> on_drain);
  // True from phase 1 on: new work should be refused as UNAVAILABLE.
  bool draining() const;

  // A call that came while the server stops: `finish` ends it, UNAVAILABLE, at once or, shortly
  // before the end, when no other call of that client can be cut off any more. It must not wait.
  void refuse(std::function<void()> finish);

  // Streams that are open: for metrics.
  std::size_t size() const;

  // Phase 1, by Server::stop(). Idempotent.
  void begin();
  // Waits until all streams have left; false when `time` is over first.
  bool wait_empty(std::chrono::milliseconds time);
  // gRPC 1.51 cancels a call that comes while it tells its connections that they end. Clients that
  // are refused and try again at once would send one. So those that are refused from
  // hold_refusals() on wait until release_refusals(). False: none was refused, and there is nothing
  // to wait for.
  bool hold_refusals();
  void release_refusals();

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::function<void()>> streams_;
  std::uint64_t next_id_ = 1;
  std::uint64_t running_ = 0;  // the stream whose on_drain runs now
  bool draining_ = false;
  bool refused_ = false;
  bool holding_ = false;
  std::vector<std::function<void()>> held_;
};

struct ListenerOptions {
  // For port(); "tickets".
  std::string name;
  // "ip:port"; port 0: any free one.
  std::string address;
  std::shared_ptr<grpc::ServerCredentials> credentials;
};

struct ServerOptions {
  std::vector<ListenerOptions> listeners;
  // Owned by the caller; accepted from while the server runs. May be null.
  UnixListener* unix_listener = nullptr;
  // Owned by the caller, with all that they use, until the Server is destroyed.
  std::vector<grpc::Service*> services;
  int max_message_octets = 64 * 1024;
  int max_concurrent_streams = 1024;  // per connection: calls at the same time
  // A connection that takes longer for its TLS handshake and HTTP/2 preface is closed.
  std::chrono::milliseconds handshake_time{10'000};
  // One without a call for this long is closed; 0: never.
  std::chrono::milliseconds idle_time{0};
  // A connection ends gracefully when it is this old (a tenth more or less, so that not all end
  // together): the client goes on with another. Calls that last longer than `last_calls` more
  // are cut off: streams, and those that never send their message. 0: never.
  std::chrono::milliseconds max_age{0};
  std::chrono::milliseconds last_calls{30'000};
  // A silent connection is pinged, and closed when the answer takes longer.
  std::chrono::milliseconds keepalive_interval{60'000};
  std::chrono::milliseconds keepalive_timeout{20'000};
  // Serve gRPC's own grpc.health.v1.Health (anybody may ask; it tells only that we serve).
  bool health = true;
};

// start() and stop() are for one thread; the rest is thread-safe.
class Server {
 public:
  // Listens and serves. unavailable when an address cannot be taken (says which).
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // stop() with short times, if it was not called

  // The bound port of the listener of that name, 0 if there is none.
  std::uint16_t port(const std::string& name) const;
  // Its "ip:port" with the real port.
  std::string address(const std::string& name) const;

  // Streams join here.
  Drain& drain() noexcept { return *drain_; }

  // Phase 1 for at most `drain_time`, then phase 2: what still runs after `cancel_after` is
  // cancelled. Returns when all is over. Idempotent.
  void stop(std::chrono::milliseconds drain_time = std::chrono::seconds{5},
            std::chrono::milliseconds cancel_after = std::chrono::seconds{2});

  grpc::Server& grpc_server() noexcept { return *server_; }

 private:
  Server() = default;
  std::unique_ptr<Drain> drain_;
  std::unique_ptr<grpc::Server> server_;
  UnixListener* unix_listener_ = nullptr;
  std::map<std::string, std::pair<std::string, int>> bound_;  // name → ip as given, port
  bool stopped_ = false;
};

}  // namespace keystub::rpc
