// The figures that a media plane keeps. Default-made ones count nothing.
#pragma once

#include "service/metrics.h"

namespace keystub::mrfp {

struct MediaMetrics {
  MediaMetrics() = default;
  explicit MediaMetrics(service::Metrics& metrics);

  service::Gauge contexts;
  service::Gauge streams;
  service::Gauge established;
  service::Counter handshakes_tls12;
  service::Counter handshakes_tls13;
  service::Counter tls_failures;
  service::Counter tcp_failures;
  service::Counter messages;
  service::Counter octets_received;
  service::Counter octets_sent;
};

}  // namespace keystub::mrfp
