// Decoding one RFC 3830 message with lib/mikey and with GStreamer: every length checked, every
// payload, SP parameter and key data field visited and added up.
#pragma once

#include <glib.h>

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace keystub::bench {

// HDR with two SRTP crypto sessions, T, RAND, SP, KEMAC with two keys and NULL encryption: what
// GStreamer's decoder can read. It never returns from other payloads.
ByteVector rfc_3830_message();

// The sum over all fields; 0 if the message is refused. Both add the same, so that neither can
// leave something out.
std::uint64_t sum_by_keystub(Bytes message);

class GStreamerDecoder {
 public:
  // `message` must outlive this.
  explicit GStreamerDecoder(Bytes message);
  std::uint64_t sum() const;

 private:
  std::shared_ptr<GBytes> message_;
};

}  // namespace keystub::bench
