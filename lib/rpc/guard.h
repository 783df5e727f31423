// The guard: the one place that decides which caller may call which method. A table with a row
// per method; a method without a row is denied. Interceptors cannot refuse a call in gRPC, so each
// handler's first line asks the guard.
//
//   const auto caller = guard.admit(*context, "/keystub.v1.IdentityAdmin/CreateIdentity");
//   if (!caller) return finish(to_status(caller.error()));
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/server_context.h>

#include "base/error.h"
#include "rpc/caller.h"
#include "rpc/method_rule.h"

namespace keystub::rpc {

class UnixListener;

// Thread-safe.
class Guard {
 public:
  // Told of each call that is refused to a caller that proved who it is; what nobody answers for
  // is not told, so that it fills no audit. On gRPC's threads; must not block.
  using Denied =
      std::function<void(const Caller& caller, std::string_view method, const Error& error)>;

  // `unix_listener` may be null and must outlive the guard: it knows the uid behind "fd:N".
  explicit Guard(std::vector<MethodRule> rules, const UnixListener* unix_listener = nullptr,
                 Denied denied = {});

  // Other rules from now on; calls that were admitted go on.
  void replace(std::vector<MethodRule> rules);

  // The caller, if it may call `method`. Otherwise unauthenticated (it proved nothing and the
  // method asks for more) or denied, with a sentence that gives away no rule.
  Result<Caller> admit(const grpc::ServerContextBase& context, std::string_view method) const;

  // The decision alone, for tests and for adapters without gRPC.
  Result<void> check(const Caller& caller, std::string_view method) const;

  // Methods of these services ("keystub.v1.TicketService", compiled into this program) that have
  // no row. A test of each daemon asserts that it is empty.
  std::vector<std::string> uncovered(const std::vector<std::string>& services) const;

 private:
  using Rules = std::map<std::string, MethodRule, std::less<>>;
  std::atomic<std::shared_ptr<const Rules>> rules_;
  const UnixListener* unix_listener_;
  const Denied denied_;
};

// What the transport proved about the caller. `unix_listener` may be null.
Caller caller_of(const grpc::ServerContextBase& context, const UnixListener* unix_listener);

}  // namespace keystub::rpc
