// Load on a ticket port: an asynchronous client over two TLS connections, each with a completion
// queue and a thread of its own. Every answer's type is checked, those that can be are verified
// after the clock has stopped, and any error ends the run.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "tests/bench/kms_house.h"

namespace keystub::bench {

enum class Transport { unary, stream };

struct LoadPlan {
  TicketExchange exchange = TicketExchange::request;
  Transport transport = Transport::unary;
  std::size_t outstanding = 256;  // over both connections
  std::chrono::nanoseconds length{};
  // The same messages again when they are used up: for a server that does not look at them.
  bool repeat = false;
};

// Not thread-safe.
class TicketLoad {
 public:
  static constexpr std::size_t kChannels = 2;

  TicketLoad(const std::string& address, const std::filesystem::path& ca);

  // Closed loop: answers per second, until the time is over or the messages are used up.
  double run(const LoadPlan& plan, std::span<const TicketCall> calls);
  // Open loop: `per_second` unary calls begin evenly, whatever the answers do. The latency below
  // which 99 in 100 are, in seconds from the time when each was to begin.
  double p99(const LoadPlan& plan, std::span<const TicketCall> calls, double per_second);

  // The last answer that came: what an echo is to give.
  const std::string& last_answer() const { return last_answer_; }

 private:
  void verify(std::span<const TicketCall> calls, std::span<const std::string> answers);

  std::vector<std::unique_ptr<v1::TicketService::Stub>> stubs_;
  std::string last_answer_;
};

}  // namespace keystub::bench
