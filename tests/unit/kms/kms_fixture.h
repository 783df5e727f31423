// The heart of a KMS with a store of its own, a clock that stands still, and its users.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kms-server/audit.h"
#include "kms-server/identity_admin.h"
#include "kms-server/key_directory.h"
#include "kms-server/policy.h"
#include "kms-server/policy_admin.h"
#include "kms-server/revocation_admin.h"
#include "kms-server/sqlite_store.h"
#include "kms-server/store_executor.h"
#include "kms-server/ticket_handler.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "mikey/transfer_exchange.h"
#include "replay/replay_window.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms {

// Hands every call on to a store that the test can slow down or break.
class TroubledStore final : public IdentityStore {
 public:
  explicit TroubledStore(IdentityStore& store) : store_(store) {}

  // Called before every look-up; returns the error to fail with, if any.
  std::function<std::optional<Error>()> trouble;

  Result<Identity> create(std::string_view uri, IdentityKind kind, std::optional<WrappedPsk> psk,
                          Deadline deadline) override {
    return store_.create(uri, kind, std::move(psk), deadline);
  }
  Result<Identity> find(std::string_view uri, Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.find(uri, deadline);
  }
  Result<Identity> find_by_psk_id(Bytes psk_id, Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.find_by_psk_id(psk_id, deadline);
  }
  Result<Identity> find_owner(std::string_view uri, Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.find_owner(uri, deadline);
  }
  Result<IdentityPage> list(std::string_view prefix, std::string_view after, std::size_t limit,
                            Deadline deadline) override {
    return store_.list(prefix, after, limit, deadline);
  }
  Result<IdentityPage> list_groups(std::string_view prefix, std::string_view after,
                                   std::size_t limit, Deadline deadline) override {
    return store_.list_groups(prefix, after, limit, deadline);
  }
  Result<Identity> set_state(std::string_view uri, IdentityState state,
                             Deadline deadline) override {
    return store_.set_state(uri, state, deadline);
  }
  Result<void> remove(std::string_view uri, Deadline deadline) override {
    return store_.remove(uri, deadline);
  }
  Result<Identity> set_psk(std::string_view uri, WrappedPsk psk, Deadline deadline) override {
    return store_.set_psk(uri, std::move(psk), deadline);
  }
  Result<Identity> remove_psk(std::string_view uri, Bytes psk_id, Deadline deadline) override {
    return store_.remove_psk(uri, psk_id, deadline);
  }
  Result<Identity> add_alias(std::string_view uri, std::string_view alias,
                             Deadline deadline) override {
    return store_.add_alias(uri, alias, deadline);
  }
  Result<Identity> remove_alias(std::string_view uri, std::string_view alias,
                                Deadline deadline) override {
    return store_.remove_alias(uri, alias, deadline);
  }
  Result<Identity> add_pattern(std::string_view uri, std::string_view pattern,
                               Deadline deadline) override {
    return store_.add_pattern(uri, pattern, deadline);
  }
  Result<Identity> remove_pattern(std::string_view uri, std::string_view pattern,
                                  Deadline deadline) override {
    return store_.remove_pattern(uri, pattern, deadline);
  }
  Result<Identity> add_certificate(std::string_view uri, PinnedCertificate certificate,
                                   Deadline deadline) override {
    return store_.add_certificate(uri, std::move(certificate), deadline);
  }
  Result<Identity> remove_certificate(std::string_view uri, Bytes fingerprint,
                                      Deadline deadline) override {
    return store_.remove_certificate(uri, fingerprint, deadline);
  }
  Result<Identity> add_member(std::string_view group, std::string_view member,
                              Deadline deadline) override {
    return store_.add_member(group, member, deadline);
  }
  Result<Identity> remove_member(std::string_view group, std::string_view member,
                                 Deadline deadline) override {
    return store_.remove_member(group, member, deadline);
  }
  Result<MemberPage> list_members(std::string_view group, std::string_view after, std::size_t limit,
                                  Deadline deadline) override {
    return store_.list_members(group, after, limit, deadline);
  }
  Result<ImportOutcome> import_batch(ImportBatch batch, Deadline deadline) override {
    return store_.import_batch(std::move(batch), deadline);
  }
  Result<std::uint64_t> next_import_batch(std::string_view import_id, Deadline deadline) override {
    return store_.next_import_batch(import_id, deadline);
  }
  Result<void> forget_import(std::string_view import_id, Deadline deadline) override {
    return store_.forget_import(import_id, deadline);
  }
  Result<Identity> share_tpk(std::string_view uri, WrappedKey tpk, Deadline deadline) override {
    return store_.share_tpk(uri, std::move(tpk), deadline);
  }
  Result<std::size_t> unshare_tpk(std::string_view uri, Bytes tpk_id, Deadline deadline) override {
    return store_.unshare_tpk(uri, tpk_id, deadline);
  }
  Result<Tpk> add_tpk(WrappedKey tpk, TpkState state, Deadline deadline) override {
    return store_.add_tpk(std::move(tpk), state, deadline);
  }
  Result<Tpk> set_tpk_state(Bytes tpk_id, TpkState state, Deadline deadline) override {
    return store_.set_tpk_state(tpk_id, state, deadline);
  }
  Result<std::vector<Tpk>> list_tpks(Deadline deadline) override {
    return store_.list_tpks(deadline);
  }
  Result<std::size_t> purge_tpks(WallTime before, Deadline deadline) override {
    return store_.purge_tpks(before, deadline);
  }
  Result<Tpk> active_tpk(Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.active_tpk(deadline);
  }
  Result<Tpk> find_tpk(Bytes tpk_id, Deadline deadline) override {
    return store_.find_tpk(tpk_id, deadline);
  }
  Result<std::vector<PolicyRule>> list_rules(Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.list_rules(deadline);
  }
  Result<PolicyRule> set_rule(PolicyRule rule, Deadline deadline) override {
    return store_.set_rule(std::move(rule), deadline);
  }
  Result<void> remove_rule(RuleScope scope, std::string_view subject, Deadline deadline) override {
    return store_.remove_rule(scope, subject, deadline);
  }
  Result<KekChecks> kek_checks(Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.kek_checks(deadline);
  }
  Result<void> begin_kek_move(ByteVector next_check, Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.begin_kek_move(std::move(next_check), deadline);
  }
  Result<void> end_kek_move(Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.end_kek_move(deadline);
  }
  Result<std::vector<StoredKey>> list_keys(KeyTable table, Bytes after, std::size_t limit,
                                           Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.list_keys(table, after, limit, deadline);
  }
  Result<std::size_t> replace_keys(std::vector<RewrappedKey> rewrapped,
                                   Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.replace_keys(std::move(rewrapped), deadline);
  }
  Result<Revocation> revoke_ticket(Bytes ticket_id, WallTime needed_until,
                                   Deadline deadline) override {
    return store_.revoke_ticket(ticket_id, needed_until, deadline);
  }
  Result<Revocation> revoke_tickets_before(WallTime time, Deadline deadline) override {
    return store_.revoke_tickets_before(time, deadline);
  }
  Result<RevocationPage> revocations_since(std::uint64_t sequence, std::size_t limit,
                                           Deadline deadline) override {
    if (auto error = look_up()) return std::unexpected(std::move(*error));
    return store_.revocations_since(sequence, limit, deadline);
  }
  Result<std::vector<Change>> changes_since(std::uint64_t sequence, std::size_t limit,
                                            Deadline deadline) override {
    return store_.changes_since(sequence, limit, deadline);
  }
  void on_change(Listener listener) override { store_.on_change(std::move(listener)); }
  void on_revocation(RevocationListener listener) override {
    store_.on_revocation(std::move(listener));
  }

