#include "kms-server/revocation_admin_service.h"

#include "kms-server/revocation_message.h"
#include "rpc/status.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kService = "/keystub.v1.RevocationAdmin/";

class RevocationCall final : public grpc::ServerUnaryReactor {
 public:
  void OnCancel() override {}
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerUnaryReactor* RevocationAdminService::run(
    grpc::CallbackServerContext& context, std::string_view method,
    std::function<Result<void>(const rpc::Caller&)> work) {
  auto* const call = new RevocationCall();
  auto caller = guard_.admit(context, std::string(kService).append(method));
  if (!caller) {
    call->Finish(rpc::to_status(caller.error()));
    return call;
  }
  auto submitted = executor_.submit([call, caller = std::move(*caller), work = std::move(work)] {
    const auto done = work(caller);
    call->Finish(done ? grpc::Status::OK : rpc::to_status(done.error()));
  });
  if (!submitted) call->Finish(rpc::to_status(submitted.error()));
  return call;
}

grpc::ServerUnaryReactor* RevocationAdminService::RevokeTicket(
    grpc::CallbackServerContext* context, const v1::RevokeTicketRequest* request,
    v1::RevokeTicketResponse* response) {
  return run(*context, "RevokeTicket",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               auto revoked = request->has_ticket_octets()
                                  ? admin_.revoke_ticket(caller, as_bytes(request->ticket_octets()))
                                  : admin_.revoke_ticket_id(caller, as_bytes(request->ticket_id()));
               set_revocation(*response->mutable_revocation(), TRY(std::move(revoked)));
               return {};
             });
}

grpc::ServerUnaryReactor* RevocationAdminService::RevokeTicketsBefore(
    grpc::CallbackServerContext* context, const v1::RevokeTicketsBeforeRequest* request,
    v1::RevokeTicketsBeforeResponse* response) {
  return run(*context, "RevokeTicketsBefore",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               if (!request->has_time()) {
                 return fail(Category::malformed, "before what time? The request names none");
               }
               const WallTime time(std::chrono::duration_cast<WallTime::duration>(
                   std::chrono::seconds(request->time().seconds()) +
                   std::chrono::nanoseconds(request->time().nanos())));
               set_revocation(*response->mutable_revocation(),
                              TRY(admin_.revoke_before(caller, time)));
               return {};
             });
}

grpc::ServerUnaryReactor* RevocationAdminService::ListRevocations(
    grpc::CallbackServerContext* context, const v1::ListRevocationsRequest* request,
    v1::ListRevocationsResponse* response) {
  return run(*context, "ListRevocations",
             [this, request, response](const rpc::Caller&) -> Result<void> {
               const RevocationPage page =
                   TRY(admin_.list(request->after_sequence(), request->page_size()));
               for (const Revocation& revocation : page.revocations) {
                 set_revocation(*response->add_revocations(), revocation);
               }
               response->set_more(page.more);
               return {};
             });
}

}  // namespace keystub::kms
