// bench-kms-echo: the yardstick of the KMS. A TicketService on lib/rpc, as the KMS is, that answers
// each message with octets made before: at once (the empty echo), or after the PRF, MAC, AES and
// RAND calls of that exchange (the crypto echo).
//
//   bench-kms-echo empty|crypto TLS-FOLDER REQUEST_RESP-FILE RESOLVE_RESP-FILE
//
// Prints the address that it listens on, and ends on SIGTERM.
#include <cstdio>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "keystub/v1/ticket_service.grpc.pb.h"
#include "mikey/types.h"
#include "rpc/credentials.h"
#include "rpc/server.h"
#include "service/lifecycle.h"
#include "tests/bench/child_process.h"
#include "tests/bench/crypto_floor.h"

namespace keystub::bench {
namespace {

constexpr std::size_t kMaxOutstanding = 256;  // of one stream, as in the KMS

struct Work {
  std::string answer;
  std::optional<testing::KmsCalls> calls;  // none: the empty echo
};

// What an exchange costs beside its transport. Contexts are each thread's own.
const std::string& answer_after(const Work& request, const Work& resolve, bool is_request) {
  const Work& work = is_request ? request : resolve;
  if (!work.calls) return work.answer;
  thread_local CryptoFloor request_floor(*request.calls);
  thread_local CryptoFloor resolve_floor(*resolve.calls);
  is_request ? request_floor() : resolve_floor();
  return work.answer;
}

class EchoStream final : public grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse> {
 public:
  EchoStream(const Work& request, const Work& resolve) : request_work_(request), resolve_(resolve) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(mutex_);
      half_closed_ = true;
      if (answers_.empty()) Finish(grpc::Status::OK);
      return;
    }
    v1::ExchangeResponse answer;
    answer.set_sequence(request_.sequence());
    const bool is_request =
        request_.mikey().at(1) == static_cast<char>(mikey::DataType::request_init_psk);
    answer.set_mikey(answer_after(request_work_, resolve_, is_request));
    bool read = false;
    {
      const std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
      if (answers_.size() == 1) StartWrite(&answers_.front());
      read = answers_.size() < kMaxOutstanding;
      waiting_to_read_ = !read;
    }
    if (read) StartRead(&request_);
  }

  void OnWriteDone(bool) override {
    const std::lock_guard lock(mutex_);
    answers_.pop_front();
    if (!answers_.empty()) {
      StartWrite(&answers_.front());
    } else if (half_closed_) {
      Finish(grpc::Status::OK);
    }
    if (std::exchange(waiting_to_read_, false)) StartRead(&request_);
  }

  void OnCancel() override {}
  void OnDone() override { delete this; }

 private:
  const Work& request_work_;
  const Work& resolve_;
  v1::ExchangeRequest request_;
  std::recursive_mutex mutex_;  // gRPC may call the next reaction inside StartRead or StartWrite
  std::deque<v1::ExchangeResponse> answers_;  // the first is being written
  bool half_closed_ = false;
  bool waiting_to_read_ = false;
};

class Echo final : public v1::TicketService::CallbackService {
 public:
  Echo(Work request, Work resolve) : request_(std::move(request)), resolve_(std::move(resolve)) {}

  grpc::ServerUnaryReactor* RequestTicket(grpc::CallbackServerContext* context,
                                          const v1::RequestTicketRequest*,
                                          v1::RequestTicketResponse* response) override {
    return answer(*context, *response, true);
  }
  grpc::ServerUnaryReactor* ResolveTicket(grpc::CallbackServerContext* context,
                                          const v1::ResolveTicketRequest*,
                                          v1::ResolveTicketResponse* response) override {
    return answer(*context, *response, false);
  }
  grpc::ServerBidiReactor<v1::ExchangeRequest, v1::ExchangeResponse>* Exchange(
      grpc::CallbackServerContext*) override {
    return new EchoStream(request_, resolve_);
  }

 private:
  template <class Response>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext& context, Response& response,
                                   bool is_request) {
    response.set_mikey(answer_after(request_, resolve_, is_request));
    auto* const reactor = context.DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  const Work request_;
  const Work resolve_;
};

Work work_of(const testing::Scenario& scenario, testing::KmsExchange exchange, const char* answer,
             bool with_crypto) {
  std::ifstream file(answer, std::ios::binary);
  Work work{{std::istreambuf_iterator<char>(file), {}}, std::nullopt};
  require(!work.answer.empty(), "no answer to echo");
  if (with_crypto) work.calls = kms_calls(scenario, exchange);
  return work;
}

}  // namespace
}  // namespace keystub::bench

int main(int argc, char** argv) {
  using namespace keystub;
  using namespace keystub::bench;
  require(argc == 5, "wrong arguments");
  const auto signals = service::Signals::create();
  require(signals.has_value(), "signals");
  const bool with_crypto = std::string_view(argv[1]) == "crypto";
  const std::filesystem::path tls = argv[2];
  // The exchanges that the bench has are those of vector m: the same suite, key forking, one TGK.
  const testing::Scenario scenario(KEYSTUB_SOURCE_DIR, "m");
  Echo echo(work_of(scenario, testing::KmsExchange::request, argv[3], with_crypto),
            work_of(scenario, testing::KmsExchange::resolve, argv[4], with_crypto));

  auto credentials = rpc::server_credentials(
      {tls / "kms.pem", tls / "kms.key", tls / "ca.pem", rpc::ClientCertificate::optional});
  require(credentials.has_value(), "credentials");
  rpc::ServerOptions options;
  options.listeners.push_back({"tickets", "127.0.0.1:0", *credentials});
  options.services.push_back(&echo);
  const auto server = rpc::Server::start(options);
  require(server.has_value(), "the echo does not start");
  std::printf("%s\n", (*server)->address("tickets").c_str());
  std::fflush(stdout);
  (*signals)->wait_for_stop();
}