  std::size_t look_ups() const { return look_ups_; }

 private:
  std::optional<Error> look_up() {
    ++look_ups_;
    return trouble ? trouble() : std::nullopt;
  }
  IdentityStore& store_;
  std::atomic<std::size_t> look_ups_{0};
};

class KmsFixture : public ::testing::Test {
 protected:
  static constexpr const char* kAlice = "sip:alice@example.com";
  static constexpr const char* kBob = "sip:bob@example.com";
  static constexpr const char* kCarol = "sip:carol@example.com";
  static constexpr std::chrono::milliseconds kTimeout{20'000};
  static constexpr std::chrono::seconds kPkInterval{10};  // between two looks at files

  KmsFixture() {
    if (auto made = SqliteStore::create(folder / "kms.db", kek, random); !made) {
      throw std::runtime_error(made.error().text());
    }
    if (auto made = replay::ReplayWindow::create(folder / "replay", replay_options()); !made) {
      throw std::runtime_error(made.error().text());
    }
    SqliteStoreOptions options;
    options.path = folder / "kms.db";
    sqlite = SqliteStore::open(options, kek, clock).value();
    store = std::make_unique<TroubledStore>(*sqlite);
    if (auto made = activate_new_tpk(*store, kek, random, Deadline::in(kTimeout)); !made) {
      throw std::runtime_error(made.error().text());
    }
    start();
    for (const char* uri : {kAlice, kBob, kCarol}) add(uri);
  }
  ~KmsFixture() override { stop(); }

  static replay::Options replay_options() {
    replay::Options options;
    options.capacity = 4096;
    options.boot_id = "one boot";
    return options;
  }

  void start() {
    window = replay::ReplayWindow::open(folder / "replay", clock, replay_options()).value();
    keys = std::make_unique<KeyDirectory>(*store, kek, cache_limits);
    policy = std::make_unique<Policy>(policy_settings, settings.kms);
    revocations = RevocationBook::open(*store, clock, Deadline::in(kTimeout)).value();
    audit_options.path = audit_options.path.empty() ? folder / "audit" : audit_options.path;
    audit = Audit::open(audit_options).value();
    limiter = RateLimiter::make(limit_settings, random).value();
    executor = std::make_unique<StoreExecutor>(executor_threads, executor_waiting);
    pk = PkKeeper::open(pk_settings, kPkInterval, {clock, log}).value();
    pk_executor = std::make_unique<StoreExecutor>(executor_threads, executor_waiting);
    handler = std::make_unique<TicketHandler>(
        settings, HandlerParts{*keys, *policy, *revocations, *window, *limiter, *executor, *audit,
                               log, clock, random, nullptr, PkParts{*pk, *pk_executor}});
    policy_admin = std::make_unique<PolicyAdmin>(
        PolicyAdmin::Parts{*store, *keys, *policy, *audit, clock}, kTimeout);
    revocation_admin = std::make_unique<RevocationAdmin>(
        RevocationAdmin::Parts{*store, *keys, *audit, clock}, kTimeout);
    admin =
        std::make_unique<IdentityAdmin>(AdminParts{*store, kek, *audit, clock, random}, kTimeout);
  }
  void stop() {
    pk_executor.reset();
    executor.reset();
    audit.reset();
    admin.reset();
    policy_admin.reset();
    handler.reset();
    pk.reset();
    revocation_admin.reset();
    revocations.reset();
    policy.reset();
    limiter.reset();
    keys.reset();
    window.reset();
  }
  void restart() {
    stop();
    start();
  }

  void add(const char* uri, IdentityKind kind = IdentityKind::user) {
    NewPsk psk{{}, random.secret<PskTag>(32).value()};
    psks[uri] = psk.key.clone();
    const auto created = admin->create(operator_caller, uri, kind, std::move(psk));
    ASSERT_TRUE(created.has_value()) << created.error().text();
  }

  mikey::Environment env() { return {clock, random}; }
  mikey::KmsCredentials credentials(const char* uri) {
    return {mikey::Identity::uri(uri), settings.kms, uri, psks.at(uri).clone()};
  }
  mikey::TicketPolicy wish(std::vector<std::string> responders) {
    mikey::TicketPolicy out;
    out.flags = mikey::kMode1Flags;
    out.idr_kms = settings.kms;
    out.idr_i = mikey::Identity::uri(kAlice);
    out.trs =
        mikey::Timestamp::from(clock.now() - std::chrono::minutes(1), mikey::TsType::ntp_utc_32);
    out.tre =
        mikey::Timestamp::from(clock.now() + std::chrono::hours(1), mikey::TsType::ntp_utc_32);
    out.keys = {{mikey::KeyType::tgk, 32, 0, {1, 2, 3, 4}}};
    for (std::string& uri : responders) out.idr_r.push_back(mikey::Identity::uri(std::move(uri)));
    return out;
  }

  mikey::TicketPolicy wish_of(const char* initiator, std::vector<std::string> responders) {
    mikey::TicketPolicy out = wish(std::move(responders));
    out.idr_i = mikey::Identity::uri(initiator);
    return out;
  }
  std::optional<Category> last_category() const {
    if (last_answer) return std::nullopt;
    return last_answer.error().category;
  }

  Answer ask(Bytes message, Accepted accepted = Accepted::both) {
    // Shared: set_value() may still be at work when the value is there.
    const auto answer = std::make_shared<std::promise<Answer>>();
    handler->handle(to_vector(message), accepted, user_caller,
                    [answer](Answer given) { answer->set_value(std::move(given)); });
    return answer->get_future().get();
  }

  // The whole of Ticket Request: what the initiator ends with.
  Result<mikey::GrantedTicket> request(const char* initiator, mikey::TicketPolicy policy_wish) {
    const mikey::KmsCredentials own = credentials(initiator);
    const auto exchange = TRY(mikey::TicketRequest::start(env(), own, std::move(policy_wish)));
    last_answer = ask(exchange.message());
    if (!last_answer) {
      return fail(last_answer.error().category, last_answer.error().reason);
    }
    return exchange.finish(*last_answer);
  }

  // TRANSFER_INIT about a ticket.
  Result<mikey::TransferOffer> offer(std::shared_ptr<const mikey::GrantedTicket> ticket,
                                     const char* initiator, const char* responder) {
    mikey::OfferParameters parameters;
    parameters.initiator = mikey::Identity::uri(initiator);
    parameters.responder = mikey::Identity::uri(responder);
    parameters.sessions = mikey::tls_session(ticket->session_keys);
    return mikey::TransferOffer::start(env(), std::move(ticket), std::move(parameters));
  }

  // The whole of Ticket Resolve about a TRANSFER_INIT.
  Result<mikey::ResolvedTicket> resolve(const char* responder, Bytes transfer_init) {
    const mikey::KmsCredentials own = credentials(responder);
    const auto received = TRY(mikey::ReceivedTransfer::parse(transfer_init));
    const auto exchange = TRY(mikey::TicketResolve::start(env(), own, received.ticket()));
    last_answer = ask(exchange.message());
    if (!last_answer) {
      return fail(last_answer.error().category, last_answer.error().reason);
    }
    return exchange.finish(*last_answer);
  }

  // A ticket from alice for `responders`, and her TRANSFER_INIT for the first of them.
  mikey::TransferOffer offer_to(std::vector<std::string> responders) {
    const std::string first = responders.front();
    auto granted = request(kAlice, wish(std::move(responders)));
    if (!granted) throw std::runtime_error(granted.error().describe());
    auto made = offer(std::make_shared<const mikey::GrantedTicket>(std::move(*granted)), kAlice,
                      first.c_str());
    if (!made) throw std::runtime_error(made.error().describe());
    return std::move(*made);
  }

  // The number in the MIKEY Error message of the last refusal.
  mikey::ErrorNo error_no() const {
    const auto message = mikey::Message::parse(last_answer.error().mikey_error);
    if (!message) throw std::runtime_error("no MIKEY Error message");
    auto payloads = message->payloads();
    while (auto payload = payloads.next().value()) {
      if (const auto* error = std::get_if<mikey::ErrorView>(&payload->value)) return error->number;
    }
    throw std::runtime_error("no ERR payload");
  }

  std::vector<nlohmann::json> audit_lines() const {
    std::istringstream text(testing::TempDir::read(folder / "audit"));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  testing::TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 0x11)).value();
  std::vector<std::string> log_lines;
  service::Log log{"test", service::LogLevel::error,
                   [this](std::string_view line) { log_lines.emplace_back(line); }};

