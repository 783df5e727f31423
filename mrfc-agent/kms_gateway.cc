#include "mrfc-agent/kms_gateway.h"

#include <fmt/format.h>

namespace keystub::mrfc {

Result<std::unique_ptr<KmsGateway>> KmsGateway::open(const Settings& settings,
                                                     const mikey::Environment& env) {
  kms_client::ConnectionOptions options;
  options.server = settings.kms.target;
  options.ca = settings.kms.ca;
  options.certificate = settings.kms.certificate;
  options.private_key = settings.kms.private_key;
  options.server_name = settings.kms.server_name;
  const auto connection = TRY(kms_client::KmsConnection::open(options));
  std::unique_ptr<KmsGateway> gateway(new KmsGateway(connection, settings.kms.timeout));
  for (const OwnIdentity& identity : settings.identities) {
    auto credentials = TRY(settings.credentials(identity));
    gateway->clients_.emplace(
        identity.uri, std::make_unique<kms_client::KmsClient>(connection, std::move(credentials),
                                                              env.clock, env.random));
  }
  return gateway;
}

Result<kms_client::KmsClient*> KmsGateway::client(const std::string& self) const {
  const auto found = clients_.find(self);
  if (found == clients_.end()) {
    return fail(Category::internal, fmt::format("no key is configured for {}", self));
  }
  return found->second.get();
}

kms_client::CallOptions KmsGateway::options(const std::string& trace_id) const {
  kms_client::CallOptions options;
  options.timeout = timeout_;
  options.trace_id = trace_id;
  return options;
}

Result<mikey::GrantedTicket> KmsGateway::request_ticket(const std::string& self,
                                                        const mikey::TicketPolicy& wish,
                                                        const std::string& trace_id) {
  return TRY(client(self))->request_ticket(wish, options(trace_id));
}

Result<mikey::ResolvedTicket> KmsGateway::resolve_ticket(const std::string& self,
                                                         const mikey::TicketView& ticket,
                                                         const std::string& trace_id) {
  return TRY(client(self))->resolve_ticket(ticket, options(trace_id));
}

}  // namespace keystub::mrfc
