#include "kms-server/revocation_admin_service.h"

#include "kms-server/revocation_message.h"
#include "rpc/timestamp.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kService = "/keystub.v1.RevocationAdmin/";

}  // namespace

grpc::ServerUnaryReactor* RevocationAdminService::run(grpc::CallbackServerContext& context,
                                                      std::string_view method, AdminWork work) {
  return run_admin_call(context, guard_, executor_, std::string(kService).append(method),
                        std::move(work));
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
               const WallTime time = rpc::from_timestamp(request->time());
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
