#include "tests/bench/ticket_load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "mikey/types.h"
#include "rpc/call.h"
#include "rpc/channel.h"

namespace keystub::bench {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kTimeout = 30s;

// The two unary calls, which differ in their types alone.
struct RequestRpc {
  using Request = v1::RequestTicketRequest;
  using Response = v1::RequestTicketResponse;
  static auto start(v1::TicketService::Stub& stub, grpc::ClientContext& context,
                    const Request& request, grpc::CompletionQueue& queue) {
    return stub.AsyncRequestTicket(&context, request, &queue);
  }
};
struct ResolveRpc {
  using Request = v1::ResolveTicketRequest;
  using Response = v1::ResolveTicketResponse;
  static auto start(v1::TicketService::Stub& stub, grpc::ClientContext& context,
                    const Request& request, grpc::CompletionQueue& queue) {
    return stub.AsyncResolveTicket(&context, request, &queue);
  }
};

// What the threads of one run share.
class Run {
 public:
  Run(const LoadPlan& plan, std::span<const TicketCall> calls)
      : calls_(calls),
        repeat_(plan.repeat),
        type_(plan.exchange == TicketExchange::request ? mikey::DataType::request_resp
                                                       : mikey::DataType::resolve_resp),
        answers_(plan.repeat ? 0 : calls.size()),
        began_(SteadyClock::now()),
        end_(began_ + plan.length) {}

  // The next message to send; none: the time is over, or all are sent.
  std::optional<std::size_t> next() {
    if (stopped_.load(std::memory_order_relaxed)) return std::nullopt;
    const auto now = SteadyClock::now();
    if (now >= end_) return stop(now);
    const std::size_t number = next_.fetch_add(1, std::memory_order_relaxed);
    if (number < calls_.size()) return number;
    return repeat_ ? std::optional(number % calls_.size()) : stop(now);
  }
  const std::string& message(std::size_t call) const { return calls_[call].message; }

  void take(std::size_t call, const std::string& answer) {
    require(answer.size() > 1 && answer[1] == static_cast<char>(type_),
            "an answer of a wrong type");
    if (!repeat_ && calls_[call].verify) answers_[call] = answer;
    if (!stopped_.load(std::memory_order_relaxed)) done_.fetch_add(1, std::memory_order_relaxed);
    std::call_once(first_, [&] { an_answer_ = answer; });
  }

  double per_second() const {
    return static_cast<double>(done_) / std::chrono::duration<double>(stopped_at_ - began_).count();
  }
  std::span<const std::string> answers() const { return answers_; }
  const std::string& an_answer() const { return an_answer_; }

 private:
  std::optional<std::size_t> stop(SteadyClock::time_point now) {
    std::call_once(stop_, [&] {
      stopped_at_ = now;
      stopped_ = true;
    });
    return std::nullopt;
  }

  const std::span<const TicketCall> calls_;
  const bool repeat_;
  const mikey::DataType type_;
  std::vector<std::string> answers_;  // those that will be verified
  const SteadyClock::time_point began_;
  const SteadyClock::time_point end_;
  SteadyClock::time_point stopped_at_;
  std::once_flag stop_;
  std::once_flag first_;
  std::string an_answer_;
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> done_{0};
};

// One call on its way: the tag of its completion.
template <class Rpc>
struct UnaryCall {
  std::optional<grpc::ClientContext> context;
  typename Rpc::Request request;
  typename Rpc::Response response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<typename Rpc::Response>> reader;
  std::size_t call = 0;
  SteadyClock::time_point intended;

  void start(v1::TicketService::Stub& stub, grpc::CompletionQueue& queue, const Run& run,
             std::size_t number) {
    call = number;
    context.emplace();
    rpc::prepare(*context, kTimeout);
    request.set_mikey(run.message(number));
    reader = Rpc::start(stub, *context, request, queue);
    reader->Finish(&response, &status, this);
  }
  void take(Run& run) const {
    if (!status.ok()) end_run("a call failed: " + status.error_message());
    run.take(call, response.mikey());
  }
};

template <class Rpc>
void unary_loop(v1::TicketService::Stub& stub, Run& run, std::size_t outstanding) {
  grpc::CompletionQueue queue;
  std::vector<UnaryCall<Rpc>> calls(outstanding);
  std::size_t running = 0;
  for (auto& call : calls) {
    if (const auto number = run.next()) {
      call.start(stub, queue, run, *number);
      ++running;
    }
  }
  void* tag = nullptr;
  bool ok = false;
  while (running > 0 && queue.Next(&tag, &ok)) {
    auto& call = *static_cast<UnaryCall<Rpc>*>(tag);
    call.take(run);
    if (const auto number = run.next()) {
      call.start(stub, queue, run, *number);
    } else {
      --running;
    }
  }
}

void stream_loop(v1::TicketService::Stub& stub, Run& run, std::size_t outstanding) {
  enum Tag : std::intptr_t { kStarted, kRead, kWritten, kHalfClosed, kFinished };
  const auto tag_of = [](Tag tag) { return reinterpret_cast<void*>(tag); };
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  grpc::Status status;
  v1::ExchangeRequest request;
  v1::ExchangeResponse response;
  const auto stream = stub.AsyncExchange(&context, &queue, tag_of(kStarted));
  std::size_t in_flight = 0;
  bool writing = true;  // or not started yet
  bool open = true;
  const auto write = [&] {
    if (writing || !open || in_flight >= outstanding) return;
    if (const auto number = run.next()) {
      request.set_sequence(*number);
      request.set_mikey(run.message(*number));
      writing = true;
      ++in_flight;
      stream->Write(request, tag_of(kWritten));
    } else {
      open = false;
      stream->WritesDone(tag_of(kHalfClosed));
    }
  };
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
    switch (static_cast<Tag>(reinterpret_cast<std::intptr_t>(tag))) {
      case kStarted:
        require(ok, "a stream does not start");
        writing = false;
        stream->Read(&response, tag_of(kRead));
        break;
      case kRead:
        if (!ok) {
          stream->Finish(&status, tag_of(kFinished));
          break;
        }
        require(!response.has_refusal(), "a message was refused");
        run.take(response.sequence(), response.mikey());
        --in_flight;
        stream->Read(&response, tag_of(kRead));
        break;
      case kWritten:
        require(ok, "a stream takes no message");
        writing = false;
        break;
      case kHalfClosed: break;
      case kFinished: require(status.ok() && in_flight == 0, "a stream ended early"); return;
    }
    write();
  }
}

