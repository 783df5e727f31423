#include "mrfp-agent/media_metrics.h"

namespace keystub::mrfp {

MediaMetrics::MediaMetrics(service::Metrics& metrics)
    : contexts(metrics.gauge("mrfp_contexts", "Contexts (conferences) that exist")),
      streams(metrics.gauge("mrfp_streams", "Streams (legs) that exist")),
      established(metrics.gauge("mrfp_streams_established", "Streams whose TLS session stands")),
      handshakes_tls12(metrics.counter("mrfp_handshakes_total", "TLS-PSK handshakes completed",
                                       {{"version", "TLSv1.2"}})),
      handshakes_tls13(metrics.counter("mrfp_handshakes_total", "TLS-PSK handshakes completed",
                                       {{"version", "TLSv1.3"}})),
      tls_failures(metrics.counter("mrfp_tls_failures_total",
                                   "TLS handshakes that failed and sessions whose key was "
                                   "withdrawn")),
      tcp_failures(metrics.counter("mrfp_tcp_failures_total",
                                   "TCP connections that failed before TLS stood")),
      messages(metrics.counter("mrfp_messages_total", "MSRP messages handed on or echoed")),
      octets_received(
          metrics.counter("mrfp_received_octets_total", "Application octets received inside TLS")),
      octets_sent(metrics.counter("mrfp_sent_octets_total", "Application octets sent inside TLS")) {
}

}  // namespace keystub::mrfp
