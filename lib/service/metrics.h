// Metrics for Prometheus: counters, gauges and histograms, and the HTTP page that shows them.
//
// Names are given without the prefix keystub_, which is added here: counter("tickets_issued_total",
// …) is scraped as keystub_tickets_issued_total.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "service/http_server.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace keystub::service {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Handles are cheap to copy, valid as long as their Metrics, and thread-safe. A default-made
// handle counts nothing: what does not care for metrics needs no Metrics.
class Counter {
 public:
  Counter() = default;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  void add(double amount = 1) noexcept;
  double value() const noexcept;

 private:
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  void set(double value) noexcept;
  void add(double amount) noexcept;
  double value() const noexcept;

 private:
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  void observe(double value) noexcept;

 private:
  prometheus::Histogram* histogram_ = nullptr;
};

// Upper bounds in seconds for the time an answer takes: 0.1 ms to 5 s.
const std::vector<double>& latency_buckets();

// Thread-safe. Asking again for the same name and labels gives the same metric. A name or label
// that Prometheus does not allow, or a name used for two kinds, is a programming error (abort).
class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics();

  Counter counter(std::string_view name, std::string_view help, const Labels& labels = {}) noexcept;
  Gauge gauge(std::string_view name, std::string_view help, const Labels& labels = {}) noexcept;
  Histogram histogram(std::string_view name, std::string_view help,
                      const std::vector<double>& upper_bounds, const Labels& labels = {}) noexcept;

  // What /metrics shows, in the Prometheus text format.
  std::string render() const;

  // Serves GET /metrics on "ip:port" until destruction; returns the bound "ip:port" (port 0 in:
  // the real one out). Once per Metrics. unavailable when the address cannot be taken.
  Result<std::string> expose(const std::string& address);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// For a server that has other paths as well. The metrics must outlive it.
HttpRoute metrics_route(const Metrics& metrics);

}  // namespace keystub::service