// Two threads: one begins calls when they are due, this one takes their answers.
template <class Rpc>
std::vector<double> open_loop(v1::TicketService::Stub& stub, Run& run,
                              std::chrono::nanoseconds distance) {
  grpc::CompletionQueue queue;
  std::atomic<std::size_t> running{1};  // and the thread that begins them
  std::jthread begin([&] {
    auto due = SteadyClock::now();
    while (const auto number = run.next()) {
      std::this_thread::sleep_until(due);
      auto* const call = new UnaryCall<Rpc>();
      call->intended = due;
      ++running;
      call->start(stub, queue, run, *number);
      due += distance;
    }
    if (--running == 0) queue.Shutdown();
  });
  std::vector<double> latencies;
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
    const std::unique_ptr<UnaryCall<Rpc>> call(static_cast<UnaryCall<Rpc>*>(tag));
    const std::chrono::duration<double> latency = SteadyClock::now() - call->intended;
    latencies.push_back(latency.count());
    call->take(run);
    if (--running == 0) queue.Shutdown();
  }
  return latencies;
}

}  // namespace

TicketLoad::TicketLoad(const std::string& address, const std::filesystem::path& ca) {
  for (std::size_t i = 0; i < kChannels; ++i) {
    // Credentials of its own: gRPC would let equal channels share a connection.
    auto channel = rpc::open_tls_channel(address, {ca, {}, {}});
    require(channel.has_value(), "no channel");
    require((*channel)->WaitForConnected(std::chrono::system_clock::now() + kTimeout),
            "no connection");
    stubs_.push_back(v1::TicketService::NewStub(*channel));
  }
}

double TicketLoad::run(const LoadPlan& plan, std::span<const TicketCall> calls) {
  Run run(plan, calls);
  {
    std::vector<std::jthread> threads;
    const std::size_t channels = std::min(kChannels, plan.outstanding);
    for (std::size_t i = 0; i < channels; ++i) {
      threads.emplace_back([&, i] {
        const std::size_t outstanding = plan.outstanding / channels;
        if (plan.transport == Transport::stream) {
          stream_loop(*stubs_[i], run, outstanding);
        } else if (plan.exchange == TicketExchange::request) {
          unary_loop<RequestRpc>(*stubs_[i], run, outstanding);
        } else {
          unary_loop<ResolveRpc>(*stubs_[i], run, outstanding);
        }
      });
    }
  }
  verify(calls, run.answers());
  last_answer_ = run.an_answer();
  return run.per_second();
}

double TicketLoad::p99(const LoadPlan& plan, std::span<const TicketCall> calls, double per_second) {
  Run run(plan, calls);
  const std::chrono::nanoseconds distance(
      static_cast<std::int64_t>(1e9 * static_cast<double>(kChannels) / per_second));
  std::vector<double> latencies;
  {
    std::mutex mutex;
    std::vector<std::jthread> threads;
    for (const auto& stub : stubs_) {
      threads.emplace_back([&] {
        const auto own = open_loop<RequestRpc>(*stub, run, distance);
        const std::lock_guard lock(mutex);
        latencies.insert(latencies.end(), own.begin(), own.end());
      });
    }
  }
  verify(calls, run.answers());
  const auto at = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() * 99 / 100);
  std::ranges::nth_element(latencies, at);
  return *at;
}

void TicketLoad::verify(std::span<const TicketCall> calls, std::span<const std::string> answers) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].empty()) {
      require(calls[i].verify(as_bytes(answers[i])), "an answer does not verify");
    }
  }
}

}  // namespace keystub::bench
