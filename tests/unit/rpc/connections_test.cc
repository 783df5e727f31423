// Connections that are slow or idle are closed (KMS-7).
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/call.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace keystub::rpc {
namespace {

using namespace std::chrono_literals;

struct ConnectionsTest : RpcFixture {
  ServerOptions options;

  void serve(std::shared_ptr<grpc::ServerCredentials> credentials) {
    options.listeners.push_back({"main", "127.0.0.1:0", std::move(credentials)});
    options.services = {&service};
    server = Server::start(options).value();
    service.drain = &server->drain();
  }
  int connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server->port("main"));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }
  // True when the other side closed the connection in time.
  static bool is_closed_within(int fd, std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    for (;;) {
      pollfd waiting{fd, POLLIN, 0};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        return false;
      }
      char octets[512];
      if (::recv(fd, octets, sizeof(octets), 0) <= 0) return true;
    }
  }
};

TEST_F(ConnectionsTest, KMS_7_AConnectionThatSendsNothingIsClosed) {
  make_certificates();
  options.handshake_time = 300ms;
  serve(server_credentials(server_tls(ClientCertificate::optional)).value());
  const int fd = connect();
  EXPECT_TRUE(is_closed_within(fd, 10s));
  ::close(fd);
}

TEST_F(ConnectionsTest, KMS_7_AConnectionThatBeginsItsHandshakeAndStopsIsClosed) {
  make_certificates();
  options.handshake_time = 300ms;
  serve(server_credentials(server_tls(ClientCertificate::optional)).value());
  const int fd = connect();
  // The head of a TLS record that never comes.
  const std::uint8_t head[] = {0x16, 0x03, 0x01, 0x02, 0x00};
  ASSERT_EQ(::send(fd, head, sizeof(head), 0), 5);
  EXPECT_TRUE(is_closed_within(fd, 10s));
  ::close(fd);
}

TEST_F(ConnectionsTest, KMS_7_AnIdleConnectionIsClosedAndTheClientComesBack) {
  options.idle_time = 300ms;
  serve(grpc::InsecureServerCredentials());
  const auto channel = open_plaintext_channel(server->address("main"));
  const auto call = [&] {
    grpc::ClientContext context;
    prepare(context, 5s);
    v1::RequestTicketResponse response;
    return v1::TicketService::NewStub(channel)->RequestTicket(&context, {}, &response).ok();
  };
  ASSERT_TRUE(call());
  const auto end = std::chrono::system_clock::now() + 10s;
  EXPECT_TRUE(channel->WaitForStateChange(GRPC_CHANNEL_READY, end)) << "it stays open";
  EXPECT_TRUE(call());
}

}  // namespace
}  // namespace keystub::rpc
