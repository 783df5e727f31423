// Deadline, trace id, cancellation: see call.h.
#include "rpc/call.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

namespace keystub::rpc {

bool valid_trace_id(std::string_view trace_id) noexcept {
  return !trace_id.empty() && trace_id.size() <= kMaxTraceId &&
         std::ranges::all_of(trace_id, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

Result<std::string> new_trace_id(RandomSource& random) { return to_hex(TRY(random.bytes(16))); }

struct Cancellation::State {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::set<grpc::ClientContext*> calls;
  bool cancelled = false;
};

Cancellation::Cancellation() : state_(std::make_shared<State>()) {}

void Cancellation::cancel() const {
  const std::scoped_lock lock(state_->mutex);
  state_->cancelled = true;
  for (auto* call : state_->calls) call->TryCancel();
  state_->changed.notify_all();
}

bool Cancellation::cancelled() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->cancelled;
}

bool Cancellation::wait_for(std::chrono::milliseconds time) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, time, [this] { return state_->cancelled; });
}

AttachedCall::AttachedCall(const Cancellation& cancellation, grpc::ClientContext& context)
    : state_(cancellation.state_), context_(&context) {
  const std::scoped_lock lock(state_->mutex);
  state_->calls.insert(context_);
  if (state_->cancelled) context_->TryCancel();
}

AttachedCall::~AttachedCall() {
  const std::scoped_lock lock(state_->mutex);
  state_->calls.erase(context_);
}

void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout,
             std::string_view trace_id) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  if (valid_trace_id(trace_id)) context.AddMetadata(kTraceIdKey, std::string(trace_id));
}

std::string trace_id_of(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kTraceIdKey);
  if (found == metadata.end()) return {};
  const std::string_view trace_id(found->second.data(), found->second.size());
  return valid_trace_id(trace_id) ? std::string(trace_id) : std::string();
}

}  // namespace keystub::rpc
