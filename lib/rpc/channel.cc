// Channels with our settings, see channel.h.
#include "rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "rpc/library.h"

namespace keystub::rpc {
namespace {

std::shared_ptr<grpc::Channel> open(const std::string& target,
                                    const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                    const ChannelOptions& options, const char* authority) {
  prepare_library();
  grpc::ChannelArguments arguments;
  // gRPC would send the same bytes again, and MIKEY refuses those as a replay.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(options.keepalive_interval.count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(options.keepalive_timeout.count()));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A server that restarts is found again within two seconds, not after gRPC's two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  // In spite of its name, how long one attempt may take: TCP, TLS and the first frame.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetMaxReceiveMessageSize(options.max_message_octets);
  arguments.SetMaxSendMessageSize(options.max_message_octets);
  // A proxy from the environment must not see key traffic.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  if (authority != nullptr) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

}  // namespace

std::shared_ptr<grpc::Channel> open_channel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options) {
  return open(target, credentials, options, nullptr);
}

Result<std::shared_ptr<grpc::Channel>> open_tls_channel(const std::string& target,
                                                        const ChannelTls& tls,
                                                        const ChannelOptions& options) {
  return open_channel(target, TRY(channel_credentials(tls)), options);
}

std::shared_ptr<grpc::Channel> open_unix_channel(const std::filesystem::path& socket,
                                                 const ChannelOptions& options) {
  return open("unix:" + socket.string(), grpc::InsecureChannelCredentials(), options, "localhost");
}

std::shared_ptr<grpc::Channel> open_plaintext_channel(const std::string& target,
                                                      const ChannelOptions& options) {
  return open(target, grpc::InsecureChannelCredentials(), options, nullptr);
}

}  // namespace keystub::rpc
