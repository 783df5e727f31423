#include "kms-server/kms_server.h"

#include <algorithm>
#include <thread>

#include "kms-server/access.h"
#include "kms-server/audit.h"
#include "kms-server/certificate_watch.h"
#include "kms-server/health_monitor.h"
#include "kms-server/identity_admin.h"
#include "kms-server/identity_admin_service.h"
#include "kms-server/identity_import.h"
#include "kms-server/key_directory.h"
#include "kms-server/kms_operation_service.h"
#include "kms-server/pk_keeper.h"
#include "kms-server/policy.h"
#include "kms-server/policy_admin.h"
#include "kms-server/revocation_admin.h"
#include "kms-server/revocation_admin_service.h"
#include "kms-server/revocation_book.h"
#include "kms-server/revocation_feed.h"
#include "kms-server/revocation_feed_service.h"
#include "kms-server/state_metrics.h"
#include "kms-server/store_executor.h"
#include "kms-server/ticket_handler.h"
#include "kms-server/ticket_service.h"
#include "rpc/credentials.h"
#include "rpc/guard.h"
#include "rpc/health_service.h"
#include "rpc/reflection_service.h"
#include "rpc/server.h"
#include "rpc/unix_listener.h"

namespace keystub::kms {
namespace {

constexpr const char* kTickets = "tickets";
constexpr const char* kAdmin = "admin";
constexpr const char* kAdminSocket = "admin_socket";
// A batch of an import is the work of a thousand calls.
constexpr std::chrono::milliseconds kBatchTime{20'000};
constexpr const char* kTicketService = "keystub.v1.TicketService";
constexpr const char* kAdminService = "keystub.v1.IdentityAdmin";
constexpr const char* kOperationService = "keystub.v1.KmsOperation";
constexpr const char* kRevocationAdmin = "keystub.v1.RevocationAdmin";
constexpr const char* kRevocationFeed = "keystub.v1.RevocationFeed";
constexpr const char* kHealthService = "grpc.health.v1.Health";
constexpr const char* kReflectionService = "grpc.reflection.v1alpha.ServerReflection";

constexpr std::chrono::seconds kLoadTime{60};  // for all that is revoked

rpc::ServerTls ticket_tls(const Settings& settings) {
  return {settings.ticket_tls.certificate,
          settings.ticket_tls.private_key,
          settings.ticket_tls.client_ca,
          settings.require_client_certificate ? rpc::ClientCertificate::required
                                              : rpc::ClientCertificate::optional,
          settings.connections.reload_interval,
          settings.ticket_tls.client_crl};
}

rpc::ServerTls admin_tls(const Settings& settings) {
  const TlsFiles& tls = settings.admin_tls;
  return {tls.certificate,
          tls.private_key,
          tls.client_ca,
          rpc::ClientCertificate::required,
          settings.connections.reload_interval,
          tls.client_crl};
}

// Whose files are watched from now on.
Result<std::shared_ptr<grpc::ServerCredentials>> credentials(const char* port,
                                                             const rpc::ServerTls& tls,
                                                             CertificateWatch& watch) {
  auto files = TRY(rpc::open_files(tls));
  watch.add({port, files});
  return rpc::server_credentials(std::move(files), tls.client_certificate);
}

rpc::ServerOptions server_options(const ConnectionSettings& settings) {
  rpc::ServerOptions options;
  options.max_message_octets = settings.max_message_octets;
  options.max_concurrent_streams = settings.max_calls;
  options.handshake_time = settings.handshake_time;
  options.idle_time = settings.idle_time;
  options.max_age = settings.max_age;
  options.keepalive_interval = settings.keepalive_interval;
  options.keepalive_timeout = settings.keepalive_timeout;
  options.health = false;  // ours asks the guard
  return options;
}

// Both must outlive the guard's calls.
rpc::Guard::Denied audit_denials(Audit& audit, const Clock& clock) {
  return [&](const rpc::Caller& caller, std::string_view method, const Error& error) {
    AuditRecord line;
    line.time = clock.now();
    line.request_id = audit.next_request_id(line.time);
    line.trace_id = caller.trace_id;
    line.caller = std::string(caller.display_name());
    line.operation = "call";
    line.detail = std::string(method);
    line.rule = "role";
    line.reason = error.text();
    // The refusal does not wait for the disk: it changes nothing.
    audit.append(line, [](const Result<void>&) {});
  };
}

}  // namespace

struct KmsServer::Impl {
  Impl(const Settings& given, const ServerParts& parts, std::unique_ptr<Audit> opened_audit,
       std::unique_ptr<rpc::UnixListener> listener, std::unique_ptr<RateLimiter> rate_limiter,
       std::unique_ptr<PkKeeper> pk_keeper, std::unique_ptr<RevocationFeed> feed,
       std::unique_ptr<RevocationBook> book)
      : settings(given),
        plaintext_tickets(parts.plaintext_tickets),
        keys(parts.store, parts.kek, given.cache),
        policy(given.policy, given.identity),
        revocation_feed(std::move(feed)),
        revocations(std::move(book)),
        limiter(std::move(rate_limiter)),
        audit(std::move(opened_audit)),
        executor(std::make_unique<StoreExecutor>(given.store_threads, given.store_max_waiting)),
        pk(std::move(pk_keeper)),
        pk_executor(std::make_unique<StoreExecutor>(given.pk.threads, given.pk.max_waiting)),
        handler({given.identity, given.thdr, given.store_timeout},
                {keys, policy, *revocations, parts.replay, *limiter, *executor, *audit, parts.log,
                 parts.clock, parts.random, parts.metrics, PkParts{*pk, *pk_executor}}),
        admin({parts.store, parts.kek, *audit, parts.clock, parts.random}, given.store_timeout),
        importer({parts.store, parts.kek, *audit, parts.clock, parts.random},
                 std::max(given.store_timeout, kBatchTime)),
        policy_admin({parts.store, keys, policy, *audit, parts.clock}, given.store_timeout),
        revocation_admin({parts.store, keys, *audit, parts.clock}, given.store_timeout),
        rotation(std::make_unique<TpkRotation>(
            given.tpk, TpkRotation::Parts{admin, parts.store, parts.clock, parts.log},
            given.store_timeout)),
        admin_socket(std::move(listener)),
        ticket_guard(ticket_method_rules(given.roles, given.require_client_certificate,
                                         parts.plaintext_tickets),
                     nullptr, audit_denials(*audit, parts.clock)),
        admin_guard(admin_method_rules(given.roles), admin_socket.get(),
                    audit_denials(*audit, parts.clock)),
        ticket_service(handler, ticket_guard, parts.clock, given.max_outstanding),
        ticket_feed(*revocation_feed, ticket_guard),
        ticket_health(ticket_guard),
        admin_service(admin, importer, policy_admin, *executor, admin_guard),
        operation_service({settings, parts.store, parts.kek, *audit, parts.clock, parts.random,
                           *executor, admin_guard}),
        revocation_service(revocation_admin, *executor, admin_guard),
        admin_feed(*revocation_feed, admin_guard),
        admin_health(admin_guard),
        certificates(*pk, parts.log, parts.metrics),
        reflection({kAdminService, kOperationService, kRevocationAdmin, kRevocationFeed,
                    kHealthService, kReflectionService},
                   admin_guard),
        health(std::make_unique<HealthMonitor>(
            HealthSettings{given.health_interval},
            HealthMonitor::Parts{parts.store, parts.kek, parts.replay, *audit, parts.clock,
                                 parts.log, parts.metrics, &certificates},
            [this](const HealthReport& report) { tell_health(report); })) {
    if (parts.metrics == nullptr) return;
    state_metrics.emplace(
        *parts.metrics,
        StateMetrics::Parts{*executor, *pk_executor, keys, *limiter, parts.replay, parts.store,
                            *revocations, *revocation_feed, given.database});
  }