  HandlerSettings settings = {.kms = mikey::Identity::uri("sip:kms@example.com")};
  PolicySettings policy_settings;
  LimitSettings limit_settings;
  CacheLimits cache_limits{1000, std::size_t{8} << 20};
  PkSettings pk_settings;  // not enabled
  AuditOptions audit_options;
  std::size_t executor_threads = 2;
  std::size_t executor_waiting = 100;
  rpc::Caller user_caller{rpc::CallerKind::anonymous_tls, {}, "test", "trace-1"};
  rpc::Caller operator_caller{rpc::CallerKind::unix_peer, {"uid:0"}, "test", ""};

  std::unique_ptr<SqliteStore> sqlite;
  std::unique_ptr<TroubledStore> store;
  std::unique_ptr<replay::ReplayWindow> window;
  std::unique_ptr<KeyDirectory> keys;
  std::unique_ptr<Policy> policy;
  std::unique_ptr<RevocationBook> revocations;
  std::unique_ptr<RevocationAdmin> revocation_admin;
  std::unique_ptr<RateLimiter> limiter;
  std::unique_ptr<Audit> audit;
  std::unique_ptr<StoreExecutor> executor;
  std::unique_ptr<PkKeeper> pk;
  std::unique_ptr<StoreExecutor> pk_executor;
  std::unique_ptr<TicketHandler> handler;
  std::unique_ptr<IdentityAdmin> admin;
  std::unique_ptr<PolicyAdmin> policy_admin;
  std::map<std::string, Psk> psks;
  Answer last_answer;
};

}  // namespace keystub::kms
