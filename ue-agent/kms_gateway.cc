// Ticket requests and resolves over the ticket port.
#include "ue-agent/kms_gateway.h"

namespace keystub::ue {

Result<std::unique_ptr<KmsGateway>> KmsGateway::open(const mikey::Environment& env,
                                                     const UeConfig& config) {
  kms_client::ConnectionOptions options;
  options.server = config.kms_target;
  options.ca = config.kms_ca;
  options.server_name = config.kms_server_name;
  auto connection = TRY(kms_client::KmsConnection::open(options));
  auto credentials = TRY(config.credentials());
  return std::unique_ptr<KmsGateway>(
      new KmsGateway(std::move(connection), std::move(credentials), env, config.kms_timeout));
}

Result<std::shared_ptr<const mikey::GrantedTicket>> KmsGateway::obtain(mikey::TicketPolicy wish) {
  return std::make_shared<const mikey::GrantedTicket>(
      TRY(client_.request_ticket(std::move(wish), options_)));
}

Result<mikey::ResolvedTicket> KmsGateway::resolve(const mikey::TicketView& ticket) {
  return client_.resolve_ticket(ticket, options_);
}

}  // namespace keystub::ue
