// MediaControlClient: the Mp interface over gRPC (MRFC-B8: over mutual TLS, it carries keys), and
// the watch over its events, which survives a restart of the MRFP.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/random.h"
#include "mrfc-agent/media_gateway.h"
#include "service/log.h"

namespace grpc {
class Channel;
}

namespace keystub::mrfc {

struct MediaControlOptions {
  std::chrono::milliseconds timeout = std::chrono::seconds{5};  // of one request
  std::string local_ip;  // where the MRFP takes its ports; empty: as it is configured
  std::chrono::milliseconds reconnect_after = std::chrono::milliseconds{500};
};

// Thread-safe. What the MRFP refuses for a reason of ours (a certificate, an argument, a state) is
// an internal error: no peer is to blame for it.
class MediaControlClient final : public MediaGateway {
 public:
  // `log` must outlive the client.
  MediaControlClient(std::shared_ptr<grpc::Channel> channel, MediaControlOptions options,
                     service::Log& log);
  MediaControlClient(const MediaControlClient&) = delete;
  MediaControlClient& operator=(const MediaControlClient&) = delete;
  ~MediaControlClient() override;

  Result<ReservedStream> reserve_msrp(const std::string& context_id,
                                      const std::string& trace_id) override;
  Result<void> configure(const StreamKey& stream, const StreamConfiguration& configuration,
                         const std::string& trace_id) override;
  Result<void> start(const StreamKey& stream, StreamRoles roles,
                     const std::string& trace_id) override;
  Result<void> modify(const StreamKey& stream, const std::vector<PskCandidate>& keys,
                      const std::string& remote_msrp_path, const std::string& trace_id) override;
  Result<void> release(const StreamKey& stream, const std::string& trace_id) override;

  // Watches the MRFP's events on a thread of its own until stop(); connects again whenever it has
  // to. `handler` must outlive that. Once.
  void watch(MediaEventHandler& handler);
  void stop();
  // Whether the watch stands: events arrive.
  bool watching() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::mrfc
