// MediaGateway: the MRFP as the controller sees it, one method per request of the Mp interface
// (TS 23.333 5.20, 6.2.19). The adapter over gRPC is media_control_client.h; tests have a fake.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "mrfc-agent/roles.h"

namespace keystub::mrfc {

// A literal IPv4 or IPv6 address and a TCP port.
struct MediaAddress {
  std::string ip;
  std::uint16_t port = 0;

  friend bool operator==(const MediaAddress&, const MediaAddress&) = default;
};

// Names a stream at the MRFP.
struct StreamKey {
  std::string context_id;
  std::string stream_id;

  auto operator<=>(const StreamKey&) const = default;
};

// What Reserve hands out: the MRFP listens on `local` from then on.
struct ReservedStream {
  StreamKey key;
  MediaAddress local;
  std::string msrp_path;
};

// A key that the stream accepts (TLS server) or uses (TLS client). Moves only.
struct PskCandidate {
  std::string identity;  // on the wire
  Psk psk;
  std::string dialog_id;

  PskCandidate clone() const { return {identity, psk.clone(), dialog_id}; }
};

struct StreamConfiguration {
  // Empty IP: not known, as with a TCP server.
  MediaAddress remote;
  StreamRoles roles;
  std::vector<PskCandidate> keys;
  std::vector<std::string> cipher_suites;
  std::string remote_msrp_path;
};

// All calls block until the MRFP has answered or a deadline has passed (unavailable).
// Thread-safe.
class MediaGateway {
 public:
  virtual ~MediaGateway() = default;

  // MRFC-B6: asks for TCP/TLS/MSRP. Empty context: a new one.
  virtual Result<ReservedStream> reserve_msrp(const std::string& context_id,
                                              const std::string& trace_id) = 0;
  virtual Result<void> configure(const StreamKey& stream, const StreamConfiguration& configuration,
                                 const std::string& trace_id) = 0;
  // TCP only where it is the client, TLS only where it is the client (MRFC-B2, MRFC-B5): the MRFP
  // starts TLS once the TCP connection stands.
  virtual Result<void> start(const StreamKey& stream, StreamRoles roles,
                             const std::string& trace_id) = 0;
  // Replaces all key candidates. An empty path: left as it is.
  virtual Result<void> modify(const StreamKey& stream, const std::vector<PskCandidate>& keys,
                              const std::string& remote_msrp_path, const std::string& trace_id) = 0;
  // Releasing a stream that is gone is a success.
  virtual Result<void> release(const StreamKey& stream, const std::string& trace_id) = 0;
};

struct MediaEvent {
  // A failure ends the stream: attempts that may be followed by a better one are not reported.
  enum class Kind : std::uint8_t { established, tcp_failure, tls_failure, released };

  Kind kind = Kind::released;
  StreamKey stream;
  // established: "TLSv1.3 TLS_AES_128_GCM_SHA256"; otherwise the reason.
  std::string detail;
};

// Called by one thread of the gateway.
class MediaEventHandler {
 public:
  virtual ~MediaEventHandler() = default;

  virtual void on_media_event(const MediaEvent& event) = 0;
  // The gateway was connected to, for the first time or again, and may have missed events. It asks
  // which streams should be there, compares with what the MRFP has, and tells which are not.
  virtual std::vector<StreamKey> expected_streams() const = 0;
  virtual void on_streams_lost(const std::vector<StreamKey>& streams) = 0;
  // Requests can be made again.
  virtual void on_gateway_back() = 0;
};

}  // namespace keystub::mrfc
