#include "tests/bench/kms_house.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "kms-server/init.h"
#include "kms-server/kek_source.h"
#include "kms-server/settings.h"
#include "kms-server/sqlite_store.h"
#include "mikey/message.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "mikey/transfer_exchange.h"
#include "replay/replay_window.h"
#include "service/config.h"
#include "service/lifecycle.h"

namespace keystub::bench {
namespace {

using namespace std::chrono_literals;

constexpr const char* kKms = "sip:kms@example.com";
constexpr const char* kComplete = "complete";
constexpr std::size_t kReplayCapacity = std::size_t{1} << 20;  // 13,000 messages per second
constexpr std::size_t kVerifiedOneIn = 100;
constexpr std::size_t kWriters = 256;  // the store commits together what waits
constexpr auto kStartTime = 60s;

std::string uri_of(std::size_t number) { return fmt::format("sip:u{:07}@example.com", number); }

Psk psk_of(std::size_t number) {
  Psk psk(32);
  const std::string seed = "bench psk of " + uri_of(number);
  const MutableBytes out = psk.reveal_mutable();
  require(EVP_Digest(seed.data(), seed.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1,
          "SHA-256");
  return psk;
}

template <class T>
T value_of(Result<T> result) {
  if (!result) end_run(result.error().describe());
  return std::move(*result);
}
void succeed(const Result<void>& result) {
  if (!result) end_run(result.error().describe());
}

std::string read(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void insert_below(std::string& config, std::string_view table, std::string_view line) {
  const std::size_t at = config.find(table);
  require(at != std::string::npos, fmt::format("the configuration has no {}", table));
  config.insert(at + table.size(), line);
}

kms::Settings settings_of(const std::filesystem::path& data) {
  auto config = value_of(service::Config::load(data / kms::kConfigFile));
  return value_of(kms::read_settings(config));
}

}  // namespace

KmsHouse::KmsHouse(const std::filesystem::path& folder, std::size_t identities)
    : data_(folder / fmt::format("kms-{}", identities)), identities_(identities) {
  if (!std::filesystem::exists(data_ / kComplete)) make();
}

void KmsHouse::make() {
  std::filesystem::remove_all(data_);
  std::filesystem::create_directories(data_.parent_path());
  kms::InitOptions options;
  options.data = data_;
  options.identity = kKms;
  options.listen = "127.0.0.1:0";
  succeed(kms::init_data_folder(options, clock_, random_));
  std::string config = read(data_ / kms::kConfigFile);
  insert_below(config, "[replay]\n", fmt::format("capacity = {}\n", kReplayCapacity));
  config += "\n[limits]\nper_peer = 10000000\nper_identity = 10000000\n";
  std::ofstream(data_ / kms::kConfigFile) << config;
  add_identities();
  std::ofstream(data_ / kComplete) << identities_ << '\n';
}

void KmsHouse::add_identities() {
  std::fprintf(stderr, "bench: writing %zu identities into %s\n", identities_, data_.c_str());
  const kms::Settings settings = settings_of(data_);
  const kms::Kek kek = value_of(kms::open_kek(settings.kek));
  kms::SqliteStoreOptions options;
  options.path = settings.database;
  const auto store = value_of(kms::SqliteStore::open(options, kek, clock_));
  std::atomic<std::size_t> next{0};
  const auto write = [&] {
    for (std::size_t number = next++; number < identities_; number = next++) {
      const std::string uri = uri_of(number);
      kms::WrappedPsk psk;
      psk.id = to_vector(as_bytes(uri));
      psk.wrapped =
          value_of(kek.wrap(psk_of(number).reveal(), {kms::KeyKind::psk, uri, psk.id}, random_));
      value_of(store->create(uri, kms::IdentityKind::user, std::move(psk), kms::Deadline::in(60s)));
    }
  };
  std::vector<std::jthread> writers;
  for (std::size_t i = 0; i < std::min(kWriters, identities_); ++i) writers.emplace_back(write);
}

double KmsHouse::start() {
  for (const char* file : {"audit.jsonl", kms::kReplayFile, "ready"}) {
    std::filesystem::remove(data_ / file);
  }
  succeed(replay::ReplayWindow::create(data_ / kms::kReplayFile, {.capacity = kReplayCapacity}));
  const auto ready = data_ / "ready";
  const auto began = std::chrono::steady_clock::now();
  server_ = std::make_unique<ChildProcess>(std::vector<std::string>{
      program("kms-server"), "run", "--config", data_ / kms::kConfigFile, "--ready-file", ready});
  while (!std::filesystem::exists(ready)) {
    require(server_->running(), "kms-server ended");
    require(std::chrono::steady_clock::now() < began + kStartTime, "kms-server is not ready");
    std::this_thread::sleep_for(2ms);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  for (const service::Endpoint& endpoint : value_of(service::read_ready_file(ready))) {
    if (endpoint.name == "tickets") address_ = endpoint.address;
  }
  return took.count();
}

mikey::KmsCredentials KmsHouse::credentials(std::size_t number) const {
  const std::string uri = uri_of(number);
  return {mikey::Identity::uri(uri), mikey::Identity::uri(kKms), uri, psk_of(number)};
}

TicketCall KmsHouse::request(std::size_t initiator, bool verified, bool kept) {
  const std::size_t responder = draw_() % identities_;
  const mikey::KmsCredentials self = credentials(initiator);
  const WallTime now = clock_.now();
  mikey::TicketPolicy wish;
  wish.flags = mikey::kMode1Flags;
  wish.idr_kms = self.kms;
  wish.idr_i = self.self;
  wish.tre = mikey::Timestamp::from(now + 1h);
  wish.keys.push_back({mikey::KeyType::tgk, 32, 0, value_of(random_.bytes(4))});
  wish.idr_r = {mikey::Identity::uri(uri_of(responder))};
  auto exchange = std::make_shared<mikey::TicketRequest>(
      value_of(mikey::TicketRequest::start(env_, self, std::move(wish))));
  TicketCall call{to_string(exchange->message()), {}};
  if (kept) {
    call.verify = [this, exchange, responder, me = self.self](Bytes answer) {
      auto granted = exchange->finish(answer);
      if (!granted) return false;
      mikey::OfferParameters offer;
      offer.initiator = me;
      offer.responder = mikey::Identity::uri(uri_of(responder));
      offer.sessions = mikey::tls_session(granted->session_keys);
      auto transfer = mikey::TransferOffer::start(
          env_, std::make_shared<const mikey::GrantedTicket>(std::move(*granted)),
          std::move(offer));
      if (!transfer) return false;
      transfers_.push_back({responder, to_vector(transfer->message())});
      return true;
    };
  } else if (verified) {
    call.verify = [exchange](Bytes answer) { return exchange->finish(answer).has_value(); };
  }
  return call;
}

std::vector<TicketCall> KmsHouse::requests(std::size_t count) {
  std::vector<TicketCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    calls.push_back(request(draw_() % identities_, i % kVerifiedOneIn == 0, false));
  }
  return calls;
}

std::vector<TicketCall> KmsHouse::requests_of_each(std::size_t first, std::size_t count) {
  std::vector<TicketCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    calls.push_back(request(first + i, i % kVerifiedOneIn == 0, false));
  }
  return calls;
}

std::vector<TicketCall> KmsHouse::requests_for_tickets(std::size_t count) {
  std::vector<TicketCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    calls.push_back(request(draw_() % identities_, true, true));
  }
  return calls;
}

std::vector<TicketCall> KmsHouse::resolves(std::size_t count) {
  std::vector<TicketCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    const Transfer& transfer = transfers_[draw_() % transfers_.size()];
    const auto message = value_of(mikey::Message::parse(transfer.message));
    const auto exchange = std::make_shared<mikey::TicketResolve>(value_of(
        mikey::TicketResolve::start(env_, credentials(transfer.responder), *message.ticket)));
    TicketCall call{to_string(exchange->message()), {}};
    if (i % kVerifiedOneIn == 0) {
      call.verify = [exchange](Bytes answer) { return exchange->finish(answer).has_value(); };
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace keystub::bench
