// Revocations over real gRPC: revoked on the admin port, heard of on the ticket port.
#include "keystub/v1/revocation.grpc.pb.h"
#include "tests/unit/kms/server_fixture.h"

namespace keystub::kms {
namespace {

using grpc::StatusCode;
using Reader = grpc::ClientReader<v1::WatchRevocationsResponse>;

class RevocationServiceTest : public ServerFixture {
 protected:
  RevocationServiceTest() { settings.roles.watcher = {"mrfc"}; }

  std::unique_ptr<v1::RevocationFeed::Stub> feed(const std::string& certificate) {
    return v1::RevocationFeed::NewStub(channel("tickets", certificate));
  }
  std::unique_ptr<Reader> watch(v1::RevocationFeed::Stub& stub, grpc::ClientContext& context,
                                std::optional<std::uint64_t> after = {}) {
    rpc::prepare(context, kTimeout);
    v1::WatchRevocationsRequest request;
    if (after) request.set_after_sequence(*after);
    return stub.WatchRevocations(&context, request);
  }
  grpc::Status revoke(const std::string& ticket_id, v1::RevokeTicketResponse& response) {
    const auto stub =
        v1::RevocationAdmin::NewStub(rpc::open_unix_channel(addresses.at("admin_socket")));
    grpc::ClientContext context;
    rpc::prepare(context, kTimeout);
    v1::RevokeTicketRequest request;
    request.set_ticket_id(ticket_id);
    return stub->RevokeTicket(&context, request, &response);
  }
  StatusCode refusal_of(const std::string& certificate) {
    grpc::ClientContext context;
    const auto stub = feed(certificate);
    const auto reader = watch(*stub, context);
    v1::WatchRevocationsResponse response;
    EXPECT_FALSE(reader->Read(&response));
    return reader->Finish().error_code();
  }
};

TEST_F(RevocationServiceTest, WhatIsRevokedIsHeardOfAndAgainFromAPosition) {
  start();
  const auto stub = feed("mrfc");
  grpc::ClientContext context;
  const auto reader = watch(*stub, context);
  v1::WatchRevocationsResponse heard;
  ASSERT_TRUE(reader->Read(&heard));
  EXPECT_TRUE(heard.has_heartbeat()) << "the position, at once";
  const std::uint64_t position = heard.sequence();

  v1::RevokeTicketResponse revoked;
  ASSERT_TRUE(revoke(std::string(16, 'a'), revoked).ok());
  EXPECT_EQ(revoke("short", revoked).error_code(), StatusCode::INVALID_ARGUMENT);
  ASSERT_TRUE(store->create("sip:a@x", IdentityKind::user, {}, Deadline::in(kTimeout)));
  ASSERT_TRUE(store->set_state("sip:a@x", IdentityState::suspended, Deadline::in(kTimeout)));
  ASSERT_TRUE(reader->Read(&heard));
  EXPECT_EQ(heard.revocation().ticket_id(), std::string(16, 'a'));
  ASSERT_TRUE(reader->Read(&heard));
  EXPECT_EQ(heard.revocation().identity().uri(), "sip:a@x");
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);

  grpc::ClientContext second;
  const auto again = watch(*stub, second, position);
  ASSERT_TRUE(again->Read(&heard));
  EXPECT_EQ(heard.revocation().ticket_id(), std::string(16, 'a'));
  ASSERT_TRUE(again->Read(&heard));
  EXPECT_EQ(heard.revocation().identity().uri(), "sip:a@x");
  server->stop();
  EXPECT_FALSE(again->Read(&heard));
  EXPECT_EQ(again->Finish().error_code(), StatusCode::UNAVAILABLE) << "a stop is not held up";
}

TEST_F(RevocationServiceTest, KMS_7_NobodyHearsWithoutTheRole) {
  start();
  EXPECT_EQ(refusal_of(""), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refusal_of("ue"), StatusCode::PERMISSION_DENIED);
}

TEST_F(RevocationServiceTest, SubscribersAreBounded) {
  settings.revocation_feed.max_subscribers = 1;
  start();
  const auto stub = feed("mrfc");
  grpc::ClientContext context;
  const auto reader = watch(*stub, context);
  v1::WatchRevocationsResponse heard;
  ASSERT_TRUE(reader->Read(&heard));
  EXPECT_EQ(refusal_of("mrfc"), StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace keystub::kms
