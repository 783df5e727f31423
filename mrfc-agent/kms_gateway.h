// KmsGateway: the KMS over its ticket port, through the client library, for each identity that the
// MRFC owns.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kms-client/kms_client.h"
#include "mrfc-agent/key_service.h"
#include "mrfc-agent/settings.h"

namespace keystub::mrfc {

// Thread-safe.
class KmsGateway final : public KeyService {
 public:
  // Reads the key files; does not wait for the KMS. `env` must outlive the gateway.
  static Result<std::unique_ptr<KmsGateway>> open(const Settings& settings,
                                                  const mikey::Environment& env);

  // To the same KMS.
  const std::shared_ptr<kms_client::KmsConnection>& connection() const noexcept {
    return connection_;
  }

  Result<mikey::GrantedTicket> request_ticket(const std::string& self,
                                              const mikey::TicketPolicy& wish,
                                              const std::string& trace_id) override;
  Result<mikey::ResolvedTicket> resolve_ticket(const std::string& self,
                                               const mikey::TicketView& ticket,
                                               const std::string& trace_id) override;

 private:
  KmsGateway(std::shared_ptr<kms_client::KmsConnection> connection,
             std::chrono::milliseconds timeout)
      : connection_(std::move(connection)), timeout_(timeout) {}
  Result<kms_client::KmsClient*> client(const std::string& self) const;
  kms_client::CallOptions options(const std::string& trace_id) const;

  const std::shared_ptr<kms_client::KmsConnection> connection_;
  const std::chrono::milliseconds timeout_;
  std::map<std::string, std::unique_ptr<kms_client::KmsClient>> clients_;
};

}  // namespace keystub::mrfc
