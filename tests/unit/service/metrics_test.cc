// Metrics: names, labels, and the page that Prometheus reads.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/metrics.h"

namespace keystub::service {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, RendersCountersGaugesAndHistogramsWithThePrefix) {
  Metrics metrics;
  Counter issued = metrics.counter("tickets_issued_total", "Tickets.", {{"mode", "1"}});
  issued.add();
  issued.add(2);
  metrics.counter("tickets_issued_total", "Tickets.", {{"mode", "1"}}).add();
  metrics.gauge("streams", "Open streams.").set(7);
  metrics.histogram("answer_seconds", "Time.", latency_buckets()).observe(0.002);
  const std::string page = metrics.render();
  EXPECT_THAT(page, HasSubstr("keystub_tickets_issued_total{mode=\"1\"} 4"));
  EXPECT_THAT(page, HasSubstr("# HELP keystub_tickets_issued_total Tickets."));
  EXPECT_THAT(page, HasSubstr("keystub_streams 7"));
  EXPECT_THAT(page, HasSubstr("keystub_answer_seconds_bucket{le=\"0.0025\"} 1"));
}

TEST(Metrics, HandlesWithoutMetricsCountNothing) {
  Counter counter;
  counter.add();
  EXPECT_EQ(counter.value(), 0);
  Gauge().set(1);
  Histogram().observe(1);
}

std::string http_get(const std::string& address) {
  const auto colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  std::string page;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string_view request = "GET /metrics HTTP/1.0\r\n\r\n";
    EXPECT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t got; (got = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      page.append(buffer, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return page;
}

TEST(Metrics, ServesThePageOnAFreePort) {
  Metrics metrics;
  metrics.counter("pings_total", "Pings.").add(3);
  const auto address = metrics.expose("127.0.0.1:0");
  ASSERT_TRUE(address.has_value()) << address.error().text();
  EXPECT_THAT(http_get(*address), HasSubstr("keystub_pings_total 3"));
  EXPECT_EQ(metrics.expose("127.0.0.1:0").error().category(), Category::conflict);
  Metrics second;
  EXPECT_EQ(second.expose(*address).error().category(), Category::unavailable);
}

}  // namespace
}  // namespace keystub::service
