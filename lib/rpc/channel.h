// Channels to our servers: gRPC's own retries off (a repeated MIKEY message is a replay; retry.h
// builds a new one), keepalive on, message size bounded.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include "base/error.h"
#include "rpc/credentials.h"

namespace keystub::rpc {

struct ChannelOptions {
  // The name that the server's certificate must bear; empty: the host part of the target.
  std::string server_name = {};
  std::chrono::milliseconds keepalive_interval{30'000};
  std::chrono::milliseconds keepalive_timeout{10'000};
  int max_message_octets = 1 << 20;
};

// A channel is thread-safe, connects on first use and reconnects by itself: make one per server
// and share it. `target` is "ip:port", "name:port" or any gRPC target.
std::shared_ptr<grpc::Channel> open_channel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options = {});
// Credentials from files, then the channel.
Result<std::shared_ptr<grpc::Channel>> open_tls_channel(const std::string& target,
                                                        const ChannelTls& tls,
                                                        const ChannelOptions& options = {});
// To a server on this machine by its Unix socket: the socket's mode and SO_PEERCRED protect it.
std::shared_ptr<grpc::Channel> open_unix_channel(const std::filesystem::path& socket,
                                                 const ChannelOptions& options = {});
// Neither encrypted nor authenticated. For tests, and behind flags with ugly names.
std::shared_ptr<grpc::Channel> open_plaintext_channel(const std::string& target,
                                                      const ChannelOptions& options = {});

}  // namespace keystub::rpc
