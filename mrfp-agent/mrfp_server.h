// MrfpServer: the daemon as an object, for main.cc and for tests: an event loop on its own thread,
// the media plane on it, and the Mp in front.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "mrfp-agent/agent_settings.h"
#include "service/lifecycle.h"
#include "service/log.h"
#include "service/metrics.h"

namespace keystub::mrfp {

// All must outlive the server.
struct MrfpParts {
  const Clock& clock;
  RandomSource& random;
  service::Log& log;
  service::Metrics* metrics = nullptr;
};

// start() and stop() are for one thread.
class MrfpServer {
 public:
  // Serves until stop(). Malformed or not_found: the TLS files; unavailable: the address is taken.
  static Result<std::unique_ptr<MrfpServer>> start(const AgentSettings& settings,
                                                   const MrfpParts& parts);
  ~MrfpServer();  // stop()

  // "control" with its real port.
  std::vector<service::Endpoint> endpoints() const;

  // No new requests, watchers are told, then every stream is released: TLS closed, TCP ended.
  void stop();

 private:
  struct Impl;
  explicit MrfpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::mrfp
