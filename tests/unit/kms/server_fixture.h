// A whole KMS on loopback, from a data folder that init made, and clients for it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>

#include "keystub/v1/identity_admin.grpc.pb.h"
#include "keystub/v1/ticket_service.grpc.pb.h"
#include "kms-server/init.h"
#include "kms-server/kms_server.h"
#include "mikey/transfer_exchange.h"
#include "rpc/call.h"
#include "rpc/channel.h"
#include "rpc/status.h"
#include "service/config.h"
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {

class ServerFixture : public ::testing::Test {
 protected:
  static constexpr const char* kAlice = "sip:alice@example.com";
  static constexpr const char* kBob = "sip:bob@example.com";
  static constexpr std::chrono::seconds kTimeout{20};

  ServerFixture() {
    InitOptions options;
    options.data = folder / "data";
    options.listen = "127.0.0.1:0";
    if (auto made = init_data_folder(options, clock, random); !made) {
      throw std::runtime_error(made.error().text());
    }
    auto config = service::Config::load(options.data / kConfigFile).value();
    settings = read_settings(config).value();
    settings.linger_time = std::chrono::milliseconds(0);
    settings.drain_time = std::chrono::seconds(5);
    settings.cancel_after = std::chrono::milliseconds(500);
    kek.emplace(open_kek(settings.kek).value());
    SqliteStoreOptions store_options;
    store_options.path = settings.database;
    sqlite = SqliteStore::open(store_options, *kek, clock).value();
    store = std::make_unique<TroubledStore>(*sqlite);
    window = replay::ReplayWindow::in_memory(clock).value();
  }

  void start() {
    auto started = KmsServer::start(settings, {*store, *kek, *window, clock, random, log});
    ASSERT_TRUE(started.has_value()) << started.error().text();
    server = std::move(*started);
    for (const auto& endpoint : server->endpoints()) addresses[endpoint.name] = endpoint.address;
  }

  std::filesystem::path tls(const std::string& file) const { return folder / "data/tls" / file; }
  std::shared_ptr<grpc::Channel> channel(const std::string& name, const std::string& certificate) {
    rpc::ChannelTls files;
    files.ca = tls("ca.pem");
    if (!certificate.empty()) {
      files.certificate = tls(certificate + ".pem");
      files.private_key = tls(certificate + ".key");
    }
    return rpc::open_tls_channel(addresses.at(name), files).value();
  }
  std::unique_ptr<v1::TicketService::Stub> tickets(const std::string& certificate = {}) {
    return v1::TicketService::NewStub(channel("tickets", certificate));
  }
  std::unique_ptr<v1::IdentityAdmin::Stub> admin_on_socket() {
    return v1::IdentityAdmin::NewStub(rpc::open_unix_channel(addresses.at("admin_socket")));
  }

  void add(const char* uri) {
    Psk psk = random.secret<PskTag>(32).value();
    const ByteVector id = to_vector(as_bytes(uri));
    const WrappedPsk wrapped{
        id, kek->wrap(psk.reveal(), {KeyKind::psk, uri, id}, random).value(), {}};
    ASSERT_TRUE(store->create(uri, IdentityKind::user, wrapped, Deadline::in(kTimeout)));
    psks[uri] = std::move(psk);
  }
  mikey::KmsCredentials credentials(const char* uri) {
    return {mikey::Identity::uri(uri), settings.identity, uri, psks.at(uri).clone()};
  }
  mikey::TicketRequest request_exchange(const mikey::KmsCredentials& own) {
    mikey::TicketPolicy wish;
    wish.flags = mikey::kMode1Flags;
    wish.idr_i = own.self;
    wish.idr_r = {mikey::Identity::uri(kBob)};
    return mikey::TicketRequest::start({clock, random}, own, wish).value();
  }
  std::string request_init(const mikey::KmsCredentials& own) {
    return to_string(request_exchange(own).message());
  }

  testing::TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  service::Log log{"test", service::LogLevel::off, [](std::string_view) {}};
  Settings settings;
  std::optional<Kek> kek;
  std::unique_ptr<SqliteStore> sqlite;
  std::unique_ptr<TroubledStore> store;
  std::unique_ptr<replay::ReplayWindow> window;
  std::unique_ptr<KmsServer> server;
  std::map<std::string, std::string> addresses;
  std::map<std::string, Psk> psks;
};

}  // namespace keystub::kms
