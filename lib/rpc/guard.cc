// The guard and the reading of the transport's proof, see guard.h.
#include "rpc/guard.h"

#include <algorithm>
#include <array>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include "rpc/call.h"
#include "rpc/unix_listener.h"

namespace keystub::rpc {
namespace {

constexpr std::string_view kUidName = "uid:";

// Where a certificate's names are, in the order of Caller::names.
constexpr std::array<std::string_view, 6> kNameProperties = {
    GRPC_PEER_URI_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME, GRPC_PEER_EMAIL_PROPERTY_NAME,
    GRPC_PEER_IP_PROPERTY_NAME,  GRPC_X509_SAN_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME};

std::string_view text_of(const grpc::string_ref& text) noexcept {
  return {text.data(), text.size()};
}

void add_names(const grpc::AuthContext& auth, std::vector<std::string>& names) {
  for (const std::string_view property : kNameProperties) {
    for (const auto& [key, value] : auth) {
      if (text_of(key) != property) continue;
      const std::string_view name = text_of(value);
      // What only the kernel may say about a caller (UnixListener).
      if (name.starts_with(kUidName)) continue;
      if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
    }
  }
}

bool proved_who_it_is(const Caller& caller) noexcept {
  return caller.kind == CallerKind::certificate || caller.kind == CallerKind::unix_peer;
}

}  // namespace

Caller caller_of(const grpc::ServerContextBase& context, const UnixListener* unix_listener) {
  Caller caller;
  caller.address = context.peer();
  caller.trace_id = trace_id_of(context);
  bool tls = false;
  bool certificate = false;
  const auto auth = context.auth_context();
  if (auth != nullptr) {
    for (const auto& [key, value] : *auth) {
      const std::string_view property = text_of(key);
      tls = tls || (property == GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME &&
                    (text_of(value) == GRPC_SSL_TRANSPORT_SECURITY_TYPE ||
                     text_of(value) == GRPC_TLS_TRANSPORT_SECURITY_TYPE));
      // The certificate itself is the proof: it is there only when the handshake verified it.
      certificate = certificate || property == GRPC_X509_PEM_CERT_PROPERTY_NAME;
    }
  }
  if (tls) {
    // Without a certificate there is nothing to read names from.
    if (certificate) add_names(*auth, caller.names);
    caller.kind = certificate ? CallerKind::certificate : CallerKind::anonymous_tls;
    return caller;
  }
  if (unix_listener != nullptr) {
    if (const auto peer = unix_listener->peer(caller.address)) {
      caller.kind = CallerKind::unix_peer;
      caller.names.push_back(std::string(kUidName) + std::to_string(peer->uid));
    }
  }
  return caller;
}

Guard::Guard(std::vector<MethodRule> rules, const UnixListener* unix_listener, Denied denied)
    : unix_listener_(unix_listener), denied_(std::move(denied)) {
  replace(std::move(rules));
}

void Guard::replace(std::vector<MethodRule> rules) {
  const auto table = std::make_shared<Rules>();
  for (auto& rule : rules) {
    std::string method = rule.method;
    table->insert_or_assign(std::move(method), std::move(rule));
  }
  rules_.store(table);
}

Result<Caller> Guard::admit(const grpc::ServerContextBase& context, std::string_view method) const {
  Caller caller = caller_of(context, unix_listener_);
  if (auto allowed = check(caller, method); !allowed) {
    if (denied_ && proved_who_it_is(caller)) denied_(caller, method, allowed.error());
    return std::unexpected(std::move(allowed).error());
  }
  return caller;
}

Result<void> Guard::check(const Caller& caller, std::string_view method) const {
  const auto rules = rules_.load();
  const auto rule = rules->find(method);
  if (rule == rules->end()) {
    return fail(Category::denied, "this method is not offered here");
  }
  if (!rule->second.allowed.contains(caller.kind)) {
    const bool may_prove_more =
        caller.kind == CallerKind::anonymous_tls || caller.kind == CallerKind::plaintext;
    return fail(may_prove_more ? Category::unauthenticated : Category::denied,
                may_prove_more ? "this method needs a client certificate"
                               : "this caller may not call this method");
  }
  const auto& wanted = rule->second.names;
  if (proved_who_it_is(caller) && !wanted.empty() &&
      std::ranges::none_of(caller.names, [&](const std::string& name) {
        return std::ranges::find(wanted, name) != wanted.end();
      })) {
    return fail(Category::denied, "this caller's role may not call this method");
  }
  return {};
}

std::vector<std::string> Guard::uncovered(const std::vector<std::string>& services) const {
  std::vector<std::string> missing;
  const auto rules = rules_.load();
  for (const auto& name : services) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) {
      missing.push_back("/" + name + "/*");
      continue;
    }
    for (int i = 0; i < service->method_count(); ++i) {
      std::string method = "/" + name + "/" + service->method(i)->name();
      if (!rules->contains(method)) missing.push_back(std::move(method));
    }
  }
  return missing;
}

}  // namespace keystub::rpc
