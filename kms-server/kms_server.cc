#include "kms-server/kms_server.h"

#include "kms-server/audit.h"
#include "kms-server/identity_admin.h"
#include "kms-server/identity_admin_service.h"
#include "kms-server/key_directory.h"
#include "kms-server/policy.h"
#include "kms-server/policy_admin.h"
#include "kms-server/store_executor.h"
#include "kms-server/ticket_handler.h"
#include "kms-server/ticket_service.h"
#include "rpc/credentials.h"
#include "rpc/guard.h"
#include "rpc/server.h"
#include "rpc/unix_listener.h"

#include <unistd.h>

namespace keystub::kms {
namespace {

constexpr const char* kTickets = "tickets";
constexpr const char* kAdmin = "admin";
constexpr const char* kAdminSocket = "admin_socket";

Result<std::shared_ptr<grpc::ServerCredentials>> ticket_credentials(const Settings& settings,
                                                                    bool plaintext) {
  if (plaintext) return grpc::InsecureServerCredentials();
  return rpc::server_credentials({settings.ticket_tls.certificate, settings.ticket_tls.private_key,
                                  settings.ticket_tls.client_ca,
                                  settings.require_client_certificate
                                      ? rpc::ClientCertificate::required
                                      : rpc::ClientCertificate::optional});
}

std::vector<uid_t> allowed_uids(const Settings& settings) {
  std::vector<uid_t> uids = settings.admin_uids;
  uids.push_back(::getuid());
  uids.push_back(0);
  return uids;
}

}  // namespace

struct KmsServer::Impl {
  Impl(const Settings& given, const ServerParts& parts, std::unique_ptr<Audit> opened_audit,
       std::unique_ptr<rpc::UnixListener> listener, std::unique_ptr<RateLimiter> rate_limiter)
      : settings(given),
        keys(parts.store, parts.kek, given.cached_keys),
        policy(given.policy, given.identity),
        limiter(std::move(rate_limiter)),
        audit(std::move(opened_audit)),
        executor(std::make_unique<StoreExecutor>(given.store_threads, given.store_max_waiting)),
        handler({given.identity, given.thdr, given.store_timeout, given.refuse_without_audit},
                {keys, policy, parts.replay, *limiter, *executor, *audit, parts.log, parts.clock,
                 parts.random, parts.metrics}),
        admin({parts.store, parts.kek, *audit, parts.clock, parts.random}, given.store_timeout),
        policy_admin({parts.store, keys, policy, *audit, parts.clock}, given.store_timeout),
        rotation(std::make_unique<TpkRotation>(
            given.tpk, TpkRotation::Parts{admin, parts.store, parts.clock, parts.log},
            given.store_timeout)),
        admin_socket(std::move(listener)),
        ticket_guard(
            ticket_method_rules(given.require_client_certificate, parts.plaintext_tickets)),
        admin_guard(admin_method_rules(given.admin_names), admin_socket.get()),
        ticket_service(handler, ticket_guard, given.max_outstanding),
        admin_service(admin, policy_admin, *executor, admin_guard) {}

  const Settings settings;
  KeyDirectory keys;
  Policy policy;
  std::unique_ptr<RateLimiter> limiter;
  std::unique_ptr<Audit> audit;
  std::unique_ptr<StoreExecutor> executor;
  TicketHandler handler;
  IdentityAdmin admin;
  PolicyAdmin policy_admin;
  std::unique_ptr<TpkRotation> rotation;
  std::unique_ptr<rpc::UnixListener> admin_socket;
  rpc::Guard ticket_guard;
  rpc::Guard admin_guard;
  TicketService ticket_service;
  IdentityAdminService admin_service;
  std::unique_ptr<rpc::Server> ticket_server;
  std::unique_ptr<rpc::Server> admin_server;
};

KmsServer::KmsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<KmsServer>> KmsServer::start(const Settings& settings,
                                                    const ServerParts& parts) {
  auto audit = TRY(Audit::open(settings.audit));
  std::unique_ptr<rpc::UnixListener> socket;
  if (!settings.admin_socket.empty()) {
    socket = TRY(rpc::UnixListener::open(settings.admin_socket, allowed_uids(settings)));
  }
  auto limiter = TRY(RateLimiter::make(settings.limits, parts.random));
  std::unique_ptr<KmsServer> server(new KmsServer(std::make_unique<Impl>(
      settings, parts, std::move(audit), std::move(socket), std::move(limiter))));
  Impl& impl = *server->impl_;

  rpc::ServerOptions tickets;
  auto ticket_tls = TRY(ticket_credentials(settings, parts.plaintext_tickets));
  tickets.listeners.push_back({kTickets, settings.ticket_address, std::move(ticket_tls)});
  tickets.services.push_back(&impl.ticket_service);
  impl.ticket_server = TRY(rpc::Server::start(tickets));
  impl.ticket_service.set_drain(impl.ticket_server->drain());

  rpc::ServerOptions admin;
  if (settings.admin_address) {
    auto admin_tls = TRY(
        rpc::server_credentials({settings.admin_tls.certificate, settings.admin_tls.private_key,
                                 settings.admin_tls.client_ca, rpc::ClientCertificate::required}));
    admin.listeners.push_back({kAdmin, *settings.admin_address, std::move(admin_tls)});
  }
  admin.unix_listener = impl.admin_socket.get();
  admin.services.push_back(&impl.admin_service);
  impl.admin_server = TRY(rpc::Server::start(admin));
  return server;
}

KmsServer::~KmsServer() {
  stop();
  // What a cancelled stream left behind still runs: on the executor, then in the audit. Everything
  // else must outlive both.
  impl_->rotation.reset();
  impl_->executor.reset();
  impl_->audit.reset();
}

std::vector<service::Endpoint> KmsServer::endpoints() const {
  std::vector<service::Endpoint> out = {{kTickets, impl_->ticket_server->address(kTickets)}};
  if (impl_->settings.admin_address) {
    out.push_back({kAdmin, impl_->admin_server->address(kAdmin)});
  }
  if (impl_->admin_socket != nullptr) {
    out.push_back({kAdminSocket, impl_->admin_socket->path().string()});
  }
  return out;
}

void KmsServer::stop() {
  const Settings& settings = impl_->settings;
  if (impl_->ticket_server != nullptr) {
    impl_->ticket_server->stop(settings.drain_time, settings.cancel_after);
  }
  if (impl_->admin_server != nullptr) {
    impl_->admin_server->stop(settings.drain_time, settings.cancel_after);
  }
}

}  // namespace keystub::kms
