// Metrics over prometheus-cpp, see metrics.h.
#include "service/metrics.h"

#include <map>
#include <mutex>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "service/http_server.h"

namespace keystub::service {

void Counter::add(double amount) noexcept {
  if (counter_ != nullptr) counter_->Increment(amount);
}
double Counter::value() const noexcept { return counter_ == nullptr ? 0 : counter_->Value(); }

void Gauge::set(double value) noexcept {
  if (gauge_ != nullptr) gauge_->Set(value);
}
void Gauge::add(double amount) noexcept {
  if (gauge_ != nullptr) gauge_->Increment(amount);
}
double Gauge::value() const noexcept { return gauge_ == nullptr ? 0 : gauge_->Value(); }

void Histogram::observe(double value) noexcept {
  if (histogram_ != nullptr) histogram_->Observe(value);
}

const std::vector<double>& latency_buckets() {
  static const std::vector<double> buckets = {
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};
  return buckets;
}

struct Metrics::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<HttpServer> server;
  std::mutex mutex;
};

namespace {

std::map<std::string, std::string> to_map(const Labels& labels) noexcept {
  return {labels.begin(), labels.end()};
}
std::string full_name(std::string_view name) { return "keystub_" + std::string(name); }

}  // namespace

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

// noexcept by intent: the library throws for a name or label that cannot be, which is a fault of
// the program and not of its input.
Counter Metrics::counter(std::string_view name, std::string_view help,
                         const Labels& labels) noexcept {
  auto& family = prometheus::BuildCounter()
                     .Name(full_name(name))
                     .Help(std::string(help))
                     .Register(*impl_->registry);
  return Counter(&family.Add(to_map(labels)));
}

Gauge Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) noexcept {
  auto& family = prometheus::BuildGauge()
                     .Name(full_name(name))
                     .Help(std::string(help))
                     .Register(*impl_->registry);
  return Gauge(&family.Add(to_map(labels)));
}

Histogram Metrics::histogram(std::string_view name, std::string_view help,
                             const std::vector<double>& upper_bounds,
                             const Labels& labels) noexcept {
  auto& family = prometheus::BuildHistogram()
                     .Name(full_name(name))
                     .Help(std::string(help))
                     .Register(*impl_->registry);
  return Histogram(&family.Add(to_map(labels), upper_bounds));
}

std::string Metrics::render() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

Result<std::string> Metrics::expose(const std::string& address) {
  const std::scoped_lock lock(impl_->mutex);
  if (impl_->server != nullptr) {
    return fail(Category::conflict, "metrics are exposed already");
  }
  impl_->server = TRY(HttpServer::start(address, {metrics_route(*this)}));
  return impl_->server->address();
}

HttpRoute metrics_route(const Metrics& metrics) {
  return {"/metrics", [&metrics] { return HttpAnswer{200, metrics.render()}; }};
}

}  // namespace keystub::service
