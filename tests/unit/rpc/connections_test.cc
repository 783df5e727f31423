// Connections that are slow or idle are closed (KMS-7).
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/accept.h"
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
    connect(fd);
    return fd;
  }
  void connect(int fd) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server->port("main"));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
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

// The soft limit of file descriptors, for one test.
class DescriptorLimit {
 public:
  DescriptorLimit() { ::getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorLimit() {
    restore();
    bound_accepted_connections();
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  void set(int descriptors) const {
    const rlimit limit{static_cast<rlim_t>(descriptors), before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  void restore() const { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(ConnectionsTest, KMS_7_AFloodOfConnectionsLeavesDescriptorsForTheProcessItself) {
  make_certificates();
  serve(server_credentials(server_tls(ClientCertificate::optional)).value());
  std::vector<int> flood = {connect()};
  const DescriptorLimit limit;
  limit.set(flood[0] + 10 + kOwnDescriptors);
  bound_accepted_connections();
  while (flood.size() < 30) flood.push_back(connect());
  EXPECT_FALSE(is_closed_within(flood[1], 100ms));
  EXPECT_TRUE(is_closed_within(flood.back(), 5s)) << "there is no descriptor for it";
  for (const int fd : flood) ::close(fd);
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  const auto ask = [&] {
    return request(open_tls_channel(server->address("main"), channel_tls()).value()).ok();
  };
  bool answered = ask();
  while (!answered && std::chrono::steady_clock::now() < give_up) answered = ask();
  EXPECT_TRUE(answered) << "and those who come later are served";
}

TEST_F(ConnectionsTest, KMS_7_APortLivesOnWhenDescriptorsRanOut) {
  make_certificates();
  serve(server_credentials(server_tls(ClientCertificate::optional)).value());
  const int waiting = ::socket(AF_INET, SOCK_STREAM, 0);
  const DescriptorLimit limit;
  limit.set(waiting + 1);
  connect(waiting);
  EXPECT_FALSE(is_closed_within(waiting, 300ms)) << "it waits to be accepted";
  limit.restore();
  EXPECT_TRUE(request(open_tls_channel(server->address("main"), channel_tls()).value()).ok());
  ::close(waiting);
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

// One that is never idle, since a call stands that asks for nothing.
TEST_F(ConnectionsTest, KMS_7_AConnectionThatIsOldEndsAndItsClientGoesOn) {
  options.max_age = 300ms;
  options.last_calls = 100ms;
  serve(grpc::InsecureServerCredentials());
  const auto stub = v1::TicketService::NewStub(open_plaintext_channel(server->address("main")));
  grpc::ClientContext context;
  prepare(context, 20s);
  const auto stream = stub->Exchange(&context);
  v1::ExchangeResponse answer;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  grpc::ClientContext next;
  prepare(next, 20s);
  v1::RequestTicketResponse response;
  EXPECT_TRUE(stub->RequestTicket(&next, {}, &response).ok());
}

}  // namespace
}  // namespace keystub::rpc
