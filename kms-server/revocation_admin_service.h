// RevocationAdmin over gRPC, on the store executor.
#pragma once

#include <string_view>

#include "keystub/v1/revocation.grpc.pb.h"
#include "kms-server/admin_call.h"
#include "kms-server/revocation_admin.h"

namespace keystub::kms {

class RevocationAdminService final : public v1::RevocationAdmin::CallbackService {
 public:
  // All must outlive the server that this is registered with.
  RevocationAdminService(RevocationAdmin& admin, StoreExecutor& executor, const rpc::Guard& guard)
      : admin_(admin), executor_(executor), guard_(guard) {}

  grpc::ServerUnaryReactor* RevokeTicket(grpc::CallbackServerContext* context,
                                         const v1::RevokeTicketRequest* request,
                                         v1::RevokeTicketResponse* response) override;
  grpc::ServerUnaryReactor* RevokeTicketsBefore(grpc::CallbackServerContext* context,
                                                const v1::RevokeTicketsBeforeRequest* request,
                                                v1::RevokeTicketsBeforeResponse* response) override;
  grpc::ServerUnaryReactor* ListRevocations(grpc::CallbackServerContext* context,
                                            const v1::ListRevocationsRequest* request,
                                            v1::ListRevocationsResponse* response) override;

 private:
  // Admits the caller and runs `work` on the executor; its result is the status.
  grpc::ServerUnaryReactor* run(grpc::CallbackServerContext& context, std::string_view method,
                                AdminWork work);

  RevocationAdmin& admin_;
  StoreExecutor& executor_;
  const rpc::Guard& guard_;
};

}  // namespace keystub::kms
