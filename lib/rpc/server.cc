// The server wrapper and its stop in two phases, see server.h.
#include "rpc/server.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include "rpc/library.h"
#include "rpc/unix_listener.h"

namespace keystub::rpc {
namespace {

constexpr std::chrono::milliseconds kSettle{50};

}  // namespace

Drain::Ticket Drain::join(std::function<void()> on_drain) {
  std::unique_lock lock(mutex_);
  const std::uint64_t id = next_id_++;
  if (!draining_) {
    streams_.emplace(id, std::move(on_drain));
    return Ticket(this, id);
  }
  streams_.emplace(id, std::function<void()>());
  lock.unlock();
  on_drain();
  return Ticket(this, id);
}

void Drain::Ticket::leave() noexcept {
  Drain* const drain = std::exchange(drain_, nullptr);
  if (drain == nullptr) return;
  std::unique_lock lock(drain->mutex_);
  drain->changed_.wait(lock, [&] { return drain->running_ != id_; });
  drain->streams_.erase(id_);
  drain->changed_.notify_all();
}

bool Drain::draining() const {
  const std::scoped_lock lock(mutex_);
  return draining_;
}

std::size_t Drain::size() const {
  const std::scoped_lock lock(mutex_);
  return streams_.size();
}

void Drain::begin() {
  std::unique_lock lock(mutex_);
  if (std::exchange(draining_, true)) return;
  // One at a time, in order of joining: what joins from now on is told in join().
  std::uint64_t last = 0;
  for (;;) {
    const auto next = streams_.upper_bound(last);
    if (next == streams_.end()) break;
    last = next->first;
    const auto on_drain = std::exchange(next->second, nullptr);
    if (!on_drain) continue;
    running_ = last;
    lock.unlock();
    on_drain();
    lock.lock();
    running_ = 0;
    changed_.notify_all();
  }
}

bool Drain::wait_empty(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] { return streams_.empty(); });
}

void Drain::refuse(std::function<void()> finish) {
  {
    const std::scoped_lock lock(mutex_);
    refused_ = true;
    if (holding_) {
      held_.push_back(std::move(finish));
      return;
    }
  }
  finish();
}

bool Drain::hold_refusals() {
  const std::scoped_lock lock(mutex_);
  holding_ = refused_;
  return holding_;
}

void Drain::release_refusals() {
  std::vector<std::function<void()>> held;
  {
    const std::scoped_lock lock(mutex_);
    holding_ = false;
    held.swap(held_);
  }
  for (const auto& finish : held) finish();
}

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options) {
  prepare_library();
  grpc::EnableDefaultHealthCheckService(options.health);
  grpc::ServerBuilder builder;
  // A second server on the same port is a mistake, not a way to share load.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(options.max_message_octets);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  // Metadata of a call: a trace id and gRPC's own. Bounded, since it is read before any check.
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024);
  // Clients ping every 30 s on idle connections (channel.h); gRPC would call that too often.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  const auto milliseconds = [](std::chrono::milliseconds time) {
    return static_cast<int>(time.count());
  };
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options.keepalive_interval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             milliseconds(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             milliseconds(options.handshake_time));
  if (options.idle_time.count() > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, milliseconds(options.idle_time));
  }
  if (options.max_age.count() > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, milliseconds(options.max_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               milliseconds(options.last_calls));
  }

  std::unique_ptr<Server> server(new Server());
  for (const auto& listener : options.listeners) {
    const std::size_t colon = listener.address.rfind(':');
    auto [entry, is_new] = server->bound_.try_emplace(
        listener.name, listener.address.substr(0, std::min(colon, listener.address.size())), 0);
    if (!is_new || listener.credentials == nullptr) {
      return fail(Category::internal, "listener " + listener.name +
                                          " is given twice or without "
                                          "credentials");
    }
    builder.AddListeningPort(listener.address, listener.credentials, &entry->second.second);
  }
  for (auto* service : options.services) builder.RegisterService(service);
  server->drain_ = std::make_unique<Drain>();
  server->server_ = builder.BuildAndStart();
  for (const auto& listener : options.listeners) {
    if (server->server_ == nullptr || server->bound_.at(listener.name).second <= 0) {
      // gRPC does not say which one failed when there are several.
      return fail(Category::unavailable,
                  "cannot listen on " + listener.address + " (" + listener.name +
                      "): is the address one of this machine's, and the port free?");
    }
  }
  if (server->server_ == nullptr) {
    return fail(Category::internal, "the gRPC server does not start");
  }
  if (options.unix_listener != nullptr) {
    server->unix_listener_ = options.unix_listener;
    options.unix_listener->start(*server->server_);
  }
  return server;
}

Server::~Server() { stop(std::chrono::milliseconds{100}, std::chrono::milliseconds{0}); }

std::uint16_t Server::port(const std::string& name) const {
  const auto found = bound_.find(name);
  return found == bound_.end() ? std::uint16_t{0}
                               : static_cast<std::uint16_t>(found->second.second);
}

std::string Server::address(const std::string& name) const {
  const auto found = bound_.find(name);
  return found == bound_.end() ? std::string()
                               : found->second.first + ":" + std::to_string(found->second.second);
}

void Server::stop(std::chrono::milliseconds drain_time, std::chrono::milliseconds cancel_after) {
  if (std::exchange(stopped_, true) || server_ == nullptr) return;
  if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(false);
  if (unix_listener_ != nullptr) unix_listener_->stop();
  drain_->begin();
  drain_->wait_empty(drain_time);
  std::thread releaser;
  if (drain_->hold_refusals()) {
    std::this_thread::sleep_for(kSettle);  // what clients that were refused send once more is here
    releaser = std::thread([this] {
      std::this_thread::sleep_for(kSettle);  // every connection knows that it ends
      drain_->release_refusals();
    });
  }
  server_->Shutdown(std::chrono::system_clock::now() + cancel_after);
  if (releaser.joinable()) releaser.join();
  server_->Wait();
}

}  // namespace keystub::rpc
