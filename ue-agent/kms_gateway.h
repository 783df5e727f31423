// KmsGateway: the user endpoint's KMS, through kms-client.
#pragma once

#include "kms-client/kms_client.h"
#include "ue-agent/ticket_service.h"
#include "ue-agent/ue_config.h"

namespace keystub::ue {

class KmsGateway final : public TicketSource, public TicketResolver {
 public:
  // Reads the key and the CA; does not connect yet. `env` must outlive it.
  static Result<std::unique_ptr<KmsGateway>> open(const mikey::Environment& env,
                                                  const UeConfig& config);

  Result<std::shared_ptr<const mikey::GrantedTicket>> obtain(mikey::TicketPolicy wish) override;
  Result<mikey::ResolvedTicket> resolve(const mikey::TicketView& ticket) override;

 private:
  KmsGateway(std::shared_ptr<kms_client::KmsConnection> connection,
             mikey::KmsCredentials credentials, const mikey::Environment& env,
             std::chrono::milliseconds timeout)
      : client_(std::move(connection), std::move(credentials), env.clock, env.random) {
    options_.timeout = timeout;
  }

  kms_client::KmsClient client_;
  kms_client::CallOptions options_;
};

}  // namespace keystub::ue