  void tell_health(const HealthReport& report) {
    ticket_health.set("", report.not_serving);
    ticket_health.set(kTicketService, report.not_serving);
    admin_health.set("", report.not_serving);
    admin_health.set(kAdminService, report.not_serving);
    for (std::size_t i = 0; i < report.faults.size(); ++i) {
      admin_health.set(std::string(kComponentNames[i]), report.faults[i]);
    }
    if (state_metrics && ticket_server != nullptr && admin_server != nullptr) {
      state_metrics->update(ticket_server->drain().size() + admin_server->drain().size());
    }
  }

  const Settings settings;
  const bool plaintext_tickets;
  KeyDirectory keys;
  Policy policy;
  std::unique_ptr<RevocationFeed> revocation_feed;
  std::unique_ptr<RevocationBook> revocations;  // wakes the feed
  std::unique_ptr<RateLimiter> limiter;
  std::unique_ptr<Audit> audit;
  std::unique_ptr<StoreExecutor> executor;
  std::unique_ptr<PkKeeper> pk;
  std::unique_ptr<StoreExecutor> pk_executor;
  TicketHandler handler;
  IdentityAdmin admin;
  IdentityImport importer;
  PolicyAdmin policy_admin;
  RevocationAdmin revocation_admin;
  std::unique_ptr<TpkRotation> rotation;
  std::unique_ptr<rpc::UnixListener> admin_socket;
  rpc::Guard ticket_guard;
  rpc::Guard admin_guard;
  TicketService ticket_service;
  RevocationFeedService ticket_feed;
  rpc::HealthService ticket_health;
  IdentityAdminService admin_service;
  KmsOperationService operation_service;
  RevocationAdminService revocation_service;
  RevocationFeedService admin_feed;
  rpc::HealthService admin_health;
  CertificateWatch certificates;
  rpc::ReflectionService reflection;
  std::unique_ptr<HealthMonitor> health;
  std::optional<StateMetrics> state_metrics;
  std::unique_ptr<rpc::Server> ticket_server;
  std::unique_ptr<rpc::Server> admin_server;
};

KmsServer::KmsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<KmsServer>> KmsServer::start(const Settings& settings,
                                                    const ServerParts& parts) {
  auto audit = TRY(Audit::open(
      settings.audit, parts.metrics == nullptr ? AuditMetrics() : AuditMetrics(*parts.metrics)));
  if (audit->begins_log() && parts.replay.memory() != replay::Memory::fresh) {
    parts.log.warning("no audit file is there: another chain of audit lines begins",
                      {{"file", settings.audit.path.string()}});
  }
  std::unique_ptr<rpc::UnixListener> socket;
  if (!settings.admin_socket.empty()) {
    socket = TRY(rpc::UnixListener::open(settings.admin_socket, uids_of(settings.roles)));
  }
  auto limiter = TRY(RateLimiter::make(settings.limits, parts.random));
  auto pk = TRY(
      PkKeeper::open(settings.pk, settings.connections.reload_interval, {parts.clock, parts.log}));
  auto feed = std::make_unique<RevocationFeed>(parts.store, parts.log, settings.revocation_feed);
  auto book = TRY(RevocationBook::open(parts.store, parts.clock, Deadline::in(kLoadTime),
                                       [feed = feed.get()] { feed->wake(); }));
  std::unique_ptr<KmsServer> server(new KmsServer(
      std::make_unique<Impl>(settings, parts, std::move(audit), std::move(socket),
                             std::move(limiter), std::move(pk), std::move(feed), std::move(book))));
  Impl& impl = *server->impl_;

  rpc::ServerOptions tickets = server_options(settings.connections);
  auto ticket_credentials =
      parts.plaintext_tickets ? grpc::InsecureServerCredentials()
                              : TRY(credentials(kTickets, ticket_tls(settings), impl.certificates));
  tickets.listeners.push_back({kTickets, settings.ticket_address, std::move(ticket_credentials)});
  tickets.services = {&impl.ticket_service, &impl.ticket_feed, &impl.ticket_health};
  impl.ticket_server = TRY(rpc::Server::start(tickets));
  impl.ticket_service.set_drain(impl.ticket_server->drain());
  impl.ticket_feed.set_drain(impl.ticket_server->drain());
  impl.ticket_health.set_drain(impl.ticket_server->drain());

  rpc::ServerOptions admin = server_options(settings.connections);
  if (settings.admin_address) {
    auto admin_credentials = TRY(credentials(kAdmin, admin_tls(settings), impl.certificates));
    admin.listeners.push_back({kAdmin, *settings.admin_address, std::move(admin_credentials)});
  }
  admin.unix_listener = impl.admin_socket.get();
  admin.services = {&impl.admin_service, &impl.operation_service, &impl.revocation_service,
                    &impl.admin_feed,    &impl.admin_health,      &impl.reflection};
  impl.admin_server = TRY(rpc::Server::start(admin));
  impl.admin_feed.set_drain(impl.admin_server->drain());
  impl.admin_health.set_drain(impl.admin_server->drain());
  impl.revocation_feed->start();
  impl.health->start();
  return server;
}

KmsServer::~KmsServer() {
  stop();
  // What a cancelled stream left behind still runs: on the executor, then in the audit. Everything
  // else must outlive both.
  impl_->health.reset();
  impl_->rotation.reset();
  impl_->pk_executor.reset();
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

HealthReport KmsServer::health() const { return impl_->health->report(); }

void KmsServer::reload(const Settings& settings) {
  impl_->limiter->configure(settings.limits);
  PolicySettings policy = settings.policy;
  // The replay window keeps its skew until the next start, and retired TPKs their time: no ticket
  // may be valid for longer than its TPK is kept.
  const Settings& started = impl_->settings;
  policy.clock_skew = started.clock_skew;
  policy.max_validity = std::min(policy.max_validity, started.tpk.keep - 2 * started.clock_skew);
  impl_->policy.configure(policy);
  impl_->pk->reload(settings.pk);
  impl_->ticket_guard.replace(ticket_method_rules(
      settings.roles, impl_->settings.require_client_certificate, impl_->plaintext_tickets));
  impl_->admin_guard.replace(admin_method_rules(settings.roles));
  impl_->audit->set_needed(settings.audit.needed);
}

void KmsServer::stop() {
  const Settings& settings = impl_->settings;
  impl_->health->stop_serving();
  // Whoever is told UNAVAILABLE goes elsewhere; while it lingers all are told.
  if (impl_->ticket_server != nullptr && !impl_->ticket_server->drain().draining()) {
    impl_->ticket_server->drain().begin();
    std::this_thread::sleep_for(settings.linger_time);
  }
  if (impl_->ticket_server != nullptr) {
    impl_->ticket_server->stop(settings.drain_time, settings.cancel_after);
  }
  if (impl_->admin_server != nullptr) {
    impl_->admin_server->stop(settings.drain_time, settings.cancel_after);
  }
}

}  // namespace keystub::kms
