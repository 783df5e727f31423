#include "kms-server/admin_call.h"

#include <utility>

#include "rpc/status.h"

namespace keystub::kms {
namespace {

class AdminCall final : public grpc::ServerUnaryReactor {
 public:
  explicit AdminCall(std::function<void()> on_done) : on_done_(std::move(on_done)) {}
  void OnCancel() override {}
  void OnDone() override {
    if (on_done_) on_done_();
    delete this;
  }

 private:
  const std::function<void()> on_done_;
};

}  // namespace

grpc::ServerUnaryReactor* run_admin_call(grpc::CallbackServerContext& context,
                                         const rpc::Guard& guard, StoreExecutor& executor,
                                         const std::string& method, AdminWork work,
                                         std::function<void()> on_done) {
  auto* const call = new AdminCall(std::move(on_done));
  auto caller = guard.admit(context, method);
  if (!caller) {
    call->Finish(rpc::to_status(caller.error()));
    return call;
  }
  auto submitted = executor.submit([call, caller = std::move(*caller), work = std::move(work)] {
    const auto done = work(caller);
    call->Finish(done ? grpc::Status::OK : rpc::to_status(done.error()));
  });
  if (!submitted) call->Finish(rpc::to_status(submitted.error()));
  return call;
}

}  // namespace keystub::kms
