// StreamReleases: gives streams back to the MRFP. One that cannot be given back now, because the
// MRFP does not answer, is remembered: it holds a key and a port that nobody wants any more.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "mrfc-agent/media_gateway.h"

namespace keystub::mrfc {

// Thread-safe; release() and retry() wait for the MRFP.
class StreamReleases {
 public:
  explicit StreamReleases(MediaGateway& media) : media_(media) {}

  void release(const StreamKey& stream, const std::string& trace_id);
  // Once the MRFP answers again.
  void retry();
  std::size_t owed() const;

 private:
  MediaGateway& media_;
  mutable std::mutex mutex_;
  std::map<StreamKey, std::string> owed_;  // with the trace id
};

}  // namespace keystub::mrfc
