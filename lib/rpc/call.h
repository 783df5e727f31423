// One call: deadline, trace id, cancellation.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include "base/error.h"
#include "base/random.h"

namespace keystub::rpc {

// Metadata key of the trace id.
inline constexpr const char* kTraceIdKey = "keystub-trace-id";
// A trace id is 1 to 64 of A-Z a-z 0-9 . _ -; anything else is not passed on and not logged.
inline constexpr std::size_t kMaxTraceId = 64;
bool valid_trace_id(std::string_view trace_id) noexcept;
// 32 hex digits.
Result<std::string> new_trace_id(RandomSource& random);

// Cancels the calls attached to it, those that run and those that come. Copies share one state.
// Thread-safe.
class Cancellation {
 public:
  Cancellation();
  void cancel() const;
  bool cancelled() const;
  // Waits for `time` or until cancelled; true when cancelled.
  bool wait_for(std::chrono::milliseconds time) const;

 private:
  friend class AttachedCall;
  struct State;
  std::shared_ptr<State> state_;
};

// Ties a ClientContext to a Cancellation as long as the call runs. The context must outlive it.
class AttachedCall {
 public:
  AttachedCall(const Cancellation& cancellation, grpc::ClientContext& context);
  AttachedCall(const AttachedCall&) = delete;
  AttachedCall& operator=(const AttachedCall&) = delete;
  ~AttachedCall();

 private:
  std::shared_ptr<Cancellation::State> state_;
  grpc::ClientContext* context_;
};

// Sets deadline (now + timeout), trace id (if valid) and fail-fast: a server that cannot be
// reached is UNAVAILABLE at once instead of at the deadline.
void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout,
             std::string_view trace_id = {});
// Of an incoming call; empty when there is none or it is not valid.
std::string trace_id_of(const grpc::ServerContextBase& context);

}  // namespace keystub::rpc
