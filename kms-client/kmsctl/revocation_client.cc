#include "kms-client/kmsctl/revocation_client.h"

#include <utility>

#include "keystub/v1/revocation.grpc.pb.h"
#include "kms-client/kmsctl/stub_client.h"
#include "rpc/channel.h"

namespace keystub::kmsctl {
namespace {

using Stub = v1::RevocationAdmin::Stub;

}  // namespace

struct RevocationClient::Impl : StubClient<Stub> {
  using StubClient::StubClient;
};

RevocationClient::RevocationClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RevocationClient::~RevocationClient() = default;

Result<std::unique_ptr<RevocationClient>> RevocationClient::open(const ConnectionOptions& options) {
  auto channel = TRY(open_admin_channel(options));
  return std::unique_ptr<RevocationClient>(new RevocationClient(
      std::make_unique<Impl>(v1::RevocationAdmin::NewStub(std::move(channel)), options.timeout)));
}

Result<v1::Revocation> RevocationClient::revoke_ticket(const v1::RevokeTicketRequest& request) {
  return TRY(impl_->call(&Stub::RevokeTicket, request, "revoke ticket")).revocation();
}

Result<v1::Revocation> RevocationClient::revoke_before(const google::protobuf::Timestamp& time) {
  v1::RevokeTicketsBeforeRequest request;
  *request.mutable_time() = time;
  return TRY(impl_->call(&Stub::RevokeTicketsBefore, request, "revoke tickets")).revocation();
}

Result<void> RevocationClient::list(const std::function<void(const v1::Revocation&)>& each) {
  v1::ListRevocationsRequest request;
  for (;;) {
    const auto page = TRY(impl_->call(&Stub::ListRevocations, request, "list revocations"));
    for (const auto& revocation : page.revocations()) {
      if (revocation.sequence() <= request.after_sequence()) {
        return fail(Category::internal, "list revocations: the KMS repeats a page");
      }
      request.set_after_sequence(revocation.sequence());
      each(revocation);
    }
    if (!page.more() || page.revocations().empty()) return {};
  }
}

}  // namespace keystub::kmsctl
