// MediaPlan: what an offer/answer agreed about the one media stream, with its key.
#pragma once

#include "msrp/uri.h"
#include "service/config.h"
#include "tlspsk/key_ring.h"

namespace keystub::ue {

struct MediaPlan {
  // Who connects. For MSRP the TCP client is the TLS client too (TS 23.333 5.20.2).
  bool active = false;
  service::SocketAddress remote;
  msrp::Uri local_uri;
  msrp::Path remote_path;
  tlspsk::Candidate key;
};

}  // namespace keystub::ue
